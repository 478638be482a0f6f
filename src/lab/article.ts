/**
 * The article sentence by sentence: what is claimed in "DMA and get_user_pages()" (Jake Edge, LWN, 12 December 2018) and in the comments below
 * it, each claim with a number, who makes it, and what shows or refutes it: searches whose outcome is computed when it is asked for.
 *
 * Numbered is what claims something about the kernel, about a proposal, or a number; not what was hoped, wished or joked. A claim whose code
 * is still to come shows nothing.
 */
import { DISPLAY } from "../plot/index.js";
import type { FaultKind } from "../trace/recording.js";
import { CLAIMS } from "./claims.js";
import { type ExploreOptions, explore, type Verdict } from "./explore.js";
import { rate, type TimeName, type TimesGiven } from "./rate.js";
import { fill } from "./text.js";

/** A search, and what it must come to for the claim to hold. */
export interface ClaimSearch {
  readonly scenario: string;
  /** Default v4.20: the kernel of the article. */
  readonly kernel?: string;
  /** A kind of outcome that must be possible; "safe": no fault may be. */
  readonly finds: FaultKind | "safe";
  /** Default 400,000: enough to find what is there, and too few to see all of a machine with reclaim. */
  readonly maxStates?: number;
}

/** How often something happens: a mean time, with times that nobody measured. */
export interface ClaimRate {
  readonly scenario: string;
  readonly times: TimesGiven;
  readonly pinned: number;
}

/** What shows or refutes a claim. */
export interface Shows {
  readonly searches?: readonly ClaimSearch[];
  readonly rates?: readonly ClaimRate[];
  /** Names of the proposals that it is about. */
  readonly proposals?: readonly string[];
  /** Files of tests in which more is computed. */
  readonly tests?: readonly string[];
}

export interface Claim {
  readonly nr: number;
  /** Who says it: a speaker, LWN for the article's own words, or a commenter. */
  readonly who: string;
  /** A few words, by which the sentence is found. */
  readonly quote: string;
  /** What is claimed, in our words. */
  readonly claim: string;
  /** Null: nothing as yet. */
  readonly shows: Shows | null;
}

/** Every claim, by its number. */
export const claims: readonly Claim[] = CLAIMS.map((each, at) => ({ nr: at + 1, ...each }));

/** What became of a search. */
export interface ClaimResult {
  readonly scenario: string;
  readonly kernel: string;
  readonly finds: FaultKind | "safe";
  /** Null where the search was cut short before it knew. */
  readonly holds: boolean | null;
  readonly outcomes: Verdict["outcomes"];
  readonly states: number;
  readonly complete: boolean;
  /** The line that shows it: the shortest way to what it looked for, or to the worst that it found instead. */
  readonly replay: string | null;
}

/** How often something happens, and with which power of each time the mean time goes. */
export interface RatedReport extends ClaimRate {
  readonly meanTime_s: number | null;
  readonly exponents: Readonly<Partial<Record<TimeName, number>>>;
}

/** What `guplab article N --json` prints. */
export interface ToldReport extends Claim {
  /** Whether every search comes to what the claim says; null where there is none, or one was cut short. */
  readonly holds: boolean | null;
  readonly results: readonly ClaimResult[];
  readonly rates: readonly RatedReport[];
}

export interface Told extends ToldReport {
  toJSON(): ToldReport;
  toString(): string;
}

export interface ArticleOptions {
  /** For each search; default its own. */
  readonly maxStates?: number;
  readonly progress?: ExploreOptions["progress"];
}

const MAX_STATES = 400_000;

/** The claim of a number. @throws Error with one sentence when there is none */
export function claimOf(nr: number): Claim {
  const found = claims[nr - 1];
  if (found === undefined) throw new Error(`the article has claims 1 to ${claims.length}, and no ${nr}`);
  return found;
}

/** Whether a verdict is what was looked for. */
function holdsIn({ verdict, outcomes, complete }: Verdict, finds: ClaimSearch["finds"]): boolean | null {
  if (finds === "safe") return verdict === "incomplete" ? null : verdict === "safe";
  if (outcomes.includes(finds)) return true;
  return complete ? false : null;
}

function resultOf(search: ClaimSearch, { maxStates, progress }: ArticleOptions): ClaimResult {
  const { scenario, finds, kernel = "v4.20" } = search;
  const verdict = explore(scenario, {
    kernel,
    maxStates: maxStates ?? search.maxStates ?? MAX_STATES,
    progress,
  });
  const { outcomes, states, complete, shortest, met = [], witness } = verdict;
  const way = [...shortest, ...met].find(({ kind }) => kind === finds);
  return {
    scenario,
    kernel,
    finds,
    holds: holdsIn(verdict, finds),
    outcomes,
    states,
    complete,
    replay: way?.replay ?? witness?.replay ?? null,
  };
}

const resultText = ({ scenario, kernel, finds, holds, outcomes, states, complete }: ClaimResult): string => {
  const found = outcomes.length === 0 ? "nothing found" : outcomes.join(", ");
  const bound = complete
    ? `every interleaving, ${states} states`
    : `not every interleaving, stopped at ${states} states`;
  const answer = holds === null ? "not known" : holds ? "so it is" : "it is not so";
  return `${scenario} on ${kernel}, ${finds === "safe" ? "safe" : `finds ${finds}`}: ${answer}: ${found} (${bound})`;
};

const timeText = (seconds: number | null): string => {
  if (seconds === null) return "no mean time";
  const days = seconds / 86_400;
  if (days >= 365) return `${(days / 365.25).toPrecision(3)} years`;
  if (days >= 1) return `${days.toPrecision(3)} days`;
  return `${(seconds / 3600).toPrecision(3)} hours`;
};

/** A line of an answer, filled: what does not fit hangs below it. */
const hanging = (text: string): string[] =>
  fill(text, 92).map((line, at) => `${at === 0 ? "  " : "      "}${line}`);

/** The first lines about a claim. */
const headOf = ({ nr, who, quote, claim }: Claim): string[] => [
  `${nr}. ${who}: "${quote}"`,
  ...fill(claim, 96).map((line) => `   ${line}`),
];

/**
 * A claim, with what its searches come to now.
 *
 * @param nr its number
 * @throws Error with one sentence when there is no such claim
 * @example article(4).holds // true
 */
export function article(nr: number, options: ArticleOptions = {}): Told {
  const claim = claimOf(nr);
  const { searches = [], rates = [], proposals = [], tests = [] } = claim.shows ?? {};
  const results = searches.map((search) => resultOf(search, options));
  const rated = rates.map((question): RatedReport => {
    const { scenario, times, pinned } = question;
    const { exact, sensitivities } = rate(scenario, { times, pinned, progress: options.progress });
    const exponents = Object.fromEntries((sensitivities ?? []).map(({ time, exponent }) => [time, exponent]));
    return { ...question, meanTime_s: exact?.meanTime_s ?? null, exponents };
  });
  const answers = results.map(({ holds }) => holds);
  const known = answers.includes(false)
    ? false
    : answers.includes(null) || answers.length === 0
      ? null
      : true;
  const report: ToldReport = {
    ...claim,
    holds: known,
    results,
    rates: rated,
  };
  const told = (): string[] => {
    if (claim.shows === null) return ["nothing shows it as yet"];
    const somewhere = results.some(({ holds }) => holds);
    const said =
      known === null ? [] : [known ? "It holds." : somewhere ? "It holds in part." : "It does not hold."];
    return [
      ...said,
      ...results.flatMap((result) => [
        ...hanging(resultText(result)),
        ...(result.replay === null ? [] : [`    replay: ${result.replay}`]),
      ]),
      ...rated.flatMap(({ scenario, times, pinned, meanTime_s, exponents }) => {
        const given = Object.entries(times).map(([name, time]) => `${name}=${time}`);
        const powers = Object.entries(exponents).filter(([, power]) => Math.abs(power) > 0.5);
        const moved = powers.map(([name, power]) => `${name} (power ${power.toFixed(1)})`);
        return hanging(
          `${scenario}: once in ${timeText(meanTime_s)}, which goes with ${moved.join(", ")} [synthetic: ${given.join(" ")} pinned=${pinned}]`,
        );
      }),
      ...(proposals.length > 0 ? hanging(`proposals: ${proposals.join(", ")}`) : []),
      ...(tests.length > 0 ? hanging(`tests: ${tests.join(", ")}`) : []),
    ];
  };
  const text = (): string => [...headOf(claim), "", ...told()].join("\n");
  const made: Told = { ...report, toJSON: () => report, toString: text };
  return Object.assign(made, { [DISPLAY]: () => ({ "text/plain": text() }) });
}

/** Every claim as text, without computing anything. */
export const articleText = (): string =>
  [
    ...claims.flatMap((each) => [
      ...headOf(each),
      ...(each.shows === null ? ["   (nothing shows it as yet)"] : []),
    ]),
    "",
    `guplab article N computes what shows or refutes one: 1 to ${claims.length}`,
  ].join("\n");
