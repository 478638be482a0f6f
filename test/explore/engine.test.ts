import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Engine, type Explorable, MOVED } from "../../src/explore/engine.js";
import { Packing } from "../../src/explore/packing.js";
import { search } from "../../src/explore/search.js";
import { Batch, StateSet } from "../../src/explore/states.js";
import { watched } from "../../src/machine/watch.js";
import { counters } from "./counters.js";

describe("packed states", () => {
  it("come back as they were, whatever came after them, and are told apart", () => {
    const states = fc.array(fc.array(fc.integer({ min: -3, max: 40 }), { minLength: 5, maxLength: 5 }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(states, (rows) => {
        const column = new Int16Array(5);
        // Two cells that are one component, and three by themselves.
        const cell = (row: number) => ({ column, row });
        const packing = new Packing([[cell(0), cell(1)], [cell(2)], [cell(3)], [cell(4)]]);
        const seen = new StateSet(packing);
        const batch = new Batch(5);
        const numbers = rows.map((row, nr) => {
          column.set(row);
          for (let each = 0; each < 4; each++) {
            const number = packing.numberOf(each);
            if (!packing.fits(each, number)) seen.widen(each, number);
          }
          batch.packed.fill(0);
          for (let each = 0; each < 4; each++)
            batch.packed[packing.word[each]] |= packing.numberOf(each) << packing.shift[each];
          batch.hashes[0] = row[0] & 1;
          batch.from[0] = nr - 1;
          batch.count = 1;
          seen.addAll(batch);
          return batch.numbers[0];
        });
        const packed = new Int32Array(5);
        rows.forEach((row, nr) => {
          seen.load(numbers[nr], packed);
          packing.unpack(packed);
          expect([...column]).toEqual(row);
        });
        expect(seen.count).toBe(new Set(rows.map(String)).size);
      }),
    );
  });
});

describe("steps that are learned", () => {
  it("run once for each thing that they can see", () => {
    const runs = { learned: 0 };
    const faces = counters(30, "state");
    const result = search(
      (watch) => {
        const machine = faces(watch);
        return {
          ...machine,
          step: (task) => {
            runs.learned++;
            return machine.step(task);
          },
        };
      },
      { maxStates: 1e6, progress: () => true },
    );
    // A counter's step looks at its own count only.
    expect(result.transitions).toBe(2 * 30 * 31);
    expect(runs.learned).toBeLessThan(2 * (30 + 31));
  });

  it("a step that depends on something beside the state is a fault of guplab", () => {
    const bytes = new Uint32Array(3);
    let calls = 0;
    const machine = (column: Uint32Array): Explorable => ({
      ...counters(3)(null),
      tasks: 1,
      state: bytes,
      cells: [0, 1, 2].map((row) => ({ column: bytes, row })),
      enabled: () => true,
      step: () => {
        // Which cell it looks at next is not in the state.
        const next = 1 + (calls++ % 2);
        column[0] = (column[0] + 1) % 3;
        column[next] = (column[next] + 1) % 20;
        return [];
      },
      questions: [],
    });
    const faces = (watch: Parameters<Parameters<typeof search>[0]>[0]) =>
      machine(watch === null ? bytes : watched(bytes, 0, watch));
    expect(() => search(faces, { maxStates: 1e5, progress: () => true })).toThrow(/^Learned: /);
  });

  it("two steps that touch nothing in common are independent, others are not", () => {
    const bytes = new Uint32Array(3);
    const reads = [
      [0, 1],
      [1, 2],
      [2, 2],
    ];
    const engine = new Engine((watch) => {
      const column = watch === null ? bytes : watched(bytes, 0, watch);
      return {
        ...counters(1)(null),
        tasks: 3,
        state: bytes,
        cells: [0, 1, 2].map((row) => ({ column: bytes, row })),
        enabled: () => true,
        step: (task) => {
          const [from, to] = reads[task];
          column[to] = column[from] + 1;
          return [];
        },
        questions: [],
      };
    });
    const leaves = [0, 1, 2].map((task) => engine.leafOf(task));
    expect(leaves.map((leaf) => engine.learned.answer(leaf))).toEqual([MOVED, MOVED, MOVED]);
    const { learned } = engine;
    expect(learned.independent(leaves[0], leaves[1])).toBe(false);
    expect(learned.independent(leaves[1], leaves[2])).toBe(false);
    expect(learned.independent(leaves[0], leaves[2])).toBe(true);
  });
});
