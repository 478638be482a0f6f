/**
 * A machine: an image, a memory, and tasks that run the image's programs one step at a time.
 *
 * The machine never chooses: a scheduler, a person or the explorer says which task moves. A task is where its program
 * counter says; `dead` tasks (a BUG killed them) and finished ones never move again.
 */
import { type Cell, i16, i32, type Memory, type Struct, struct, u8, u16 } from "./memory.js";
import {
  type Cursor,
  END,
  FILL,
  type FrameSlots,
  HELD,
  type Image,
  type Instruction,
  LOCAL,
  type Program,
  WAIT,
} from "./program.js";

/** What a machine tells the kernel it runs, and what the kernel tells it back. */
export interface Running {
  /** The task that runs. */
  task: number;
  /** The instruction it is in. */
  at: number;
  /** Set by a step in which the task died. */
  dying: boolean;
  /** The locks of each class that can be contended here, by the class's id. */
  readonly locks: readonly Int16Array[];
}

/** Who runs what. The letter names the task in schedules. */
export interface TaskSpec {
  readonly name: string;
  readonly letter: string;
  readonly program: number;
  readonly args: readonly number[];
  /** A daemon never ends; a run is over when the others have. */
  readonly daemon: boolean;
}

/** Instructions that a task makes with one step, at most: more of them are a loop that makes no step. */
const MOST_SETTLED = 1_000_000;

export const task_struct = struct("task_struct", {
  pc: u16("instruction that the task will run next"),
  dead: u8("1 when a BUG killed the task"),
});

/** The tasks' frames: as many words as their programs need, one task after the other. */
export const kernel_stack = struct("kernel_stack", { word: i32("a local of a path") });

/** The same for machines so small that every local fits into 16 bits: half the state to copy and to hash. */
const small_kernel_stack: Struct = { ...kernel_stack, fields: { word: i16("a local of a path") } };

/** The structs that every machine needs, with their numbers of rows. */
export function machineTables(
  image: Image,
  tasks: readonly TaskSpec[],
  small: boolean,
): (readonly [Struct, number])[] {
  if (image.code.length > 0xffff)
    throw new Error(`machineTables: ${image.code.length} instructions do not fit a 16-bit pc`);
  const words = tasks.reduce((sum, task) => sum + image.programs[task.program].words, 0);
  return [
    [task_struct, tasks.length],
    [small ? small_kernel_stack : kernel_stack, words],
  ];
}

/** The name of a local by its word; another path's of the same step has none here. */
function localOf(frame: FrameSlots, word: number): string {
  const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(frame))).slice(1);
  return names[frame.slots.indexOf(word)] ?? `word ${word}`;
}

export class Machine<K extends Running> {
  readonly code: readonly Instruction[];
  private readonly pc: Uint16Array;
  private readonly dead: Uint8Array;
  private readonly stack: Int32Array | Int16Array;
  private readonly base: number[] = [];
  private readonly cursor: Cursor;
  /** Called before each named step, held ones too, with the task and the instruction: recordings, coverage. */
  watch: ((task: number, at: number) => void) | null = null;

  constructor(
    readonly k: K,
    readonly image: Image,
    readonly memory: Memory,
    readonly tasks: readonly TaskSpec[],
  ) {
    this.code = image.code;
    this.pc = memory.of(task_struct).pc;
    this.dead = memory.of(task_struct).dead;
    this.stack = memory.of(kernel_stack).word;
    this.cursor = image.cursor;
    this.cursor.stack = this.stack;
    for (const { op, value, first, path, frame } of image.code)
      if (op === FILL && this.stack.length > 0) this.cut(value, path, frame, first);
    let base = 0;
    tasks.forEach((spec, task) => {
      const program = image.programs[spec.program];
      const kinds = Object.values(program.args);
      if (spec.args.length !== kinds.length) {
        throw new Error(
          `Machine: ${program.name} takes ${kinds.length} arguments, ${spec.name} gives ${spec.args.length}`,
        );
      }
      this.base.push(base);
      spec.args.forEach((arg, at) => {
        const word = arg - kinds[at].none;
        this.stack[base + at] = word;
        this.fits(word, base + at, program.name, Object.keys(program.args)[at]);
      });
      base += program.words;
      this.start(task, program);
    });
  }

  /** A constant of a call must fit a word. */
  private cut(value: number, path: string, frame: FrameSlots, slot: number): void {
    const [least, most] = this.stack instanceof Int16Array ? [-0x8000, 0x7fff] : [-(2 ** 31), 2 ** 31 - 1];
    if (value < least || value > most)
      throw new Error(
        `Machine: ${path}: ${localOf(frame, slot)} = ${value} does not fit a word of its frame`,
      );
  }

  /** What has been stored must be what was meant. */
  private fits(value: number, at: number, path: string, local: string): void {
    if (this.stack[at] !== value)
      throw new Error(`Machine: ${path}: ${local} = ${value} does not fit a word of its frame`);
  }

  /**
   * From now on a value that does not fit its word throws, where it would be cut silently: each store of a local is looked at, which makes
   * steps several times slower. For tests.
   *
   * @throws Error, in the step that stores it, naming path, local and value
   */
  checkWords(): void {
    const { stack } = this;
    this.cursor.stack = new Proxy(stack, {
      get: (words, at) => Reflect.get(words, at, words),
      set: (words, at, value: number) => {
        words[Number(at)] = value;
        if (words[Number(at)] === value || typeof value !== "number") return true;
        const { path, frame } = this.code[this.k.at];
        const local = localOf(frame, Number(at) - this.cursor.base);
        throw new Error(`Machine: ${path}: ${local} = ${value} does not fit a word of its frame`);
      },
    });
  }

  private start(task: number, program: Program): void {
    this.k.task = task;
    this.focus(task);
    this.pc[task] = this.settle(task, program.entry);
  }

  /** Let the frames of every path be those of this task. */
  focus(task: number): void {
    this.cursor.base = this.base[task];
  }

  /** Run the instructions that are no preemption points, from `at` on; gives the first that is one. */
  private settle(task: number, at: number): number {
    const k = this.k;
    const { base } = this.cursor;
    let here = at;
    for (let made = 0; ; made++) {
      const instruction = this.code[here];
      const frame = instruction.frame;
      if (made > MOST_SETTLED) throw new Error(`${instruction.path} loops without a step`);
      if (instruction.op === LOCAL) {
        const answer = instruction.run(k, frame);
        // A function of the kernel that is called for bookkeeping can find that something is wrong.
        if (k.dying) {
          k.dying = false;
          this.dead[task] = 1;
          return here;
        }
        here =
          answer === undefined || answer === true
            ? instruction.next
            : answer === false
              ? instruction.otherwise
              : instruction.targets[answer];
        continue;
      }
      if (instruction.op === FILL) {
        const first = base + instruction.first;
        for (let word = first + instruction.count - 1; word >= first; word--)
          this.stack[word] = instruction.value;
        here = instruction.next;
        continue;
      }
      if (instruction.op === END) return here;
      if (instruction.op !== HELD) {
        if (instruction.held === null || !instruction.held(k, frame)) return here;
        if (instruction.until !== null && !instruction.until(k, frame)) return here;
      }
      k.at = here;
      if (this.watch !== null) {
        this.watch(task, here);
        this.focus(task);
      }
      const answer = instruction.run(k, frame);
      if (k.dying) {
        k.dying = false;
        this.dead[task] = 1;
        return here;
      }
      here =
        answer === undefined || answer === true
          ? instruction.next
          : answer === false
            ? instruction.otherwise
            : instruction.targets[answer];
    }
  }

  /** The task whose own a cell is: its place in the code, its locals. -1 for what is everybody's. */
  ownerOf({ struct: { id }, row }: Cell): number {
    if (id === task_struct.id) return row;
    if (id !== kernel_stack.id) return -1;
    return this.base.findLastIndex((base) => base <= row);
  }

  /** Number of the instruction that the task will run next. */
  pcOf(task: number): number {
    return this.pc[task];
  }

  /** The instruction that the task will run next. */
  at(task: number): Instruction {
    return this.code[this.pc[task]];
  }

  finished(task: number): boolean {
    return this.code[this.pc[task]].op === END;
  }

  isDead(task: number): boolean {
    return this.dead[task] !== 0;
  }

  /** Whether the task's next step begins with a sleep. */
  paused(task: number): boolean {
    return this.code[this.pc[task]].pause !== null;
  }

  /** Whether the task waits for a condition that does not hold now. */
  waiting(task: number): boolean {
    return this.dead[task] === 0 && this.code[this.pc[task]].op === WAIT && !this.enabled(task);
  }

  /** Whether the task can move now. */
  enabled(task: number): boolean {
    if (this.dead[task] !== 0) return false;
    const instruction = this.code[this.pc[task]];
    if (instruction.op === END) return false;
    if (instruction.op !== WAIT) return true;
    this.focus(task);
    return (instruction.until as NonNullable<Instruction["until"]>)(this.k, instruction.frame);
  }

  /** Run one step of a task that is enabled. */
  step(task: number): void {
    const k = this.k;
    const at = this.pc[task];
    const instruction = this.code[at];
    k.task = task;
    k.at = at;
    if (this.watch !== null) this.watch(task, at);
    this.focus(task);
    const answer = instruction.run(k, instruction.frame);
    if (k.dying) {
      k.dying = false;
      this.dead[task] = 1;
      return;
    }
    const next =
      answer === undefined || answer === true
        ? instruction.next
        : answer === false
          ? instruction.otherwise
          : instruction.targets[answer];
    const after = this.code[next];
    this.pc[task] = after.op <= WAIT && after.held === null ? next : this.settle(task, next);
  }

  /** Which of its class's locks a task is about to take. */
  lockNumber(task: number): number {
    const { which, frame } = this.at(task);
    if (which === null) throw new Error("Machine.lockNumber: the task takes no lock with a word");
    this.focus(task);
    return which(this.k, frame);
  }

  /** The word of the lock that a task is about to take: 0 free, n readers, -(task + 1) its writer. */
  lockWord(task: number): number {
    const { lock } = this.at(task);
    if (lock === null) throw new Error("Machine.lockWord: the task takes no lock with a word");
    return this.k.locks[lock.class.id][this.lockNumber(task)];
  }

  /** A local of the task's innermost path, or undefined when that path has none of that name. */
  local(task: number, name: string): number | undefined {
    const { frame } = this.at(task);
    if (!(name in frame)) return undefined;
    this.focus(task);
    return (frame as unknown as Record<string, number>)[name];
  }

  /** The page that the task's current step is about, or -1. */
  page(task: number): number {
    return this.local(task, "page") ?? -1;
  }
}
