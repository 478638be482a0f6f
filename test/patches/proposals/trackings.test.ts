/** Every way to know of pins: references balance on random machines, at every step, whatever it notes and where. */
import { describe, expect, it } from "vitest";
import type { World } from "../../../src/lab/world.js";
import type { Patch } from "../../../src/patches/patch.js";
import {
  glisse_kara_bias_2019,
  hubbard_bias_rfc_2019,
} from "../../../src/patches/proposals/glisse_kara_bias_2019.js";
import { glisse_mapcount_2018 } from "../../../src/patches/proposals/glisse_mapcount_2018.js";
import { trackings } from "../../../src/patches/proposals/trackings.js";
import { track_foll_pin } from "../../../src/patches/track_foll_pin.js";
import { Invariants } from "../../lab/invariants.js";
import { randomRun } from "../../lab/random_runs.js";

const TIMEOUT = 180_000;
/** They change what a count means that the invariants know: 1,024 references a pin, mapcounts without PTEs. notes.test.ts holds them to it. */
const OTHERWISE: readonly Patch[] = [
  track_foll_pin,
  glisse_mapcount_2018,
  glisse_kara_bias_2019,
  hubbard_bias_rfc_2019,
];
const OURS = trackings.filter((each) => !OTHERWISE.includes(each)).map(({ name }) => name);
const STEPS = 12_000;

/** Whether a task has died in the middle of a list: what it held is nobody's to say. */
const torn = ({ k }: World): boolean =>
  k.faults.some(({ message }) => message.includes("list_del corruption"));

describe.each([
  ...OURS.map((name) => `v4.20+${name}`),
  "v4.20+morton-assertion-2018",
  "v4.20+lru-waits-isolation",
  "v6.2+hubbard-lru-longterm-2023",
  "v6.2+hubbard-lru-longterm-2023+lru-waits-isolation",
  "2026+hubbard-lru-longterm-2023",
])("%s", (kernel) => {
  it.each(["scenario", "sandbox"] as const)(
    "keeps every invariant on random machines: %s",
    { timeout: TIMEOUT },
    (draw) => {
      for (let steps = 0, seed = 1; steps < STEPS; seed++) {
        let running: World | null = null;
        let invariants: Invariants | null = null;
        const made = randomRun(draw, seed, kernel, (world) => {
          if (running !== world) invariants = new Invariants(world);
          running = world;
          if (!torn(world)) expect([world.replay, invariants?.violated()]).toEqual([world.replay, null]);
        });
        steps += made.steps;
      }
    },
  );
});
