/**
 * The language in which a kernel path is written: named atomic steps with structured control flow.
 *
 * A path is data. A step is the unit of interleaving: other tasks run between two steps and nowhere else, so a plain
 * function called inside a step is atomic, and what the kernel does under a spinlock is one step. Nodes without a
 * name (`local`, `given`, `repeat`, calls, labels, gotos) touch the path's own locals only and are no preemption
 * points: they run at once with the step before them. So do named steps that are `held`: a lock that the task holds
 * keeps everybody else from what they touch, and nobody could tell whether the task was stopped before them.
 *
 * The linker (program.ts) turns root paths into one array of instructions.
 */

import type { LockClass, LockUse } from "./lock.js";

/** The type of a local: a branded number and the name it prints under. */
export interface Kind<T extends number = number> {
  readonly kind: string;
  /** What a local of this kind is before anything is assigned to it: 0, or -1 where 0 is a thing's number. */
  readonly none: 0 | -1;
  /** Only for the type checker. */
  readonly type?: T;
}

/** Declare a kind of number. */
export const kind = <T extends number>(name: string, none: 0 | -1 = 0): Kind<T> => ({ kind: name, none });

export type Locals = Record<string, Kind>;

/** What a step sees of its path: arguments and locals as fields. Arguments belong to the caller: do not assign. */
export type Frame<L extends Locals> = { -readonly [N in keyof L]: L[N] extends Kind<infer T> ? T : never };

type NamesOf<F, T> = { [N in keyof F]: F[N] extends T ? N : never }[keyof F] & string;

/** How a call passes an argument: a local of the caller by name (shared, not copied), or a constant. */
export type Arguments<A extends Locals, F> = {
  readonly [N in keyof A]: A[N] extends Kind<infer T> ? NamesOf<F, T> | (T & number) | number : never;
};

export type Node<K, F> = Action<K, F> & {
  /** When it holds (or is true), the node is no preemption point although it has a name. */
  readonly held?: true | ((k: K, f: F) => boolean);
  /** What the node does to a lock whose state the kernel keeps itself (a bit of one of its objects). */
  readonly lock?: LockUse;
  /** What patches do around a step (patch.ts), the innermost first. */
  readonly around?: readonly string[];
  /** The step's own act, where patches do something around it. */
  readonly act?: unknown;
};

type Action<K, F> =
  | { readonly op: "step"; readonly name: string; readonly run: (k: K, f: F) => void }
  | {
      readonly op: "wait";
      readonly name: string;
      readonly until: (k: K, f: F) => boolean;
      readonly run: (k: K, f: F) => void;
    }
  | {
      readonly op: "acquire";
      readonly name: string;
      readonly class: LockClass;
      readonly how: "read" | "write";
      /** Whether the task that takes it gives it back: lockdep follows it then. */
      readonly owned: boolean;
      /** Which lock of the class: its row. */
      readonly which: (k: K, f: F) => number;
    }
  | {
      readonly op: "release";
      readonly name: string;
      readonly class: LockClass;
      readonly owned: boolean;
      readonly which: (k: K, f: F) => number;
    }
  | { readonly op: "assert"; readonly class: LockClass; readonly holds: boolean }
  | { readonly op: "under"; readonly class: LockClass; readonly body: readonly Node<K, F>[] }
  | {
      readonly op: "config";
      readonly option: string;
      readonly then: readonly Node<K, F>[];
      readonly otherwise: readonly Node<K, F>[];
    }
  | { readonly op: "pause"; readonly name: string }
  | { readonly op: "local"; readonly run: (k: K, f: F) => void }
  | {
      readonly op: "when";
      /** Null: a test of locals only, no preemption point. */
      readonly name: string | null;
      readonly test: (k: K, f: F) => boolean;
      readonly then: readonly Node<K, F>[];
      readonly otherwise: readonly Node<K, F>[];
    }
  | {
      readonly op: "loop";
      readonly name: string | null;
      readonly test: (k: K, f: F) => boolean;
      readonly body: readonly Node<K, F>[];
    }
  | {
      readonly op: "check";
      readonly name: string;
      readonly test: (k: K, f: F) => boolean;
      readonly otherwise: string;
    }
  | {
      readonly op: "choose";
      /** Null: decided by locals only. */
      readonly name: string | null;
      readonly index: (k: K, f: F) => number;
      readonly labels: readonly string[];
    }
  | { readonly op: "label"; readonly name: string }
  | { readonly op: "goto"; readonly label: string }
  | { readonly op: "leave"; readonly value: ((k: K, f: F) => number) | null }
  | {
      readonly op: "call";
      readonly callee: () => Path<K>;
      readonly args: Readonly<Record<string, string | number>>;
      readonly into: string | null;
    }
  | {
      readonly op: "dispatch";
      readonly table: Operations;
      readonly operation: string;
      readonly select: (k: K, f: F) => number;
      readonly args: Readonly<Record<string, string | number>>;
      readonly into: string | null;
    };

/**
 * A table of operations that a lower floor declares and an upper one fills (address_space_operations, ...): the
 * only way in which the kernel calls up.
 */
export interface Operations {
  readonly name: string;
  readonly operations: readonly string[];
}

/** A kernel function as steps. */
// biome-ignore lint/suspicious/noExplicitAny: a path is used by linkers that do not know its locals
export interface Path<K, A extends Locals = any, F = any> {
  readonly name: string;
  /** Where the real one is: file and version. */
  readonly source: string;
  readonly args: A;
  readonly locals: Locals;
  /** Kind of its return value, which is kept in its local `ret`; null for a path that returns nothing. */
  readonly returns: Kind | null;
  readonly body: readonly Node<K, F>[];
}

export interface PathSpec {
  readonly source: string;
  readonly args?: Locals;
  readonly locals?: Locals;
  /** The path leaves with a value of this kind, in its local `ret`. */
  readonly returns?: Kind;
}

type ArgsOf<S extends PathSpec> = S["args"] extends Locals ? S["args"] : Record<never, never>;

/** What the steps of a path with this specification see. */
export type FrameOf<S extends PathSpec> = Frame<ArgsOf<S>> &
  (S["locals"] extends Locals ? Frame<S["locals"]> : unknown) &
  (S["returns"] extends Kind ? Returned : unknown);

/** The local in which a path's return value is kept. */
export interface Returned {
  ret: number;
}

/** What a node does that decides nothing: an answer would be taken for a decision, so it may give none. */
type Statement<K, F, R> = ((k: K, f: F) => R) &
  (R extends number | boolean ? "this gives no answer" : unknown);

/**
 * The words of the language for one kind of kernel `K`.
 *
 * @example
 * const { path, step, wait } = pathLanguage<{ locked: Uint8Array }>();
 * const lock = path("lock", { source: "none" }, [
 *   wait("lock", (k) => k.locked[0] === 0, (k) => { k.locked[0] = 1; }),
 * ]);
 */
export function pathLanguage<K>() {
  const nothing = () => {};
  return {
    /** Define a path. `spec.args` come first, `spec.locals` start at zero at each call. */
    path<const S extends PathSpec>(
      name: string,
      spec: S,
      body: readonly Node<K, FrameOf<S>>[],
    ): Path<K, ArgsOf<S>, FrameOf<S>> {
      return {
        name,
        source: spec.source,
        args: (spec.args ?? {}) as ArgsOf<S>,
        locals: spec.locals ?? {},
        returns: spec.returns ?? null,
        body,
      };
    },

    /** An atomic step, named after the call it makes. */
    step: <F, R = void>(name: string, run: Statement<K, F, R>): Node<K, F> => ({ op: "step", name, run }),

    /** A step that sleeps until its condition holds, then runs at once. */
    wait: <F, R = void>(
      name: string,
      until: (k: K, f: F) => boolean,
      run: Statement<K, F, R> = nothing as Statement<K, F, R>,
    ): Node<K, F> => ({ op: "wait", name, until, run }),

    /**
     * The next step begins with a sleep, a latency: not a step of its own. How long is the scheduler's business; under
     * exploration, any time.
     */
    pause: <F>(name: string): Node<K, F> => ({ op: "pause", name }),

    /** A named step, test or check that touches only what the task's locks protect: no preemption point. */
    held: <F>(node: Node<K, F>): Node<K, F> => ({ ...node, held: true }),

    /** The same for a node of which this is true only in some states, such as "not under writeback, and I have the lock". */
    heldIf: <F>(condition: (k: K, f: F) => boolean, node: Node<K, F>): Node<K, F> => ({
      ...node,
      held: condition,
    }),

    /** Bookkeeping on the path's own locals: no preemption point. */
    local: <F, R = void>(run: Statement<K, F, R>): Node<K, F> => ({ op: "local", run }),

    /** Test shared state (a step of its own) and branch. */
    when: <F>(
      name: string,
      test: (k: K, f: F) => boolean,
      then: readonly Node<K, F>[],
      otherwise: readonly Node<K, F>[] = [],
    ): Node<K, F> => ({ op: "when", name, test, then, otherwise }),

    /** Branch on the path's own locals: no preemption point. */
    given: <F>(
      test: (k: K, f: F) => boolean,
      then: readonly Node<K, F>[],
      otherwise: readonly Node<K, F>[] = [],
    ): Node<K, F> => ({ op: "when", name: null, test, then, otherwise }),

    /** Test shared state: go on when it holds, to the label when it does not. */
    check: <F>(name: string, test: (k: K, f: F) => boolean, otherwise: string): Node<K, F> => ({
      op: "check",
      name,
      test,
      otherwise,
    }),

    /** Loop while a test of shared state (a step of its own) holds. */
    loop: <F>(name: string, test: (k: K, f: F) => boolean, body: readonly Node<K, F>[]): Node<K, F> => ({
      op: "loop",
      name,
      test,
      body,
    }),

    /** Loop while a test of locals holds: the test is no preemption point. */
    repeat: <F>(test: (k: K, f: F) => boolean, body: readonly Node<K, F>[]): Node<K, F> => ({
      op: "loop",
      name: null,
      test,
      body,
    }),

    /** A step that decides between several labels. */
    choose: <F>(name: string, index: (k: K, f: F) => number, labels: readonly string[]): Node<K, F> => ({
      op: "choose",
      name,
      index,
      labels,
    }),

    /** Go to one of several labels by the path's own locals: no preemption point. */
    branch: <F>(index: (k: K, f: F) => number, labels: readonly string[]): Node<K, F> => ({
      op: "choose",
      name: null,
      index,
      labels,
    }),

    /**
     * Nodes that a machine has only when its configuration names the option, and others that it has when not. The
     * linker decides: what a machine does not use costs it nothing.
     */
    config: <F>(
      option: string,
      then: readonly Node<K, F>[],
      otherwise: readonly Node<K, F>[] = [],
    ): Node<K, F> => ({ op: "config", option, then, otherwise }),

    /** Sleep until nobody holds the lock for writing, then hold it for reading. */
    down_read: <F>(lock: LockClass, which: (k: K, f: F) => number): Node<K, F> => ({
      op: "acquire",
      name: `down_read(${lock.name})`,
      class: lock,
      how: "read",
      owned: true,
      which,
    }),

    /** Give back a lock held for reading. */
    up_read: <F>(lock: LockClass, which: (k: K, f: F) => number): Node<K, F> => ({
      op: "release",
      name: `up_read(${lock.name})`,
      class: lock,
      owned: true,
      which,
    }),

    /**
     * down_read of a lock that somebody gives back with up_read_non_owner, sooner or later, perhaps not the task that took it: lockdep sees
     * the sleep, and nobody who holds it.
     */
    down_read_non_owner: <F>(lock: LockClass, which: (k: K, f: F) => number): Node<K, F> => ({
      op: "acquire",
      name: `down_read_non_owner(${lock.name})`,
      class: lock,
      how: "read",
      owned: false,
      which,
    }),

    /** Give back what down_read_non_owner took. */
    up_read_non_owner: <F>(lock: LockClass, which: (k: K, f: F) => number): Node<K, F> => ({
      op: "release",
      name: `up_read_non_owner(${lock.name})`,
      class: lock,
      owned: false,
      which,
    }),

    /** Sleep until nobody holds the lock, then hold it for writing. */
    down_write: <F>(lock: LockClass, which: (k: K, f: F) => number): Node<K, F> => ({
      op: "acquire",
      name: `down_write(${lock.name})`,
      class: lock,
      how: "write",
      owned: true,
      which,
    }),

    /** Give back a lock held for writing. */
    up_write: <F>(lock: LockClass, which: (k: K, f: F) => number): Node<K, F> => ({
      op: "release",
      name: `up_write(${lock.name})`,
      class: lock,
      owned: true,
      which,
    }),

    /** Nodes that run under a spinlock (or with interrupts off): tells lockdep; each step is atomic anyway. */
    under: <F>(lock: LockClass, body: readonly Node<K, F>[]): Node<K, F> => ({
      op: "under",
      class: lock,
      body,
    }),

    /** The node takes a lock whose state the kernel keeps itself, after sleeping for it. */
    takes: <F>(lock: LockClass, node: Node<K, F>): Node<K, F> => ({
      ...node,
      lock: { class: lock, how: "takes" },
    }),

    /** The node takes such a lock when it is free: when its answer is true. */
    tries: <F>(lock: LockClass, node: Node<K, F>): Node<K, F> => ({
      ...node,
      lock: { class: lock, how: "tries" },
    }),

    /** The node gives such a lock back. */
    gives: <F>(lock: LockClass, node: Node<K, F>): Node<K, F> => ({
      ...node,
      lock: { class: lock, how: "gives" },
    }),

    /** The node sleeps until somebody else has done something, as if it took and gave back a lock of this class. */
    awaits: <F>(lock: LockClass, node: Node<K, F>): Node<K, F> => ({
      ...node,
      lock: { class: lock, how: "awaits" },
    }),

    /** The task holds a lock of the class here: tells lockdep, which does not know values. Costs nothing. */
    lockdep_assert_held: <F>(lock: LockClass): Node<K, F> => ({ op: "assert", class: lock, holds: true }),

    /** The task holds no lock of the class here. */
    lockdep_assert_not_held: <F>(lock: LockClass): Node<K, F> => ({
      op: "assert",
      class: lock,
      holds: false,
    }),

    label: <F>(name: string): Node<K, F> => ({ op: "label", name }),
    goto: <F>(label: string): Node<K, F> => ({ op: "goto", label }),

    /** Return from the path. */
    leave: <F>(value: ((k: K, f: F) => number) | null = null): Node<K, F> => ({ op: "leave", value }),

    /** Call a path. `into` names the local that receives its return value. The callee is named by a function so that files may refer to each other. */
    call: <F, A extends Locals>(
      callee: () => Path<K, A>,
      args: Arguments<A, F>,
      into: NamesOf<F, number> | null = null,
    ): Node<K, F> => ({ op: "call", callee, args: args as Readonly<Record<string, string | number>>, into }),

    /** Call an operation of the table's implementation number `select(k, f)`; without one, or when it returns nothing, gives 0. */
    dispatch: <F>(
      table: Operations,
      operation: string,
      select: (k: K, f: F) => number,
      args: Readonly<Record<string, NamesOf<F, number> | number>>,
      into: NamesOf<F, number> | null = null,
    ): Node<K, F> => ({ op: "dispatch", table, operation, select, args, into }),
  };
}
