/** The scenarios that guplab knows. */
import { cve_2020_29374 } from "./cve_2020_29374.js";
import { dioWriteRace } from "./dio_write_race.js";
import { kara2018, kara2018Private, kara2018Quiet, kara2018Tmpfs, kara2018Touch } from "./kara_2018.js";
import { sandbox } from "./sandbox.js";
import type { Scenario } from "./scenario.js";
import { swapPinned } from "./swap_pinned.js";
import { workloads } from "./workloads/index.js";
import { halfPage } from "./workloads/integrity.js";

export const scenarios: readonly Scenario[] = [
  kara2018,
  kara2018Quiet,
  kara2018Tmpfs,
  kara2018Private,
  kara2018Touch,
  swapPinned,
  dioWriteRace,
  halfPage,
  ...workloads,
  cve_2020_29374,
  sandbox,
];

/**
 * Look a scenario up by its name.
 *
 * @throws Error with one sentence that lists the known ones
 */
export function findScenario(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name || scenario.aliases.includes(name));
  if (!found)
    throw new Error(
      `there is no scenario "${name}"; known: ${scenarios.map(({ name: full, aliases }) => [...aliases, full].join(" or ")).join(", ")}`,
    );
  return found;
}
