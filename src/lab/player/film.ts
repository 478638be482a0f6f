/**
 * A run that can be looked at after any of its steps, and that can be taken another way from there.
 *
 * A machine of a few pages is some hundred bytes, so that going somewhere is a copy and the steps from there on (session.ts).
 */
import type { Recording } from "../../trace/recording.js";
import { type Run, reportRun } from "../run.js";
import { Session } from "../session.js";
import type { World } from "../world.js";

/** Steps of a task that goes on. */
const MOST = 1000;

/**
 * A run, with the machine as it was after some of its steps.
 *
 * @example
 * const film = new Film(run("kara-2018"));
 * film.goTo(10);
 * film.world.k.tick // 10
 */
export class Film {
  private readonly session: Session;
  private readonly schedule: number[];
  /** Whether the run was over at its end; null where somebody has changed that end. */
  private finished: boolean | null;

  constructor({ world, finished }: Run) {
    this.session = new Session(world.name, { kernel: world.kernel.name });
    this.session.world.inputs.push(...world.inputs);
    this.schedule = [...world.schedule];
    this.finished = finished;
    this.goTo(this.length);
  }

  /** The machine at this moment. */
  get world(): World {
    return this.session.world;
  }

  /** Steps made at this moment. */
  get tick(): number {
    return this.session.tick;
  }

  /** Steps of the whole. */
  get length(): number {
    return this.schedule.length;
  }

  /** Who makes each step: task numbers. */
  get steps(): readonly number[] {
    return this.schedule;
  }

  /** What happened up to this moment. */
  get recording(): Recording {
    return this.world.recording();
  }

  /** Whether this moment is the end, and nothing more would happen. */
  get over(): boolean {
    return this.tick === this.length && (this.finished ?? this.world.settled());
  }

  /** Go to the moment after so many steps; beyond an end is at it. */
  goTo(tick: number): void {
    const wanted = Math.max(0, Math.min(this.length, Math.round(tick)));
    if (wanted < this.tick) this.session.goTo(wanted);
    while (this.tick < wanted) this.session.step(this.schedule[this.tick]);
  }

  /**
   * Let a task make the next step: what the run did from this moment on is forgotten.
   *
   * @throws Error with one sentence when it cannot move; nothing has changed then
   */
  take(task: number): void {
    this.session.step(task);
    this.schedule.length = this.tick - 1;
    this.schedule.push(task);
    this.finished = null;
  }

  /**
   * Let a task make steps until it cannot, or would sleep, or something goes wrong; at least one, at most a thousand.
   *
   * @throws Error with one sentence when it cannot move; nothing has changed then
   */
  takeOn(task: number): void {
    const { world } = this;
    const wrong = world.k.faults.length;
    const goesOn = (): boolean =>
      world.enabled(task) && !world.machine.paused(task) && world.k.faults.length === wrong;
    // A task that goes round in a circle never stops.
    for (let made = 0; made === 0 || (made < MOST && goesOn()); made++) this.take(task);
  }

  /** Forget what comes after this moment. */
  cut(): void {
    this.schedule.length = this.tick;
    this.finished = null;
  }

  /** What came of it up to this moment. */
  report(): Run {
    return reportRun(this.world, this.over);
  }
}
