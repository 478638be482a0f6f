/**
 * Who waits for what at one moment of a world, and who holds it: the page locks and semaphores that are held, and whatever else a task
 * sleeps for.
 *
 * Who holds a page lock or writes under a semaphore stands in memory; readers of a semaphore are known by where they are in the
 * code, if there are as many as it counts (waits.ts). Who can end another wait, such as one for a disk, is known by where their code
 * leads (enders.ts).
 */
import { PG_locked } from "../kernel/locks.js";
import { PageLocked } from "../kernel/mm/page.js";
import { LOCKED_FOR_SYNC_READ } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import type { WaitStory, WaitTask, WaitThing } from "../plot/index.js";
import { awaited, PAGE_LOCK_WAITS } from "./awaited.js";
import { endersOf, stuckIn } from "./enders.js";
import { taskViews } from "./views.js";
import { cycleThrough, holdersFor, waitsForLock } from "./waits.js";
import type { World } from "./world.js";

interface Thing {
  readonly name: string;
  readonly isLock: boolean;
  note: string;
  readonly held: Set<number>;
  readonly wanted: Set<number>;
}

/** What is held or waited for, each once. */
class Things {
  private readonly known = new Map<string, Thing>();

  private find(key: string, name: string, isLock: boolean): Thing {
    const thing = this.known.get(key) ?? { name, isLock, note: "", held: new Set(), wanted: new Set() };
    this.known.set(key, thing);
    return thing;
  }

  lock(name: string): Thing {
    return this.find(name, name, true);
  }

  /** What a task waits for that is no lock: "its read to complete" is another thing for each. */
  event(name: string, task: number): Thing {
    return this.find(/\bits\b/.test(name) ? `${task} ${name}` : name, name, false);
  }

  list(): WaitThing[] {
    return [...this.known.values()].map(({ name, isLock, note, held, wanted }) => ({
      name,
      lock: isLock,
      note,
      heldBy: [...held],
      wantedBy: [...wanted],
    }));
  }
}

const pageLock = (page: Pfn): string => `the lock of page ${page}`;

/** Page locks that somebody holds. */
function pageLocks({ k }: World, things: Things): void {
  for (let page = 0 as Pfn; page < k.geometry.pages; page++) {
    if (!PageLocked(k, page)) continue;
    const thing = things.lock(pageLock(page));
    const owner = k.page.locked_by[page];
    if (owner >= LOCKED_FOR_SYNC_READ) thing.note = "held by a read in flight";
    else if (owner > 0) thing.held.add(owner - 1);
    else thing.note = "held by nobody who is known";
  }
}

/** A lock of a class; where there is only one, its class says it. */
const lockName = ({ k, kernel }: World, name: string, id: number, which: number): string =>
  kernel.names.text(k.locks[id].length > 1 ? `${name} ${which}` : name);

/** Semaphores and mutexes that somebody holds. */
function semaphores(world: World, things: Things): void {
  const { machine, k } = world;
  for (const { name, id, struct } of machine.image.locks) {
    const words = k.locks[id];
    const sum = words.reduce((all, count) => all + Math.max(0, count), 0);
    const readers = machine.tasks.flatMap((_, task) =>
      [...(world.lockdep.held[machine.pcOf(task)] ?? [])].some((held) => held.struct === struct)
        ? [task]
        : [],
    );
    words.forEach((count, which) => {
      if (count === 0) return;
      const thing = things.lock(lockName(world, name, id, which));
      if (count < 0) thing.held.add(-count - 1);
      else if (readers.length === sum && sum === count) for (const task of readers) thing.held.add(task);
      else thing.note = `held by ${count} ${count === 1 ? "reader" : "readers"}`;
    });
  }
}

/** What a task that waits is after. */
function wanted(world: World, task: number, things: Things): void {
  const { machine, kernel } = world;
  const { step, lock, which } = machine.at(task);
  const page = machine.page(task);
  if (lock?.class === PG_locked || PAGE_LOCK_WAITS.includes(step)) {
    things.lock(pageLock(page)).wanted.add(task);
    return;
  }
  if (lock === null || !waitsForLock(machine, task)) {
    const what = kernel.names.text(awaited(world, task));
    const thing = things.event(what === "" ? step : what, task);
    thing.wanted.add(task);
    for (const each of endersOf(world, task)) thing.held.add(each);
    return;
  }
  const name =
    which === null
      ? kernel.names.text(lock.class.name)
      : lockName(world, lock.class.name, lock.class.id, machine.lockNumber(task));
  const thing = things.lock(name);
  thing.wanted.add(task);
  for (const holder of holdersFor(machine, () => world.lockdep, task))
    if (holder !== task) thing.held.add(holder);
}

/** Circles of tasks that wait for each other for ever, each once. */
function circlesOf(stuck: ReturnType<typeof stuckIn>): number[][] {
  const found = new Map<string, number[]>();
  for (const task of stuck.keys()) {
    const circle = cycleThrough((each) => stuck.get(each) ?? [], task);
    const key = circle && [...circle].sort((a, b) => a - b).join(" ");
    if (circle && key && !found.has(key)) found.set(key, circle);
  }
  return [...found.values()];
}

/** The story of a world as it stands. */
export function waitStory(world: World): WaitStory {
  const views = taskViews(world);
  const stuck = stuckIn(world);
  const things = new Things();
  pageLocks(world, things);
  semaphores(world, things);
  const waiting = new Set(
    views.flatMap(({ state }, task) =>
      state === "waits" || (state === "hung" && world.machine.waiting(task)) ? [task] : [],
    ),
  );
  // A daemon that sleeps waits for nothing that matters, but where others wait for him in vain. The set grows while it is gone through.
  for (const task of waiting) {
    wanted(world, task, things);
    for (const each of stuck.get(task) ?? []) waiting.add(each);
  }
  return {
    moment: `tick ${world.k.tick}`,
    run: `${world.name} on ${world.kernel.name}`,
    replay: world.replay,
    tasks: views.map(({ name, path, step, state }): WaitTask => ({ name, path, step, state })),
    things: things.list(),
    circles: circlesOf(stuck),
    still: world.verdictsAtEnd().some(({ kind }) => kind === "HANG"),
  };
}
