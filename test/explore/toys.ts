/** Machines whose graphs can be drawn on a sheet of paper. */

import type { Faces } from "../../src/explore/engine.js";
import { NOWHERE } from "../../src/explore/graph.js";
import { watched } from "../../src/machine/watch.js";
import type { FaultKind } from "../../src/trace/recording.js";

/**
 * A machine whose state is one number.
 *
 * @param targets for each state, where the step of each task leads; NOWHERE or nothing where it cannot move
 * @param faults what is wrong in which state
 */
export function toy(
  targets: readonly (readonly number[])[],
  faults: Readonly<Record<number, FaultKind>> = {},
): Faces {
  const state = new Uint32Array(1);
  return (watch) => {
    const live = watch === null ? state : watched(state, 0, watch);
    const target = (task: number): number => targets[live[0]][task] ?? NOWHERE;
    return {
      tasks: Math.max(...targets.map(({ length }) => length)),
      state,
      cells: [{ column: state, row: 0 }],
      before: [],
      ownerOf: () => -1,
      enabled: (task) => target(task) !== NOWHERE,
      step: (task) => {
        live[0] = target(task);
        return [];
      },
      waitsForLock: () => false,
      paused: () => false,
      over: () => false,
      questions: [() => faults[live[0]] ?? null],
      forEver: () => null,
      circle: () => null,
      still: () => null,
      renamings: () => [],
      placeOf: () => "",
    };
  };
}
