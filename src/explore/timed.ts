/**
 * A graph with what its times are made of: which kind of step each edge is, and in which states a run is over
 * (rates.ts).
 *
 * Both are asked while the search has the state at hand, so that no step need be made again. What kind of step a
 * task makes next depends on the task's own words alone (its place in the code), so it is asked once for each value
 * that they have.
 */
import type { FaultKind } from "../trace/recording.js";
import type { Engine, Explorable, Faces } from "./engine.js";
import {
  type Explored,
  edgeOf,
  exploreGraph,
  type Faults,
  type GraphOptions,
  NOWHERE,
  type Places,
} from "./graph.js";
import { Growing } from "./growing.js";

export interface Timed extends Explored {
  /** For each edge, what `kindOf` says of its task. */
  readonly kind: Uint8Array;
  /** 1 for a state in which nothing more will happen that matters. */
  readonly rest: Uint8Array;
  /** How many of the cells that are counted are not 0 in each state. */
  readonly counted: Uint8Array;
  readonly faults: Faults;
}

/** Bytes that become more. */
class Bytes {
  private room = new Uint8Array(1 << 12);

  /** Room for so many. */
  atLeast(count: number): Uint8Array {
    if (count > this.room.length) {
      const room = new Uint8Array(Math.max(count, this.room.length * 2));
      room.set(this.room);
      this.room = room;
    }
    return this.room;
  }
}

/** The component of each cell, as the engine numbers them: the tasks' own first, then every other cell by itself. */
function componentsOf({ tasks, cells, ownerOf }: Explorable): number[] {
  let next = tasks;
  return cells.map((_, cell) => {
    const owner = ownerOf(cell);
    return owner >= 0 ? owner : next++;
  });
}

/**
 * Search, and keep the graph with the kinds of its steps. The machine stays in its first state.
 *
 * @param kindOf the kind of a task's next step, from 0 to 255; asked of the machine's live state, and may depend on
 *   the task's own words only
 * @param count which cells to count, by their places among the machine's; none of them is a task's own. Default none
 */
export function exploreTimed(
  faces: Faces,
  options: GraphOptions,
  kindOf: (task: number) => number,
  count: readonly number[] = [],
): Timed {
  const machine = faces(null);
  const { tasks, cells } = machine;
  const components = componentsOf(machine);
  const places = count.map((cell) => {
    if (machine.ownerOf(cell) >= 0) throw new Error(`exploreTimed: cell ${cell} is a task's own`);
    return { component: components[cell], cell: cells[cell], values: [] as number[] };
  });
  const kinds = new Bytes();
  const over = new Bytes();
  const counts = new Bytes();
  const known: (number | undefined)[][] = Array.from({ length: tasks }, () => []);
  const wrong = new Map<FaultKind, { states: Growing; from: Growing; by: Growing }>();
  const visit = (state: number, engine: Engine): void => {
    over.atLeast(state + 1)[state] = engine.isOver() ? 1 : 0;
    const room = kinds.atLeast((state + 1) * tasks);
    for (let task = 0; task < tasks; task++) {
      const own = engine.packing.get(engine.current, task);
      let kind = known[task][own];
      if (kind === undefined) {
        engine.packing.unpack(engine.current);
        kind = kindOf(task);
        known[task][own] = kind;
      }
      room[state * tasks + task] = kind;
    }
    let sum = 0;
    for (const { component, cell, values } of places) {
      const number = engine.packing.get(engine.current, component);
      if (values[number] === undefined) {
        engine.packing.unpack(engine.current);
        values[number] = cell.column[cell.row] === 0 ? 0 : 1;
      }
      sum += values[number];
    }
    counts.atLeast(state + 1)[state] = sum;
  };
  const explored = exploreGraph(faces, {
    ...options,
    visit,
    wrong: (state, task, found) => {
      for (const kind of found) {
        let places = wrong.get(kind);
        if (!places) {
          places = { states: new Growing(), from: new Growing(), by: new Growing() };
          wrong.set(kind, places);
        }
        if (task < 0) places.states.push(state);
        else {
          places.from.push(state);
          places.by.push(task);
        }
      }
    },
  });
  const { graph } = explored;
  const { first, task } = graph;
  const kind = new Uint8Array(graph.edges);
  const room = kinds.atLeast(graph.states * tasks);
  for (let state = 0; state < graph.states; state++)
    for (let edge = first[state]; edge < first[state + 1]; edge++)
      kind[edge] = room[state * tasks + task[edge]];
  const placesOf = ({ states, from, by }: { states: Growing; from: Growing; by: Growing }): Places => ({
    states: states.values.filter((state) => state < graph.expanded).sort(),
    edges: from.values
      .map((state, at) => (state < graph.expanded ? edgeOf(graph, state, by.values[at]) : NOWHERE))
      .filter((edge) => edge !== NOWHERE)
      .sort(),
  });
  return {
    ...explored,
    kind,
    rest: over.atLeast(graph.states).subarray(0, graph.states),
    counted: counts.atLeast(graph.states).subarray(0, graph.states),
    faults: new Map([...wrong].map(([what, places]) => [what, placesOf(places)])),
  };
}
