/**
 * A scenario in which the power can go at any step: `power-cut=yes` after its name. The power is a task like any other,
 * whose one step ends everything; so it stands in schedules ("f12d3cut1"), lanes and verdicts, and a search tries it in
 * every state. kernel/fs/power_failure.ts says what is judged then.
 */
import { power_failure } from "../kernel/fs/power_failure.js";
import { choice, type Scenario } from "./scenario.js";

/** The parameter that every scenario can be given. */
export const POWER_CUT = "power-cut";

/** What a verdict says of its bounds where the power can go. */
export const CUT_BOUND =
  "power cut: in every state; the disk has no cache of its own, commit records are whole, O_DSYNC and sync promise nothing here, and a wait in which only the power moves is not told";

/** Ticks for which the power holds in a seeded run, about. */
const HOLDS = 500;

/** The same scenario, with the parameter. */
export const withPowerCut = (scenario: Scenario): Scenario => ({
  ...scenario,
  parameters: {
    ...scenario.parameters,
    [POWER_CUT]: choice("whether the power can go, at any step", {
      no: "it holds",
      yes: "it can: what fsync had promised by then is compared with what recovery finds; a state in which nobody else can move is not told",
    }),
  },
  setup: ({ [POWER_CUT]: cut, ...values }) => {
    const made = scenario.setup(values);
    if (cut !== "yes") return made;
    const { config = [] } = made.geometry;
    return {
      ...made,
      geometry: {
        ...made.geometry,
        config: [...config.filter((each) => each !== "fsync_oracle"), "fsync_oracle", "power_cut"],
      },
      tasks: [...made.tasks, { name: "power", letter: "cut", path: power_failure, args: [], daemon: true }],
      pace: { ...made.pace, power: HOLDS },
    };
  },
});
