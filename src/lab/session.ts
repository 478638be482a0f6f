/**
 * A session: a world that a person steps, runs, and takes back. Time travel is a copy: a snapshot of the memory now
 * and then, and the steps after it made again.
 */

import type { Kernel } from "../kernel/kernel.js";
import type { CellChange } from "../machine/memory.js";
import type { SeededScheduler } from "../machine/schedule.js";
import { type Run, reportRun } from "./run.js";
import { applySchedule, type Moment, open, parseReplay, type World, type WorldOptions } from "./world.js";

/** Ticks between two snapshots. */
const INTERVAL = 64;

/**
 * A world with a past.
 *
 * @example
 * const session = new Session("kara-2018");
 * session.run(1000, (world) => world.k.faults.length > 0);
 * session.back(1);
 * session.world.k.faults.length // 0
 */
export class Session {
  world: World;
  private moments: Moment[] = [];
  private scheduler: SeededScheduler<Kernel> | null = null;
  /** Tick at which the scheduler began. */
  private since = 0;
  private seed: number;

  /** @param scenario name with parameters, or a whole replay line, which is then applied */
  constructor(scenario: string, options: WorldOptions & { readonly seed?: number } = {}) {
    if (scenario.includes("@")) {
      const parsed = parseReplay(scenario);
      this.world = open(parsed.scenario, { ...options, kernel: parsed.kernel });
      this.seed = options.seed ?? this.world.scenario.seed;
      this.remember();
      const from = this.world.schedule.length;
      applySchedule(this.world, parsed.schedule);
      if (this.world.schedule.length > from) this.remember();
    } else {
      this.world = open(scenario, options);
      this.seed = options.seed ?? this.world.scenario.seed;
      this.remember();
    }
  }

  get tick(): number {
    return this.world.k.tick;
  }

  private remember(): void {
    this.moments.push(this.world.moment());
  }

  /**
   * Let one task make a step.
   *
   * @throws Error with one sentence when it cannot move
   */
  step(task: number): void {
    this.world.step(task);
    this.scheduler = null;
    this.afterStep();
  }

  /**
   * Say something to the scenario.
   *
   * @throws Error with one sentence when it takes no such line
   */
  say(line: string): void {
    this.world.say(line);
    this.scheduler = null;
    this.afterStep();
  }

  private afterStep(): void {
    const last = this.moments[this.moments.length - 1];
    if (this.tick - last.tick >= INTERVAL) this.remember();
  }

  /** The task that the seeded scheduler would move now, after making that choice; -1 when nobody can move. */
  private choose(): number {
    if (this.scheduler === null) {
      this.scheduler = this.world.scheduler(this.seed + this.tick);
      this.since = this.tick;
    }
    return this.scheduler.next();
  }

  /** Let the seeded scheduler make up to `steps` steps; gives how many were made before the run was over. */
  run(steps: number, until: (world: World) => boolean = () => false): number {
    for (let made = 0; made < steps; made++) {
      if (this.world.settled()) return made;
      const task = this.choose();
      if (task < 0) return made;
      this.world.step(task);
      if (this.since === 0) this.world.chosenBy(this.seed);
      this.afterStep();
      if (until(this.world)) return made + 1;
    }
    return steps;
  }

  /** Go to an earlier tick. @throws Error when it is not in the past */
  goTo(tick: number): void {
    if (!Number.isInteger(tick) || tick < 0 || tick > this.tick) {
      throw new Error(`tick ${tick} is not in this session's past, which goes from 0 to ${this.tick}`);
    }
    const schedule = this.world.schedule.slice(0, tick);
    const { seed } = this.world;
    while (this.moments[this.moments.length - 1].tick > tick) this.moments.pop();
    const moment = this.moments[this.moments.length - 1];
    this.world.goTo(moment);
    for (let at = moment.tick; at < tick; at++) this.world.step(schedule[at]);
    if (seed !== null) this.world.chosenBy(seed);
    this.scheduler = null;
  }

  /** Go back a number of steps. @throws Error when there are not so many */
  back(steps: number): void {
    if (steps > this.tick) throw new Error(`there are ${this.tick} steps to go back, not ${steps}`);
    this.goTo(this.tick - steps);
  }

  /** The named memory cells that differ between an earlier tick and now. */
  changesSince(tick: number): CellChange[] {
    const now = this.world.moment();
    const schedule = [...this.world.schedule];
    const moments = [...this.moments];
    this.goTo(tick);
    const then = this.world.moment();
    for (let at = tick; at < schedule.length; at++) this.world.step(schedule[at]);
    this.moments = moments;
    return this.world.k.memory.diff(then.memory, now.memory);
  }

  /** What came of it so far: outcomes, figures, the replay line. */
  report(): Run {
    return reportRun(this.world, this.world.settled());
  }
}
