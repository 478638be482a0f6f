/**
 * What the search is to reach, and what it reaches here. Each row is a process of its own, cold: what somebody waits for who asks once. It
 * prints, and fails nothing: seconds depend on the machine.
 */
import { fresh, machine, seconds, table, thousands } from "./fresh.js";

const SCENARIO = "kara-2018";
/** Two pages and two drivers: a page for each, and two for each. */
const LARGE = ["kara-2018,drivers=2", "kara-2018,pages=2,drivers=2"] as const;

const VERDICT_S = 1;
const CRASH_S = 0.2;
const STATES_PER_S = 1e6;
const BYTES = 100;
const LARGE_S = 10;

const rows: string[][] = [["what", "target", "reached", "met"]];
const row = (what: string, target: string, reached: string, met: boolean): void => {
  rows.push([what, target, reached, met ? "yes" : "NO"]);
};

const whole = fresh({ scenario: SCENARIO });
row(
  `${SCENARIO}, 1 page, 1 driver: the verdict`,
  seconds(VERDICT_S),
  `${seconds(whole.cpuSeconds)}; ${thousands(whole.states)} states, ${thousands(whole.transitions)} transitions`,
  whole.cpuSeconds <= VERDICT_S,
);

const { first } = fresh({ scenario: SCENARIO, walks: 2000 });
if (first === undefined) row("its crash, by sticky walks", seconds(CRASH_S), "not met in 2000 walks", false);
else {
  const met = fresh({ scenario: SCENARIO, walks: first });
  row(
    "its crash, by sticky walks of the default seed",
    seconds(CRASH_S),
    `${seconds(met.cpuSeconds)}; in walk ${first}, ${met.steps} steps`,
    met.cpuSeconds <= CRASH_S,
  );
}

const crash = fresh({ scenario: SCENARIO, until: "BUG" });
row(
  "its crash, the proven shortest way",
  seconds(CRASH_S),
  `${seconds(crash.cpuSeconds)}; ${crash.steps} steps, after ${thousands(crash.states)} states`,
  crash.cpuSeconds <= CRASH_S,
);

const rate = whole.states / whole.cpuSeconds;
row("states a second, in the first row", thousands(STATES_PER_S), thousands(rate), rate >= STATES_PER_S);
const bytes = whole.bytes / whole.states;
row(
  "bytes a state, in the first row",
  String(BYTES),
  `${bytes.toFixed(1)}; ${(whole.rss / whole.states).toFixed(1)} with all that the process has`,
  bytes <= BYTES,
);

for (const scenario of LARGE) {
  const large = fresh({ scenario, maxCpuSeconds: LARGE_S });
  row(
    `${scenario}: the verdict`,
    seconds(LARGE_S),
    large.complete
      ? `${seconds(large.cpuSeconds)}; ${thousands(large.states)} states`
      : `incomplete: ${thousands(large.states)} states, ${thousands(large.left)} not expanded, ${large.depth} steps deep`,
    large.complete && large.cpuSeconds <= LARGE_S,
  );
}

console.log(`\nTargets of the search, in seconds of processor time: ${machine()}\n\n${table(rows, [1])}\n`);
