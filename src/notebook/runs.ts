/**
 * The runs that a page shows: found by the replay lines of its figures, and run again, so that the page can say what their memory was at
 * the end and the player in it can find the same.
 */
import { memoryHash } from "../lab/player/hash.js";
import { type Run, run } from "../lab/run.js";
import { parseReplay } from "../lab/world.js";
import { parseSeeded } from "../machine/schedule.js";
import type { CodeCell, Notebook } from "./format.js";

/** A run of the page, run again. */
export interface PageRun {
  /** In the page: "run-1". */
  readonly id: string;
  readonly replay: string;
  readonly outcomes: Run["outcomes"];
  readonly steps: number;
  /** The seed that chooses this order; null when none that the notebook names does. */
  readonly seed: number | null;
  /** Of the memory after the last step (lab/player/hash.ts). */
  readonly hash: string;
}

/** A run that cannot be run again here: its kernel has a patch of the notebook's own. */
export interface LostRun {
  readonly replay: string;
  readonly why: string;
}

/** The seeds that a notebook's code names. */
function seedsIn({ cells }: Notebook): readonly number[] {
  const code = cells.filter((cell): cell is CodeCell => cell.cell_type === "code");
  const named = code.flatMap(({ source }) => [...source.matchAll(/\bseed: *(\d{1,9})\b/g)]);
  return [...new Set(named.map(([, digits]) => Number(digits)))];
}

/** The runs of one page, as they are met. */
export class PageRuns {
  readonly runs: PageRun[] = [];
  readonly lost: LostRun[] = [];
  private readonly met = new Set<string>();
  private readonly seeds: readonly number[];

  constructor(notebook: Notebook) {
    this.seeds = seedsIn(notebook);
  }

  /** The run of a replay line when it is met for the first time and can be run; undefined otherwise. */
  meet(replay: string): PageRun | undefined {
    if (this.met.has(replay)) return undefined;
    this.met.add(replay);
    try {
      const again = run(replay);
      const made: PageRun = {
        id: `run-${this.runs.length + 1}`,
        replay,
        outcomes: again.outcomes,
        steps: again.steps,
        seed: this.seedOf(again),
        hash: memoryHash(again.world.k.memory),
      };
      this.runs.push(made);
      return made;
    } catch (error) {
      this.lost.push({ replay, why: (error as Error).message });
      return undefined;
    }
  }

  private seedOf({ replay, world, steps }: Run): number | null {
    const { scenario, kernel, schedule } = parseReplay(replay);
    const said = parseSeeded(schedule);
    if (said !== null) return said.seed;
    if (world.takesOrders) return null;
    const candidates = new Set([world.scenario.seed, ...this.seeds]);
    return [...candidates].find((seed) => run(scenario, { kernel, seed, steps }).replay === replay) ?? null;
  }
}
