/**
 * Schedules: the choices of a run as a value that can be printed, read back and edited; and the seeded scheduler.
 *
 * A schedule is written as runs of one task: `r14k3f20` lets task r make 14 steps, then k three, then f twenty. What the seeded scheduler has
 * chosen from the start on can be written as `seed=7,steps=5000`, which is short however long the run was.
 */
import type { Machine, Running } from "./machine.js";
import { Random } from "./random.js";

/** Task numbers, one per step; from INPUT on, what somebody said in between: INPUT plus its number among the inputs. */
export type Schedule = readonly number[];

/** No machine has so many tasks. */
export const INPUT = 0x10000;

/** More steps than a line may ask for: it would be taken for a hang. */
const MOST_STEPS = 10_000_000;

/**
 * Print a schedule with the tasks' letters; what was said in between stands in brackets.
 *
 * @example formatSchedule([0, 0, 1], ["r", "k"]) === "r2k1"
 * @example formatSchedule([INPUT, 0], ["r"], ["store 0"]) === "[store 0]r1"
 */
export function formatSchedule(
  schedule: Schedule,
  letters: readonly string[],
  inputs: readonly string[] = [],
): string {
  let text = "";
  for (let at = 0; at < schedule.length; ) {
    if (schedule[at] >= INPUT) {
      text += `[${inputs[schedule[at++] - INPUT]}]`;
      continue;
    }
    let end = at;
    while (end < schedule.length && schedule[end] === schedule[at]) end++;
    text += `${letters[schedule[at]]}${end - at}`;
    at = end;
  }
  return text;
}

/** The number of an input among those that are known; a new one is added to them. */
export function inputNumber(line: string, inputs: string[]): number {
  const known = inputs.indexOf(line);
  return INPUT + (known >= 0 ? known : inputs.push(line) - 1);
}

/**
 * Read what formatSchedule printed. Inputs that are not known are added to `inputs`.
 *
 * @throws Error with one sentence when the text is no schedule or names an unknown task
 * @example parseSchedule("r2k1", ["r", "k"]) // [0, 0, 1]
 */
export function parseSchedule(text: string, letters: readonly string[], inputs: string[] = []): number[] {
  if (!/^([A-Za-z]+\d+|\[[^[\]]+\])*$/.test(text)) {
    throw new Error(
      `"${text}" is not a schedule: write letters and counts, for example ${letters[0]}3${letters[1] ?? letters[0]}1`,
    );
  }
  const schedule: number[] = [];
  for (const [, input, letter, count] of text.matchAll(/\[([^\]]+)\]|([A-Za-z]+)(\d+)/g)) {
    if (input !== undefined) {
      schedule.push(inputNumber(input, inputs));
      continue;
    }
    const task = letters.indexOf(letter);
    if (task < 0)
      throw new Error(`the schedule names task ${letter}; the tasks here are ${letters.join(", ")}`);
    if (Number(count) > MOST_STEPS)
      throw new Error(`the schedule has a run of ${count} steps; at most ${MOST_STEPS} are possible`);
    for (let i = 0; i < Number(count); i++) schedule.push(task);
  }
  return schedule;
}

/** The first steps that the seeded scheduler chooses. */
export interface Seeded {
  readonly seed: number;
  readonly steps: number;
}

/**
 * Print the choices of a seed.
 *
 * @example formatSeeded({ seed: 7, steps: 5000 }) === "seed=7,steps=5000"
 */
export const formatSeeded = ({ seed, steps }: Seeded): string => `seed=${seed},steps=${steps}`;

/**
 * Read what formatSeeded printed; null for a text that is none, which may be a schedule.
 *
 * @throws Error with one sentence when there are too many steps
 */
export function parseSeeded(text: string): Seeded | null {
  const match = /^seed=(\d{1,15}),steps=(\d+)$/.exec(text);
  if (match === null) return null;
  const [seed, steps] = [Number(match[1]), Number(match[2])];
  if (steps > MOST_STEPS)
    throw new Error(`the schedule has ${match[2]} steps; at most ${MOST_STEPS} are possible`);
  return { seed, steps };
}

/** How long tasks sleep at their pauses, in ticks on average, by task name; what is not named wakes at once. */
export type Pace = Readonly<Record<string, number>>;

/** How likely a task that can go on does go on: a time slice of ten steps on average. */
const STICKY = 0.9;

const AWAKE = 0;
const ASLEEP = 1;
const BLOCKED = 2;
const GONE = 3;

/**
 * Chooses tasks from a seed, at constant cost per step whatever the number of tasks. A task whose next step begins
 * with a pause sleeps first, for an exponentially distributed number of ticks around its pace; one that waits is looked at again now
 * and then. When all sleep, the clock jumps to the next waking.
 */
export class SeededScheduler<K extends Running> {
  private readonly random: Random;
  private readonly means: number[];
  private readonly status: Uint8Array;
  /** 1 for a task that has slept for the step before which it stands. */
  private readonly rested: Uint8Array;
  private readonly awake: number[] = [];
  private readonly blocked: number[] = [];
  /** Sleeping tasks, soonest last. */
  private readonly asleep: { task: number; wake: number }[] = [];
  private clock = 0;
  private current = -1;

  constructor(
    private readonly machine: Machine<K>,
    seed: number,
    pace: Pace,
    private readonly enabled: (task: number) => boolean = (task) => machine.enabled(task),
  ) {
    this.random = new Random(seed);
    this.means = machine.tasks.map((task) => pace[task.name] ?? 0);
    this.status = new Uint8Array(machine.tasks.length);
    this.rested = new Uint8Array(machine.tasks.length);
    for (let task = 0; task < machine.tasks.length; task++) this.awake.push(task);
  }

  /** Whether a task that can move has to sleep first. */
  private tired(task: number): boolean {
    return this.rested[task] === 0 && this.means[task] > 0 && this.machine.paused(task);
  }

  /** The next task to move, or -1 when none ever will. */
  next(): number {
    this.clock++;
    const { random, current } = this;
    if (current >= 0) {
      this.rested[current] = 0;
      if (
        this.status[current] === AWAKE &&
        random.unit() < STICKY &&
        this.enabled(current) &&
        !this.tired(current)
      )
        return current;
    }
    for (;;) {
      while (this.asleep.length > 0 && this.asleep[this.asleep.length - 1].wake <= this.clock)
        this.wakeSoonest();
      if (this.blocked.length > 0) this.retry(random.below(this.blocked.length));
      if (this.awake.length === 0) {
        for (let at = this.blocked.length - 1; at >= 0; at--) this.retry(at);
        if (this.awake.length === 0) {
          if (this.asleep.length === 0) return -1;
          this.clock = this.asleep[this.asleep.length - 1].wake;
          this.wakeSoonest();
        }
      }
      const at = random.below(this.awake.length);
      const task = this.awake[at];
      if (this.machine.finished(task) || this.machine.isDead(task)) this.leaveAwake(at, GONE);
      else if (!this.enabled(task)) {
        this.leaveAwake(at, BLOCKED);
        this.blocked.push(task);
      } else if (this.tired(task)) {
        this.nap(at);
      } else {
        this.current = task;
        return task;
      }
    }
  }

  private leaveAwake(at: number, status: number): void {
    const task = this.awake[at];
    this.status[task] = status;
    const last = this.awake.pop() as number;
    if (at < this.awake.length) this.awake[at] = last;
  }

  private nap(at: number): void {
    const task = this.awake[at];
    this.leaveAwake(at, ASLEEP);
    this.rested[task] = 1;
    const wake = this.clock + this.random.exponential(this.means[task]);
    let place = this.asleep.length;
    while (place > 0 && this.asleep[place - 1].wake < wake) place--;
    this.asleep.splice(place, 0, { task, wake });
  }

  private wakeSoonest(): void {
    const { task } = this.asleep.pop() as { task: number };
    this.status[task] = AWAKE;
    this.awake.push(task);
  }

  private retry(at: number): void {
    const task = this.blocked[at];
    if (!this.enabled(task)) return;
    const last = this.blocked.pop() as number;
    if (at < this.blocked.length) this.blocked[at] = last;
    this.status[task] = AWAKE;
    this.awake.push(task);
  }
}
