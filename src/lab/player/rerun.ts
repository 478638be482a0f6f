/** The same scenario once more, on another kernel or in another order: what a reader may choose, and what comes of it. */
import { parseSeeded } from "../../machine/schedule.js";
import { kernels } from "../../patches/kernels.js";
import { proposals } from "../../patches/proposals/index.js";
import { type Run, reportRun, run, runToEnd } from "../run.js";
import { applySchedule, open, parseReplay } from "../world.js";

/** Steps after which a run is given up: a reader waits for it. */
const BOUND = 20_000;

export interface Choice {
  /** A released kernel. */
  readonly kernel: string;
  /** Patches on it: a proposal, or several names joined by "+"; empty for none. */
  readonly added: string;
  /** Whose choices the order is; null for the order that was recorded. */
  readonly seed: number | null;
}

/** Something that can be chosen. */
export interface Option {
  readonly name: string;
  readonly help: string;
}

/** The kernels, as `guplab kernels` lists them. */
export const kernelOptions: readonly Option[] = kernels.map(({ name, help }) => ({ name, help }));

/** The proposals, as `guplab proposals` lists them. */
export const proposalOptions: readonly Option[] = proposals.map(({ name, help }) => ({ name, help }));

/** What a replay line has chosen. */
export function choiceOf(replay: string): Choice {
  const [kernel, ...added] = parseReplay(replay).kernel.split("+");
  return { kernel, added: added.join("+"), seed: null };
}

/** The kernel of a choice, in one word. */
export const kernelOfChoice = ({ kernel, added }: Choice): string =>
  added === "" ? kernel : `${kernel}+${added}`;

/**
 * The proposals that do not apply to a kernel, as far as a scenario comes to what they change. Takes a second or two.
 *
 * @example refusals("kara-2018", "v4.20") // []
 */
export function refusals(scenario: string, kernel: string): string[] {
  return proposals.flatMap(({ name }) => {
    try {
      open(scenario, { kernel: `${kernel}+${name}`, record: false });
      return [];
    } catch {
      return [name];
    }
  });
}

export interface Rerun {
  readonly run: Run;
  /** In which order its steps are, as a sentence. */
  readonly order: string;
}

/**
 * Run the scenario of a replay line as somebody chooses: in the recorded order where that fits, going on by the scheduler where the
 * kernel is another one and the order ends before the run does; by a seed where it does not fit, or where a seed is chosen.
 *
 * @throws Error with one sentence when the patches do not apply to the kernel
 * @example rerun("kara-2018@v4.20:r15", { kernel: "v6.4", added: "", seed: 4 }).run.outcomes // ["OK"]
 */
export function rerun(replay: string, choice: Choice): Rerun {
  const { scenario, schedule, kernel: recorded } = parseReplay(replay);
  const kernel = kernelOfChoice(choice);
  const bySeed = (seed: number): Run => run(scenario, { kernel, seed, steps: BOUND });
  if (choice.seed !== null)
    return { run: bySeed(choice.seed), order: `In the order of seed ${choice.seed}.` };
  if (kernel === recorded) return { run: run(replay), order: "In the recorded order." };
  const world = open(scenario, { kernel });
  const seed = parseSeeded(schedule)?.seed ?? world.scenario.seed;
  try {
    applySchedule(world, schedule);
  } catch (error) {
    const why = (error as Error).message.replace(/^the schedule does not fit [^:]*: /, "");
    return {
      run: bySeed(seed),
      order: `The recorded order does not fit ${kernel} (${why}): this is the order of seed ${seed}.`,
    };
  }
  const fits = world.schedule.length;
  if (world.settled()) return { run: reportRun(world, true), order: "In the recorded order, which fits." };
  const finished = runToEnd(world, seed, BOUND);
  const more = world.schedule.length - fits;
  return {
    run: reportRun(world, finished),
    order:
      `In the recorded order, which fits` +
      (more === 0 ? "." : `; ${more === 1 ? "one more step" : `${more} more steps`} by seed ${seed}.`),
  };
}
