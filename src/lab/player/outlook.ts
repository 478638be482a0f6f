/**
 * Whether something can still go wrong from a moment on, asked by a reader who orders the steps himself and does not wait long.
 *
 * Random walks answer "yes" at once where many ways lead to it. "No" takes a search that sees every interleaving from here, which is
 * quick near the end of a run and long at its start: it says how far it is, and stops at its bound.
 */
import type { FaultKind } from "../../trace/recording.js";
import { refuseOrders } from "../graphs.js";
import { isFault, SEVERITY } from "../outcomes.js";
import { lossesOf } from "../run.js";
import { applySchedule, open, parseReplay } from "../world.js";

/** A kind of fault that can still happen, and in how many steps. */
export interface Ahead {
  readonly kind: FaultKind;
  readonly steps: number;
  /** Whether no way is shorter. */
  readonly shortest: boolean;
}

export interface Outlook {
  /** What is asked about. */
  readonly wanted: FaultKind;
  /** Whether it has happened already. */
  readonly happened: boolean;
  /** What is known to be possible and has not happened, worst first. */
  readonly ahead: readonly Ahead[];
  /** Whether every interleaving from here was seen: what is not ahead then cannot happen. */
  readonly complete: boolean;
  /** Random ways that were gone. */
  readonly walks: number;
  /** States seen by the search. */
  readonly states: number;
  /** Whether the search goes on. */
  readonly searching: boolean;
}

export interface OutlookOptions {
  /** States after which the search is given up where nothing is known of what is wanted; default 10 million, some 500 MB. */
  readonly maxStates?: number;
  /** The same where a walk has met it already, and only a shorter way is looked for; default 300 000. */
  readonly maxStatesForShorter?: number;
  /** Told what is known so far, now and then. Returning false ends it. */
  readonly told?: (soFar: Outlook) => boolean;
}

const WALKS = { strategy: "sticky", walks: 64, seed: 1, depth: 1, maxSteps: 2000 } as const;

/**
 * What can still happen after a replay line.
 *
 * @param wanted the kind that is asked about; the search ends when it knows the shortest way to it
 * @throws Error with one sentence when the line does not fit, or its scenario waits for orders
 * @example outlook("dio-write-race@v4.20:w10t1", "TORN").ahead[0].kind // "TORN"
 */
export function outlook(replay: string, wanted: FaultKind, options: OutlookOptions = {}): Outlook {
  const { maxStates = 10_000_000, maxStatesForShorter = 300_000, told = () => true } = options;
  const { scenario, kernel, schedule } = parseReplay(replay);
  const world = open(scenario, { kernel, record: false });
  refuseOrders(world);
  applySchedule(world, schedule);
  const past = new Set([...world.faults, ...lossesOf(world)].map(({ kind }) => kind));
  const ahead = new Map<FaultKind, Ahead>();
  const soFar = (states: number, complete: boolean, searching: boolean): Outlook => ({
    wanted,
    happened: past.has(wanted),
    ahead: SEVERITY.flatMap((kind) => ahead.get(kind) ?? []),
    complete,
    walks: WALKS.walks,
    states,
    searching,
  });
  const note = (kind: FaultKind, steps: number, shortest: boolean): void => {
    if (past.has(kind) || !isFault(kind)) return;
    const known = ahead.get(kind);
    if (known === undefined || steps <= known.steps) ahead.set(kind, { kind, steps, shortest });
  };

  const { meetings } = world.walk({ ...WALKS, progress: () => true });
  for (const { kind, schedule: way } of meetings) note(kind, way.length, false);
  let goesOn = told(soFar(0, false, true));
  const enough = ahead.has(wanted) || past.has(wanted) ? maxStatesForShorter : maxStates;
  const result = world.explore({
    maxStates: enough,
    progress: ({ states, found }) => {
      goesOn &&= told(soFar(states, false, true));
      return goesOn && (past.has(wanted) || !found.includes(wanted));
    },
  });
  for (const { kind, schedule: way } of result.witnesses) if (way.length > 0) note(kind, way.length, true);
  return soFar(result.states, result.complete, false);
}

const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, " ");
const inSteps = ({ steps, shortest }: Ahead): string =>
  `in ${steps === 1 ? "one step" : `${steps} steps`}${shortest ? "" : " or fewer"}`;

/**
 * An outlook as a sentence or two.
 *
 * @param since where it is that of an earlier moment: after so many steps
 */
export function outlookText(said: Outlook, since?: number): string {
  const { wanted, happened, ahead, complete, walks, states, searching } = said;
  const crash = wanted === "BUG";
  const way = ahead.find(({ kind }) => kind === wanted);
  const others = ahead.filter(({ kind }) => kind !== wanted).map((each) => `${each.kind} ${inSteps(each)}`);
  const besides =
    others.length > 0 ? ` ${happened || !way ? "Still" : "Also"} possible: ${others.join(", ")}.` : "";
  const [there, on] =
    since === undefined ? ["from here", ""] : [`from step ${since}`, ` from step ${since} on`];
  const seen = `every interleaving${on} seen, ${grouped(states)} ${states === 1 ? "state" : "states"}`;
  if (happened) {
    const nothing = complete && others.length === 0 ? ` Nothing else can go wrong: ${seen}.` : "";
    return `${crash ? "It has crashed" : `${wanted} has happened`}.${besides}${nothing}`;
  }
  if (way) return `${crash ? "A crash" : wanted} can still happen: ${inSteps(way)}.${besides}`;
  const what = crash ? "a crash" : wanted;
  if (complete) return `No way to ${what} from here: ${seen}.${besides}`;
  const found = `no ${crash ? "crash" : wanted} in ${walks} random ways ${there}, nor in the first ${grouped(states)} states of a search`;
  return searching
    ? `Not known yet: ${found} of every interleaving, which goes on.${besides}`
    : `Not known: ${found} of every interleaving, which ended there.${besides}`;
}
