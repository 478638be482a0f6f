/**
 * The linker: root paths become one array of instructions.
 *
 * Calls are expanded in place (no kernel path modelled here recurses), so an instruction's number alone says where a
 * task is, with its whole call stack; an argument is the caller's own slot, and a task's frame is a few words of a
 * stack whose size is known before the machine is built. Slots are zero before a path starts and zero again after it
 * ends, so that two states in which only dead locals would differ are the same state.
 */
import { acquire, isFree, type LockClass, type LockUse, release } from "./lock.js";
import type { Running } from "./machine.js";
import type { AnyPath } from "./patch.js";
import type { Locals, Node, Operations, Path } from "./path.js";

/** A preemption point. */
export const STEP = 0;
/** A preemption point that sleeps until a condition holds. */
export const WAIT = 1;
/** A named step that is no preemption point: it runs at once with the step before it. */
export const HELD = 2;
/** Bookkeeping without a name: it runs at once with the step before it. */
export const LOCAL = 3;
/** Words of the task's stack become zero, or a constant, before or after a call: `first`, `count` and `value` say which. */
export const FILL = 4;
const JUMP = 5;
export const END = 6;

/** What an instruction's function answers: undefined or true go on, false takes `otherwise`, a number picks a target. */
// biome-ignore lint/suspicious/noConfusingVoidType: steps are written as functions without a result
type Run = (k: unknown, f: FrameSlots) => void | boolean | number;

export interface Instruction {
  op: number;
  run: Run;
  until: ((k: unknown, f: FrameSlots) => boolean) | null;
  /** When it holds, the instruction runs at once with the step before it. */
  held: ((k: unknown, f: FrameSlots) => boolean) | null;
  /** For FILL: the first word (from the task's base), how many, and what they become. */
  first: number;
  count: number;
  value: number;
  /** What the task sleeps for before this step, or null. */
  pause: string | null;
  next: number;
  otherwise: number;
  targets: number[];
  frame: FrameSlots;
  /** Name of the path and of the step; the step is empty for instructions that are no preemption point. */
  readonly path: string;
  readonly step: string;
  /** Names of the paths that lead here, outermost first, this one last. */
  readonly stack: readonly string[];
  /** What it does to a lock, or null. */
  lock: LockUse | null;
  /** Which lock of its class, where the class has words. */
  which: ((k: unknown, f: FrameSlots) => number) | null;
  /** The spinlocks under which it runs, outermost first. */
  readonly under: readonly LockClass[];
  /** What the path says of the locks that are held when the task comes here. */
  readonly asserts: readonly { readonly class: LockClass; readonly holds: boolean }[];
  /** Whether the task may sleep in it, also on a machine where nobody can make it. */
  sleeps: boolean;
}

/**
 * Where the locals of the running task are. All frames of an image share one: a machine moves it once for each step, however
 * many paths the step runs through.
 */
export interface Cursor {
  stack: Int32Array | Int16Array;
  /** Index in `stack` of the first word of the running task. */
  base: number;
}

/** The slots of one expanded call: which words of its task's stack its locals are. Names are accessors on top. */
export interface FrameSlots {
  /** Offsets from the cursor's base, in the order: arguments, return value, locals. */
  readonly slots: readonly number[];
  readonly cursor: Cursor;
}

/** The implementations of operation tables: table name, then number, then operation. */
export type Implementations = Readonly<
  Record<string, Readonly<Record<number, Readonly<Record<string, Path<never>>>>>>
>;

export interface Program {
  readonly name: string;
  readonly entry: number;
  /** Words of stack that a task running this program needs. The first ones are its arguments. */
  readonly words: number;
  readonly args: Locals;
}

export interface Image {
  readonly code: readonly Instruction[];
  readonly programs: readonly Program[];
  /** Where its frames look for their words: a machine binds its stack to it. */
  readonly cursor: Cursor;
  /** The classes of locks for which a task of this machine may have to wait: those that need words. */
  readonly locks: readonly LockClass[];
}

/** What a machine is linked for. */
export interface LinkOptions {
  /** The options of its configuration; default none. */
  readonly config?: ReadonlySet<string>;
  /** How many tasks run each root; default one each. */
  readonly tasks?: readonly number[];
  /**
   * Whether somebody on this machine does not keep to the sleeping locks: then a held step is a preemption point after all,
   * unless a spinlock protects it. Default false.
   */
  readonly lawless?: boolean;
  /** What becomes of each path before it is linked (patch.ts); default itself. */
  readonly patched?: (path: AnyPath) => AnyPath;
}

const nothing: Run = () => {};
const NO_ASSERTS: Instruction["asserts"] = [];

type FrameClass = new (slots: readonly number[], cursor: Cursor) => FrameSlots;

/**
 * A class whose instances name the slots of one path's frames. A local whose `none` is -1 is stored plus one, so that
 * a slot of zero is none. The accessors read fixed fields (_a, _b, _c ...) because a property reached by a computed
 * name is half as fast.
 */
function frameClass(names: readonly string[], nones: readonly (0 | -1)[]): FrameClass {
  class Slots implements FrameSlots {
    _a: number;
    a_: number;
    _b: number;
    b_: number;
    _c: number;
    c_: number;
    _d: number;
    d_: number;
    _e: number;
    e_: number;
    _f: number;
    f_: number;
    _g: number;
    g_: number;
    _h: number;
    h_: number;
    _i: number;
    i_: number;
    _j: number;
    j_: number;
    _k: number;
    k_: number;
    _l: number;
    l_: number;
    constructor(
      readonly slots: readonly number[],
      readonly cursor: Cursor,
    ) {
      this._a = slots[0] ?? 0;
      this.a_ = nones[0] ?? 0;
      this._b = slots[1] ?? 0;
      this.b_ = nones[1] ?? 0;
      this._c = slots[2] ?? 0;
      this.c_ = nones[2] ?? 0;
      this._d = slots[3] ?? 0;
      this.d_ = nones[3] ?? 0;
      this._e = slots[4] ?? 0;
      this.e_ = nones[4] ?? 0;
      this._f = slots[5] ?? 0;
      this.f_ = nones[5] ?? 0;
      this._g = slots[6] ?? 0;
      this.g_ = nones[6] ?? 0;
      this._h = slots[7] ?? 0;
      this.h_ = nones[7] ?? 0;
      this._i = slots[8] ?? 0;
      this.i_ = nones[8] ?? 0;
      this._j = slots[9] ?? 0;
      this.j_ = nones[9] ?? 0;
      this._k = slots[10] ?? 0;
      this.k_ = nones[10] ?? 0;
      this._l = slots[11] ?? 0;
      this.l_ = nones[11] ?? 0;
    }
  }
  type S = Slots;
  // biome-ignore format: one line an accessor
  const accessors: PropertyDescriptor[] = [
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._a] + this.a_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._a] = v - this.a_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._b] + this.b_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._b] = v - this.b_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._c] + this.c_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._c] = v - this.c_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._d] + this.d_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._d] = v - this.d_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._e] + this.e_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._e] = v - this.e_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._f] + this.f_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._f] = v - this.f_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._g] + this.g_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._g] = v - this.g_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._h] + this.h_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._h] = v - this.h_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._i] + this.i_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._i] = v - this.i_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._j] + this.j_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._j] = v - this.j_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._k] + this.k_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._k] = v - this.k_; } },
    { get(this: S) { const c = this.cursor; return c.stack[c.base + this._l] + this.l_; }, set(this: S, v: number) { const c = this.cursor; c.stack[c.base + this._l] = v - this.l_; } },
  ];
  if (names.length > accessors.length) {
    throw new Error(`link: a path has ${names.length} locals, ${accessors.length} are possible`);
  }
  names.forEach((name, at) => {
    Object.defineProperty(Slots.prototype, name, accessors[at]);
  });
  return Slots;
}

/** Names of a path's slots, in order. */
const namesOf = (path: Path<never>): string[] => [
  ...Object.keys(path.args),
  ...(path.returns ? ["ret"] : []),
  ...Object.keys(path.locals),
];

class Linker {
  readonly code: Instruction[] = [];
  readonly cursor: Cursor = { stack: new Int32Array(0), base: 0 };
  private readonly classes = new Map<Path<never>, FrameClass>();
  private words = 0;
  /** A pause that the next step will begin with. */
  private pause: string | null = null;
  /** The spinlocks around what is emitted now. */
  private under: readonly LockClass[] = [];
  /** What the next instruction can rely on. */
  private asserts: Instruction["asserts"] = NO_ASSERTS;
  /** Where which root takes or gives back a lock that has words. */
  private readonly lockings: {
    root: number;
    at: Instruction;
    class: LockClass;
    write: boolean;
    taken: boolean;
  }[] = [];
  private roots = 0;

  constructor(
    private readonly implementations: Implementations,
    private readonly config: ReadonlySet<string>,
    private readonly lawless: boolean,
    private readonly patched: (path: AnyPath) => AnyPath,
  ) {}

  /**
   * Leave out the locks for which nobody ever waits: of a class that nobody takes for writing, or that only one task
   * takes. Their steps stay, as steps that do nothing and are no preemption points, but for those before which the task sleeps.
   * Gives the classes that remain.
   */
  contended(tasks: readonly number[]): LockClass[] {
    const classes = new Set(this.lockings.map((locking) => locking.class));
    return [...classes].filter((lock) => {
      const uses = this.lockings.filter((locking) => locking.class === lock);
      const roots = new Set(uses.filter(({ taken }) => taken).map(({ root }) => root));
      const takers = [...roots].reduce((sum, root) => sum + (tasks[root] ?? 1), 0);
      if (takers > 1 && uses.some(({ write }) => write)) return true;
      for (const { at } of uses)
        Object.assign(at, { op: at.pause === null ? HELD : STEP, run: nothing, until: null });
      return false;
    });
  }

  program(root: Path<never>): Program {
    const path = this.patched(root as AnyPath) as Path<never>;
    this.roots++;
    const entry = this.code.length;
    const args = Object.keys(path.args);
    const own = args.length + (path.returns ? 1 : 0);
    this.words = own;
    const slots = Array.from({ length: own }, (_, at) => at);
    const frame = this.frame(path, slots, own);
    this.expand(path, frame, [path.name], own + this.ownWords(path));
    this.emit(path, frame, [path.name], "", END, nothing);
    return { name: path.name, entry, words: this.words, args: path.args };
  }

  private ownWords(path: Path<never>): number {
    return Object.keys(path.locals).length;
  }

  /** A frame whose arguments (and return value) are the given slots and whose locals start at `first`. */
  private frame(path: Path<never>, argSlots: readonly number[], first: number): FrameSlots {
    const names = namesOf(path);
    let made = this.classes.get(path);
    if (!made) {
      const kinds = {
        ...path.args,
        ...(path.returns ? { ret: path.returns } : {}),
        ...path.locals,
      } as Locals;
      made = frameClass(
        names,
        names.map((name) => kinds[name].none),
      );
      this.classes.set(path, made);
    }
    const slots = names.map((_, at) => (at < argSlots.length ? argSlots[at] : first + at - argSlots.length));
    const frame = new made(slots, this.cursor);
    this.words = Math.max(this.words, ...slots.map((slot) => slot + 1));
    return frame;
  }

  private emit(
    path: Path<never>,
    frame: FrameSlots,
    stack: readonly string[],
    step: string,
    op: number,
    run: Run,
  ): Instruction {
    const at = this.code.length;
    const instruction: Instruction = {
      op,
      run,
      until: null,
      held: null,
      pause: null,
      first: 0,
      count: 0,
      value: 0,
      next: at + 1,
      otherwise: -1,
      targets: [],
      frame,
      path: path.name,
      step,
      stack,
      lock: null,
      which: null,
      under: this.under,
      asserts: this.asserts,
      sleeps: op === WAIT,
    };
    this.asserts = NO_ASSERTS;
    this.code.push(instruction);
    return instruction;
  }

  /** Emit a path's body; falls through to what is emitted next. `free` is the first stack word a callee may use. */
  private expand(path: Path<never>, frame: FrameSlots, stack: readonly string[], free: number): void {
    const labels = new Map<string, number>();
    const jumps: { at: Instruction; how: "next" | "otherwise" | number; label: string }[] = [];
    const leaving: Instruction[] = [];
    const slotOf = (name: string): number => {
      const at = namesOf(path).indexOf(name);
      if (at < 0) throw new Error(`${path.name}: no local named ${name}`);
      return frame.slots[at];
    };
    const emit = (step: string, op: number, run: Run, wish?: true | Instruction["held"]) => {
      const held = this.lawless && this.under.length === 0 ? null : wish;
      const made = this.emit(path, frame, stack, step, held === true && op === STEP ? HELD : op, run);
      if (typeof held === "function") made.held = held;
      if (made.op <= WAIT && this.pause !== null) {
        made.pause = this.pause;
        this.pause = null;
      }
      return made;
    };

    const call = (
      callee: Path<never>,
      args: Readonly<Record<string, string | number>>,
      into: string | null,
    ): void => {
      const target = this.patched(callee as AnyPath) as Path<never>;
      if (stack.includes(target.name)) throw new Error(`${path.name}: ${target.name} calls itself`);
      let next = free;
      const constants: [number, number][] = [];
      const slots = Object.keys(target.args).map((name) => {
        const value = args[name];
        if (value === undefined) throw new Error(`${path.name}: the call of ${target.name} lacks ${name}`);
        if (typeof value === "string") return slotOf(value);
        constants.push([next, value - (target.args as Locals)[name].none]);
        return next++;
      });
      if (target.returns) slots.push(into === null ? next++ : slotOf(into));
      else if (into !== null) throw new Error(`${path.name}: ${target.name} returns nothing`);
      const inner = this.frame(target, slots, next);
      const own = next + this.ownWords(target);
      this.words = Math.max(this.words, own);
      const callStack = [...stack, target.name];
      const fill = (first: number, count: number, value: number) => {
        if (count > 0)
          Object.assign(this.emit(target, inner, callStack, "", FILL, nothing), { first, count, value });
      };
      for (const [slot, value] of constants) if (value !== 0) fill(slot, 1, value);
      if (target.returns && into !== null) fill(slotOf(into), 1, 0);
      this.expand(target, inner, callStack, own);
      fill(free, own - free, 0);
    };

    const body = (nodes: readonly Node<never, never>[]): void => {
      for (const node of nodes as readonly Node<unknown, FrameSlots>[]) {
        const first = this.code.length;
        emitNode(node);
        if (node.lock) this.code[first].lock = node.lock;
      }
    };

    const emitNode = (node: Node<unknown, FrameSlots>): void => {
      switch (node.op) {
        case "step":
          emit(node.name, STEP, node.run, node.held);
          break;
        case "wait":
          emit(node.name, WAIT, node.run, node.held).until = node.until;
          break;
        case "acquire": {
          const { class: lock, how, owned, which } = node;
          const at = emit(node.name, WAIT, (k, f) => {
            const { locks, task } = k as Running;
            acquire(locks, lock, which(k, f), how, task);
          });
          at.until = (k, f) => isFree((k as Running).locks, lock, which(k, f), how);
          at.lock = { class: lock, how: owned ? "takes" : "awaits" };
          at.which = which;
          this.lockings.push({
            root: this.roots - 1,
            at,
            class: lock,
            write: how === "write",
            taken: true,
          });
          break;
        }
        case "release": {
          const { class: lock, owned, which } = node;
          // Giving back only lets others go on: nobody could tell whether the task was stopped before it.
          const at = emit(node.name, HELD, (k, f) => release((k as Running).locks, lock, which(k, f)));
          at.lock = owned ? { class: lock, how: "gives" } : null;
          this.lockings.push({ root: this.roots - 1, at, class: lock, write: false, taken: false });
          break;
        }
        case "assert":
          this.asserts = [...this.asserts, { class: node.class, holds: node.holds }];
          break;
        case "under": {
          const outer = this.under;
          this.under = [...outer, node.class];
          body(node.body as readonly Node<never, never>[]);
          this.under = outer;
          break;
        }
        case "config":
          body((this.config.has(node.option) ? node.then : node.otherwise) as readonly Node<never, never>[]);
          break;
        case "pause":
          this.pause = node.name;
          break;
        case "local":
          emit("", LOCAL, node.run);
          break;
        case "check":
          jumps.push({
            at: emit(node.name, STEP, node.test, node.held),
            how: "otherwise",
            label: node.otherwise,
          });
          break;
        case "when": {
          const test = emit(node.name ?? "", node.name === null ? LOCAL : STEP, node.test, node.held);
          body(node.then as readonly Node<never, never>[]);
          if (node.otherwise.length > 0) {
            const over = emit("", JUMP, nothing);
            test.otherwise = this.code.length;
            body(node.otherwise as readonly Node<never, never>[]);
            over.next = this.code.length;
          } else {
            test.otherwise = this.code.length;
          }
          break;
        }
        case "loop": {
          const top = this.code.length;
          const test = emit(node.name ?? "", node.name === null ? LOCAL : STEP, node.test);
          body(node.body as readonly Node<never, never>[]);
          emit("", JUMP, nothing).next = top;
          test.otherwise = this.code.length;
          break;
        }
        case "choose": {
          const at = emit(node.name ?? "", node.name === null ? LOCAL : STEP, node.index);
          node.labels.forEach((label, index) => {
            jumps.push({ at, how: index, label });
          });
          break;
        }
        case "label":
          if (labels.has(node.name)) throw new Error(`${path.name}: label ${node.name} stands twice`);
          labels.set(node.name, this.code.length);
          break;
        case "goto":
          jumps.push({ at: emit("", JUMP, nothing), how: "next", label: node.label });
          break;
        case "leave": {
          const value = node.value;
          if (value) {
            emit("", LOCAL, (k, f) => {
              (f as FrameSlots & { ret: number }).ret = value(k, f);
            });
          }
          leaving.push(emit("", JUMP, nothing));
          break;
        }
        case "call":
          call(node.callee() as Path<never>, node.args, node.into);
          break;
        case "dispatch":
          dispatch(node.table, node.operation, node.select as Run, node.args, node.into);
          break;
      }
    };

    const dispatch = (
      table: Operations,
      operation: string,
      select: Run,
      args: Readonly<Record<string, string | number>>,
      into: string | null,
    ): void => {
      if (!table.operations.includes(operation))
        throw new Error(`${path.name}: ${table.name} has no ${operation}`);
      const choice = emit("", LOCAL, select);
      const over: Instruction[] = [];
      const variants = this.implementations[table.name] ?? {};
      const missing: number[] = [];
      const numbers = Object.keys(variants).map(Number);
      for (let number = 0; number <= Math.max(0, ...numbers); number++) {
        const callee = variants[number]?.[operation];
        if (!callee) {
          missing.push(number);
          continue;
        }
        choice.targets[number] = this.code.length;
        call(callee, args, callee.returns ? into : null);
        // One that returns nothing gives 0, as does one that there is not.
        if (!callee.returns && into !== null)
          Object.assign(emit("", FILL, nothing), { first: slotOf(into), count: 1 });
        over.push(emit("", JUMP, nothing));
      }
      for (const number of missing) choice.targets[number] = this.code.length;
      if (missing.length > 0 && into !== null)
        Object.assign(emit("", FILL, nothing), { first: slotOf(into), count: 1 });
      for (const jump of over) jump.next = this.code.length;
    };

    body(path.body);
    for (const { at, how, label } of jumps) {
      const target = labels.get(label);
      if (target === undefined) throw new Error(`${path.name}: no label ${label}`);
      if (how === "next") at.next = target;
      else if (how === "otherwise") at.otherwise = target;
      else at.targets[how] = target;
    }
    for (const jump of leaving) jump.next = this.code.length;
  }
}

/** Follow jumps so that no instruction leads to one. */
function thread(code: readonly Instruction[]): void {
  const final = (at: number): number => {
    let here = at;
    for (let hops = 0; here >= 0 && here < code.length && code[here].op === JUMP; hops++) {
      if (hops > code.length) throw new Error(`link: ${code[at].path} loops without a step`);
      here = code[here].next;
    }
    return here;
  };
  for (const instruction of code) {
    instruction.next = final(instruction.next);
    instruction.otherwise = final(instruction.otherwise);
    instruction.targets = instruction.targets.map(final);
  }
}

/**
 * Link root paths into an image, for a machine with these options and numbers of tasks.
 *
 * @throws Error when a label, argument or operation is missing, or a path calls itself: a fault of guplab
 */
export function link(
  // biome-ignore lint/suspicious/noExplicitAny: roots of any kernel and any frame
  roots: readonly Path<any>[],
  implementations: Implementations = {},
  { config = new Set(), tasks = [], lawless = false, patched = (path) => path }: LinkOptions = {},
): Image {
  const linker = new Linker(implementations, config, lawless, patched);
  const programs = roots.map((root) => linker.program(root as Path<never>));
  thread(linker.code);
  const locks = linker.contended(tasks);
  return { code: linker.code, programs, cursor: linker.cursor, locks };
}
