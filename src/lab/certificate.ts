/**
 * Certificates: what a complete search claims, in a form that somebody else can check. The check is a search of its own (explore/recheck.ts),
 * on the same kernel and scenario; what it cannot find wrong is a step or an oracle that both believe in.
 */
import { type Confirmed, recheck } from "../explore/recheck.js";
import type { FaultKind } from "../trace/recording.js";
import { SEVERITY } from "./outcomes.js";
import { open } from "./world.js";

/** What a search claims. */
export interface Certificate extends Confirmed {
  readonly guplab: "certificate";
  readonly scenario: string;
  readonly kernel: string;
}

/** What came of checking one. */
export interface CheckReport {
  readonly scenario: string;
  readonly kernel: string;
  readonly confirmed: boolean;
  /** What was claimed that is not so. */
  readonly differences: readonly {
    readonly what: string;
    readonly claimed: unknown;
    readonly found: unknown;
  }[];
  /** What the check found. */
  readonly found: Confirmed;
}

export interface Check extends CheckReport {
  toJSON(): CheckReport;
  toString(): string;
}

const NUMBERS = ["states", "transitions", "depth"] as const;

/** @throws Error with one sentence when a text is no certificate */
export function readCertificate(text: string): Certificate {
  const no = (why: string): Error =>
    new Error(`this is no certificate: ${why}; guplab explore SCENARIO --certificate FILE writes one`);
  let read: Partial<Certificate> | null;
  try {
    read = JSON.parse(text) as Partial<Certificate> | null;
  } catch {
    throw no("it is not whole JSON");
  }
  if (read?.guplab !== "certificate") throw no('it lacks "guplab": "certificate"');
  for (const name of NUMBERS) if (!Number.isInteger(read[name])) throw no(`its ${name} is no whole number`);
  for (const name of ["scenario", "kernel", "fingerprint"] as const)
    if (typeof read[name] !== "string") throw no(`its ${name} is no text`);
  if (typeof read.faults !== "object" || read.faults === null) throw no("its faults are missing");
  for (const [kind, steps] of Object.entries(read.faults))
    if (!SEVERITY.includes(kind as FaultKind) || !Number.isInteger(steps))
      throw no(`${kind} is no kind of fault with a number of steps`);
  return read as Certificate;
}

/**
 * Check what a certificate claims, by a search that shares no code of searching with the first.
 *
 * @param progress called now and then; returning false interrupts
 * @throws Error with one sentence when it is no certificate, a name in it is not known here, or it was interrupted
 */
export function check(text: string, progress?: (seen: { states: number; depth: number }) => boolean): Check {
  const claimed = readCertificate(text);
  const { scenario, kernel } = claimed;
  const world = open(scenario, { kernel, record: false });
  const found = recheck(world.faces(null), progress);
  if (found === null) throw new Error(`the check of ${scenario} on ${kernel} was interrupted`);
  const kinds = SEVERITY.filter((kind) => kind in claimed.faults || kind in found.faults);
  const differences = [
    ...[...NUMBERS, "fingerprint" as const].map((what) => ({
      what: what as string,
      claimed: claimed[what] as unknown,
      found: found[what] as unknown,
    })),
    ...kinds.map((kind) => ({
      what: `steps to ${kind}`,
      claimed: claimed.faults[kind] ?? null,
      found: found.faults[kind] ?? null,
    })),
  ].filter((each) => each.claimed !== each.found);
  const report: CheckReport = { scenario, kernel, confirmed: differences.length === 0, differences, found };
  const faults = kinds.map((kind) => `${kind} in ${found.faults[kind]} steps`);
  return {
    ...report,
    toJSON: () => report,
    toString: () =>
      report.confirmed
        ? `${scenario} on ${kernel}: confirmed: ${found.states} states, ${found.transitions} transitions, fingerprint ${found.fingerprint}; ` +
          (faults.length > 0 ? `at the least ${faults.join(", ")}` : "nothing goes wrong")
        : [
            `${scenario} on ${kernel}: NOT confirmed`,
            ...differences.map((each) => `  ${each.what}: claimed ${each.claimed}, found ${each.found}`),
          ].join("\n"),
  };
}
