/** Who waits for ever: in a circle, or for somebody who is dead or gone. Each is reported once. */
import type { Kernel } from "../kernel/kernel.js";
import { PG_locked } from "../kernel/locks.js";
import type { Lockdep } from "../machine/lockdep.js";
import type { Machine } from "../machine/machine.js";
import type { FaultKind } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { cycleThrough, holdersFor, waitsForLock } from "./waits.js";

export class Hanging {
  /** Tasks whose hanging has been reported. */
  private readonly hung: Uint8Array;

  constructor(
    private readonly machine: Machine<Kernel>,
    private readonly lockdep: () => Lockdep,
  ) {
    this.hung = new Uint8Array(machine.tasks.length);
  }

  has(task: number): boolean {
    return this.hung[task] === 1;
  }

  /** Whether a task will never move again: it has finished, is dead, or waits for the dead. */
  gone(task: number): boolean {
    return this.machine.finished(task) || this.machine.isDead(task) || this.has(task);
  }

  /** The tasks that hold what a task waits for. */
  private holders(task: number): readonly number[] {
    return holdersFor(this.machine, this.lockdep, task);
  }

  /** The task that holds what this one waits for and never gives it back, or -1. */
  lostOwner(task: number): number {
    return this.holders(task).find((owner) => owner !== task && this.gone(owner)) ?? -1;
  }

  /** Tasks that wait for each other's locks in a circle, in the order in which they wait; null when there are none. */
  deadlock(): number[] | null {
    const waiting = this.machine.tasks.flatMap((_, task) => (waitsForLock(this.machine, task) ? [task] : []));
    for (const task of waiting) {
      const cycle = cycleThrough((each) => this.holders(each), task);
      if (cycle !== null) return cycle;
    }
    return null;
  }

  /** Report tasks that have come to wait for ever: for each other, or for one that is dead or gone. */
  report(): void {
    const { machine, hung } = this;
    const waiting = machine.tasks.flatMap((_, task) =>
      hung[task] === 0 && waitsForLock(machine, task) ? [task] : [],
    );
    if (waiting.length === 0) return;
    const cycle = waiting.length > 1 ? this.deadlock() : null;
    if (cycle?.some((task) => hung[task] === 0)) this.reportCycle(cycle);
    for (const task of waiting) if (hung[task] === 0) this.reportLost(task);
  }

  private reportCycle(cycle: readonly number[]): void {
    const { machine } = this;
    for (const task of cycle) this.hung[task] = 1;
    const { path, step } = machine.at(cycle[0]);
    const names = cycle.map((task) => `${machine.tasks[task].name} in ${machine.at(task).step}`);
    this.fault(
      "DEADLOCK",
      cycle[0],
      `${path}: ${step} for ever, as these wait for each other: ${names.join(", ")}`,
    );
  }

  private reportLost(task: number): void {
    const { machine } = this;
    const owner = this.lostOwner(task);
    if (owner < 0) return;
    this.hung[task] = 1;
    const { path, lock } = machine.at(task);
    const what = lock?.class === PG_locked ? "page lock" : lock?.class.name;
    const fate = machine.isDead(owner)
      ? "took to its death"
      : machine.finished(owner)
        ? "took and never gave back"
        : "holds, which waits for ever itself";
    const { name } = machine.tasks[owner];
    this.fault("HANG", task, `${path}: waits for ever for the ${what} that ${name} ${fate}`);
  }

  private fault(kind: FaultKind, task: number, message: string): void {
    const { machine } = this;
    const { k } = machine;
    const { path, step } = machine.at(task);
    const page = machine.page(task);
    if (k.recorder) k.recorder.add(k.tick, task, machine.pcOf(task), page, WORD.fault, k.faults.length);
    k.faults.push({ kind, path, step, pfn: page, task: machine.tasks[task].name, tick: k.tick, message });
  }

  /** Know again who hangs, after the machine has gone back to a moment: from the faults that it had then. */
  remember(): void {
    const { machine, hung } = this;
    hung.fill(0);
    for (const { kind, task: name } of machine.k.faults) {
      if (kind === "HANG") hung[machine.tasks.findIndex((task) => task.name === name)] = 1;
      if (kind === "DEADLOCK") for (const each of this.deadlock() ?? []) hung[each] = 1;
    }
  }
}
