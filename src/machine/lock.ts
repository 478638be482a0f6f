/**
 * Locks: their classes, and what a node of a path does to one.
 *
 * A sleeping lock (a mutex or a read-write semaphore) is a word of memory: 0 free, n readers, or minus the writer's task
 * number minus one. On a machine on which nobody can ever wait for the locks of a class, they have no words and taking them is no step: the
 * linker finds that out. Spinlocks have no word at all, as what runs under one is one step; they are named so that
 * lockdep knows the order. A lock that is a bit of another object has its state there.
 */
import { i16, type Struct, struct } from "./memory.js";

/** Whether a holder may sleep. */
export type LockKind = "sleeping" | "spin";

/** The locks of one kind of object: such as the lock of every file. What lockdep orders. */
export interface LockClass {
  readonly name: string;
  readonly kind: LockKind;
  /** Whether a task may hold several at once because they have an order of their own (such as by a number). */
  readonly nests: boolean;
  readonly id: number;
  /** The words of its locks, where it has any. */
  readonly struct: Struct<{ count: ReturnType<typeof i16> }>;
}

/** What a node does to a lock of a class. */
export interface LockUse {
  readonly class: LockClass;
  /**
   * takes: after sleeping for it; tries: if it is free, which its answer true says; gives: back; awaits: sleeps until its holder
   * has given it back.
   */
  readonly how: "takes" | "tries" | "gives" | "awaits";
}

let declared = 0;

/** Declare a class of locks. */
export const lockClass = (name: string, kind: LockKind, nests = false): LockClass => ({
  name,
  kind,
  nests,
  id: declared++,
  struct: struct(name, {
    count: { ...i16("0 free, n > 0 readers, -(task + 1) its writer"), names: "-(task + 1)" },
  }),
});

/** The lock word of a class's lock. */
const wordsOf = (locks: readonly Int16Array[], lock: LockClass, which: number): Int16Array => {
  const words = locks[lock.id];
  if (words === undefined || which >= words.length)
    throw new Error(`${lock.name}: there is no lock number ${which}`);
  return words;
};

/** Whether a lock can be had now. */
export const isFree = (
  locks: readonly Int16Array[],
  lock: LockClass,
  which: number,
  how: "read" | "write",
): boolean => {
  const count = wordsOf(locks, lock, which)[which];
  return how === "read" ? count >= 0 : count === 0;
};

/** Hold a lock that is free. */
export function acquire(
  locks: readonly Int16Array[],
  lock: LockClass,
  which: number,
  how: "read" | "write",
  task: number,
): void {
  const words = wordsOf(locks, lock, which);
  words[which] = how === "read" ? words[which] + 1 : -(task + 1);
}

/** Give a lock back. */
export function release(locks: readonly Int16Array[], lock: LockClass, which: number): void {
  const words = wordsOf(locks, lock, which);
  if (words[which] === 0)
    throw new Error(`${lock.name}: lock number ${which} is released and nobody holds it`);
  words[which] = words[which] < 0 ? 0 : words[which] - 1;
}
