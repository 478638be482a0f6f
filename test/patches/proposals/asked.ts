/** What tests of proposals ask: the outcomes of a search, and seeded runs in which the invariants hold at every step. */
import { expect } from "vitest";
import { explore } from "../../../src/lab/explore.js";
import { open } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";

/** The outcomes of a complete search, worst first: "STALE+REFUSED"; "incomplete" where the bound ended it. */
export function outcomes(name: string, kernel: string, maxStates = 500_000): string {
  const verdict = explore(name, { kernel, maxStates });
  return verdict.verdict === "incomplete" || !verdict.complete ? "incomplete" : verdict.outcomes.join("+");
}

/** The shortest way to a kind of fault, as "task step" of its named steps. */
export function way(name: string, kernel: string, kind: string): string[] {
  const { steps, outcomes } = explore(name, { kernel });
  expect(outcomes[0]).toBe(kind);
  return steps.map(({ task, step }) => `${task} ${step}`);
}

/** That some lines come in this order among others. */
export function inOrder(lines: readonly string[], ...wanted: readonly string[]): void {
  let at = -1;
  for (const each of wanted) {
    const next = lines.indexOf(each, at + 1);
    expect(next, `${each} after line ${at} of\n${lines.join("\n")}`).toBeGreaterThan(at);
    at = next;
  }
}

/** Seeded runs, the invariants asked at every step: what was reported, each message once, "KIND message". */
export function runs(name: string, kernel: string, seeds: number, most = 3000): Set<string> {
  const told = new Set<string>();
  for (let seed = 1; seed <= seeds; seed++) {
    const world = open(name, { kernel, record: false });
    const invariants = new Invariants(world);
    const scheduler = world.scheduler(seed);
    for (let made = 0; made < most && !world.settled(); made++) {
      const task = scheduler.next();
      if (task < 0) break;
      world.step(task);
      expect(invariants.violated(), `seed ${seed}: ${world.replay}`).toBeNull();
    }
    for (const { kind, message } of world.k.faults) told.add(`${kind} ${message}`);
  }
  return told;
}
