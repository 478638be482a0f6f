/** A machine whose states can be counted by hand. */
import type { Faces } from "../../src/explore/engine.js";
import { watched } from "../../src/machine/watch.js";

/** Two counters that two tasks raise to `top`; both at `top` is a fault that a step reports, or one that the state has. */
export function counters(top: number, where: "step" | "state" = "step"): Faces {
  const bytes = new Uint32Array(2);
  const cells = [0, 1].map((row) => ({ column: bytes, row }));
  return (watch) => {
    const count = watch === null ? bytes : watched(bytes, 0, watch);
    const both = () => count[0] === top && count[1] === top;
    return {
      tasks: 2,
      state: bytes,
      cells,
      before: [],
      ownerOf: () => -1,
      enabled: (task) => count[task] < top,
      step: (task) => {
        count[task]++;
        return where === "step" && both() ? ["BUG"] : [];
      },
      waitsForLock: () => false,
      paused: () => false,
      over: () => false,
      questions: [() => (where === "state" && both() ? "BUG" : null)],
      forEver: () => null,
      circle: () => null,
      still: () => null,
      renamings: () => [],
      placeOf: () => "",
    };
  };
}
