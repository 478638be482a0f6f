/** Searches that keep their graph: what the explanations of a scenario or a run are read from. */
import { type Explored, exploreGraph, type Faults, faultsOf } from "../explore/graph.js";
import type { ExploreOptions } from "./explore.js";
import { open, type World } from "./world.js";

/** How far a search may go. */
export type Bounds = Pick<ExploreOptions, "maxStates" | "progress">;

export interface Mapped extends Explored {
  readonly world: World;
  readonly faults: Faults;
  /** Which instruction each edge begins with. */
  readonly made: Uint16Array;
}

/** The bounds of a search, completed: by what its states take where nothing else is said. */
export const completeBounds = ({ maxStates, progress }: Bounds) => ({
  maxStates: maxStates ?? Number.POSITIVE_INFINITY,
  progress: progress ?? (() => true),
});

/**
 * Search a scenario and keep its graph, with what is wrong where and which step each edge is.
 *
 * @throws Error with one sentence when a name does not fit, or the scenario waits for orders
 */
export function mapOf(scenario: string, kernel: string | undefined, bounds: Bounds): Mapped {
  const world = open(scenario, { kernel, record: false });
  if (world.takesOrders)
    throw new Error(`${world.name} takes orders: what can happen to it depends on what is said`);
  const explored = exploreGraph(world.faces, completeBounds(bounds));
  const made = new Uint16Array(explored.graph.edges);
  const { task } = explored.graph;
  const faults = faultsOf(explored, world.faces, (edge) => {
    made[edge] = world.machine.pcOf(task[edge]);
  });
  return { ...explored, world, faults, made };
}
