/** Letting a thread of the sandbox do what it was told. */
import { isIdle } from "./threads.js";
import type { World } from "./world.js";

/** Tasks that only answer: a disk, a device. They may move while somebody waits for them. */
const SERVANTS = /^(disk|dma)/;

/** Steps after which an order that is not done is left as it is. */
const PATIENCE = 100_000;

/** Whoever moves a world: a session, a desk. */
interface Mover {
  readonly world: World;
  step(task: number): void;
}

/** Let a thread go on until its order is done or it waits for a daemon; gives whether it is done. */
export function obey(mover: Mover, id: number): boolean {
  const { machine } = mover.world;
  const named = (names: RegExp) =>
    machine.tasks.flatMap(({ name }, task) => (names.test(name) ? [task] : []));
  const servants = named(SERVANTS);
  const flushers = named(/^flusher$/);
  for (let steps = 0; steps < PATIENCE && !isIdle(mover.world.k, id); steps++) {
    // sync(2) has given the flusher a work.
    const works = machine.at(id).step === "wb_wait_for_completion" ? flushers : [];
    const task = [id, ...servants, ...works].find((each) => mover.world.enabled(each));
    if (task === undefined) return false;
    mover.step(task);
  }
  return isIdle(mover.world.k, id);
}
