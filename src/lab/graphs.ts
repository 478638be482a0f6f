/** Searches that keep their graph: what the explanations of a scenario or a run are read from. */
import { type Explored, exploreGraph, type Faults, faultsOf } from "../explore/graph.js";
import type { ExploreOptions } from "./explore.js";
import type { KernelName } from "./own_patches.js";
import { open, type World } from "./world.js";

/** How far a search may go. */
export type Bounds = Pick<ExploreOptions, "maxStates" | "maxBytes" | "progress">;

export interface Mapped extends Explored {
  readonly world: World;
  readonly faults: Faults;
  /** Which instruction each edge begins with. */
  readonly made: Uint16Array;
}

/** The bounds of a search, completed: by what its states take where nothing else is said. */
export const completeBounds = ({ maxStates, maxBytes, progress }: Bounds) => ({
  maxStates: maxStates ?? Number.POSITIVE_INFINITY,
  maxBytes,
  progress: progress ?? (() => true),
});

/** @throws Error with one sentence when a world waits for orders: a search gives none, and would call it safe */
export function refuseOrders(world: World): void {
  if (world.takesOrders)
    throw new Error(`${world.name} takes orders: what can happen to it depends on what is said`);
}

/** Thrown where somebody interrupts the second pass over a graph. */
class Interrupted extends Error {}
/** Steps between two looks at who waits. */
const LOOK = 1 << 16;

/**
 * To be called for each step of a world's graph that is made again: now and then it says how far that is.
 *
 * @throws Error with one sentence when it is interrupted
 */
export function madeAgain(
  { result, graph }: Explored,
  { name }: World,
  progress: NonNullable<ExploreOptions["progress"]> = () => true,
): () => void {
  const { states, transitions, depth, witnesses } = result;
  const found = witnesses.map(({ kind }) => kind);
  let made = 0;
  return () => {
    if (++made % LOOK !== 0) return;
    const again = made / graph.edges;
    if (!progress({ states, transitions, frontier: 0, depth, found, again }))
      throw new Interrupted(`${name}: interrupted before every step had been looked at again`);
  };
}

/**
 * What is wrong where in a graph: every step is made again, with word of how far that is.
 *
 * @param also told of each step, while the machine stands before it
 * @returns null when it was interrupted
 */
export function faultsIn(
  explored: Explored,
  world: World,
  progress?: ExploreOptions["progress"],
  also: (edge: number) => void = () => {},
): Faults | null {
  const count = madeAgain(explored, world, progress);
  try {
    return faultsOf(explored, world.faces, (edge) => {
      also(edge);
      count();
    });
  } catch (error) {
    if (error instanceof Interrupted) return null;
    throw error;
  }
}

/**
 * Search a scenario and keep its graph, with what is wrong where and which step each edge is.
 *
 * @throws Error with one sentence when a name does not fit, the scenario waits for orders, or it was interrupted after the search
 */
export function mapOf(scenario: string, kernel: KernelName | undefined, bounds: Bounds): Mapped {
  const world = open(scenario, { kernel, record: false });
  refuseOrders(world);
  const explored = exploreGraph(world.faces, completeBounds(bounds));
  const made = new Uint16Array(explored.graph.edges);
  const { task } = explored.graph;
  const faults = faultsIn(explored, world, bounds.progress, (edge) => {
    made[edge] = world.machine.pcOf(task[edge]);
  });
  if (faults === null)
    throw new Error(`${world.name}: interrupted before it was known what goes wrong where`);
  return { ...explored, world, faults, made };
}
