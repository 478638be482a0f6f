/** A scenario as a Promela model for Spin (explore/promela.ts). */
import { toPromela } from "../explore/promela.js";
import type { ExploreOptions } from "./explore.js";
import { completeBounds, refuseOrders } from "./graphs.js";
import { open } from "./world.js";

/**
 * Search a scenario, and write down what was learned of its steps.
 *
 * @throws Error with one sentence when a name does not fit, or the search is not complete
 * @example promela("W14").includes("active proctype")
 */
export function promela(scenario: string, options: Omit<ExploreOptions, "parameters"> = {}): string {
  const world = open(scenario, { kernel: options.kernel, record: false });
  refuseOrders(world);
  const { name, kernel, machine } = world;
  const shared = machine.memory.cells().filter((cell) => machine.ownerOf(cell) < 0);
  const taskNames = machine.tasks.map((task) => task.name);
  let text: string | null = null;
  world.explore({
    ...completeBounds(options),
    learned: (engine, states) => {
      text = toPromela(engine, {
        title: `${name} on ${kernel.name}`,
        states,
        taskNames,
        nameOf: (component) => {
          const { struct, row, field } = shared[component - taskNames.length];
          return `${struct.name} ${row} ${field}`;
        },
      });
    },
  });
  if (text === null)
    throw new Error(`${name} on ${kernel.name}: no model can be written, the search is not complete`);
  return text;
}
