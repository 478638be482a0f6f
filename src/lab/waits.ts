/**
 * Who waits for whom: the wait graph over locks, its cycles (deadlocks), and waits that cannot end because the holder
 * is dead or gone.
 *
 * The holder of a page lock and the writer of a semaphore stand in memory. A semaphore's readers are counted there only; they
 * are the tasks whose place in the code is one at which lockdep knows the lock to be held, if there are as many.
 */
import { journal } from "../kernel/fs/jbd2.js";
import type { Kernel } from "../kernel/kernel.js";
import { jbd2_handle, PG_locked } from "../kernel/locks.js";
import { LOCKED_FOR_SYNC_READ } from "../kernel/structs.js";
import type { Lockdep } from "../machine/lockdep.js";
import type { Machine } from "../machine/machine.js";

/** The tasks that hold what a waiting task wants; none when it waits for no lock, or the holder is not known. */
export function holdersFor(
  machine: Machine<Kernel>,
  lockdep: () => Lockdep,
  task: number,
): readonly number[] {
  const { lock, which } = machine.at(task);
  if (lock === null || lock.how !== "takes" || !machine.waiting(task)) return [];
  if (lock.class === PG_locked) {
    const owner = machine.k.page.locked_by[machine.page(task)];
    return owner === 0 || owner >= LOCKED_FOR_SYNC_READ ? [] : [owner - 1];
  }
  // A handle is counted on its transaction; who waits for one waits for those of the transaction that commits.
  const handle = lock.class === jbd2_handle;
  // Another lock that is a bit of an object, such as a DAX entry's: nothing says who has set it.
  if (!handle && which === null) return [];
  const count = handle
    ? machine.k.of(journal).t_updates.reduce((sum, nr) => sum + nr, 0)
    : machine.lockWord(task);
  if (count < 0) return [-count - 1];
  const { held } = lockdep();
  const readers = machine.tasks
    .map((_, each) => each)
    .filter((each) => each !== task && held[machine.pcOf(each)]?.has(lock.class));
  return readers.length === count ? readers : [];
}

/** Whether a task waits for the page lock or for a semaphore and cannot have it now. */
export const waitsForLock = (machine: Machine<Kernel>, task: number): boolean => {
  const { lock } = machine.at(task);
  return lock !== null && lock.how === "takes" && machine.waiting(task);
};

/** The tasks of a cycle through this one, in the order in which they wait; null when there is none. */
export function cycleThrough(holders: (task: number) => readonly number[], task: number): number[] | null {
  const way: number[] = [];
  const seen = new Set<number>();
  const follow = (at: number): boolean => {
    if (seen.has(at)) return false;
    seen.add(at);
    way.push(at);
    for (const next of holders(at)) if (next === task || follow(next)) return true;
    way.pop();
    return false;
  };
  return follow(task) ? way : null;
}
