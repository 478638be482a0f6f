/** Figures of the recorded run, drawn of another: of another kernel, another order, or the reader's own steps. */
import type { Figure, Part } from "../../plot/index.js";
import type { Run } from "../run.js";
import { why } from "../why.js";

/** Why a figure cannot be drawn of a run. */
export interface Undrawn {
  readonly says: string;
  /** Whether it takes a search, which a page does not make for a figure: the recorded one may stay, with these words. */
  readonly search: boolean;
}

/** Kinds of figures that show a whole run. */
const WHOLE = ["pins", "dirty", "reclaim", "heat", "flow", "lanes"] as const;

const isWhole = (kind: string): kind is (typeof WHOLE)[number] => WHOLE.some((each) => each === kind);

/** The command that makes a figure which takes a search. */
const commandOf = (kind: string, { replay, world: { name, kernel } }: Run): string =>
  kind === "before" ? `guplab orderings '${name}' -k ${kernel.name}` : `guplab ${kind} '${replay}'`;

/**
 * A figure of a run, as another of the same kind and part is of the recorded one. A moment that the run does not come to is its end.
 *
 * @param kind the figure's kind, "pins" for example
 * @example
 * const other = redrawn(run("kara-2018", { kernel: "v6.4" }), "life", { pfn: 0 });
 * "says" in other ? other.says : other.kind // "life"
 */
export function redrawn(run: Run, kind: string, part: Part): Figure | Undrawn {
  try {
    return drawn(run, kind, part);
  } catch (error) {
    // Of a run in which nothing of the kind happens, or a machine without such a page.
    return { says: (error as Error).message, search: false };
  }
}

function drawn(run: Run, kind: string, { pfn, tick, since, cell }: Part): Figure | Undrawn {
  const { plot, steps, replay } = run;
  if (isWhole(kind)) return plot[kind]();
  const at = tick === undefined ? steps : Math.min(tick, steps);
  const before = since !== undefined && since < at ? since : undefined;
  switch (kind) {
    case "life":
      return plot.life(pfn);
    case "page":
      return plot.page({ pfn, tick: at, since: before });
    case "owners":
      return plot.owners({ pfn, tick: at });
    case "waits":
      return plot.waits({ tick: at });
    case "why":
      if (cell === undefined) break;
      return why(replay, cell).figure() ?? { says: `No step of this run changes ${cell}.`, search: false };
  }
  return {
    says: `This figure takes a search of every interleaving: ${commandOf(kind, run)}`,
    search: true,
  };
}
