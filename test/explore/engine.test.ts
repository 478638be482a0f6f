import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Engine, type Explorable, MOVED } from "../../src/explore/engine.js";
import { Packing } from "../../src/explore/packing.js";
import { search } from "../../src/explore/search.js";
import { Batch, StateSet } from "../../src/explore/states.js";
import { watched } from "../../src/machine/watch.js";
import { counters } from "./counters.js";

describe("packed states", () => {
  /** Some cells, of which the first two are one component, in states of so many. */
  const cells = 24;
  const mostWords = 24;

  it("come back as they were, whatever came after them, and are told apart", () => {
    const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: 0, max: 600 }));
    const states = fc.array(fc.array(value, { minLength: cells, maxLength: cells }), {
      minLength: 1,
      maxLength: 200,
    });
    let moved = 0;
    fc.assert(
      fc.property(states, (rows) => {
        const column = new Int16Array(cells);
        const cell = (row: number) => ({ column, row });
        const packing = new Packing([
          [cell(0), cell(1)],
          ...Array.from({ length: cells - 2 }, (_, at) => [cell(at + 2)]),
        ]);
        const components = packing.counts.length;
        const widen = packing.widen.bind(packing);
        packing.widen = (...order) => {
          const moves = widen(...order);
          moved = Math.max(moved, moves.length);
          return moves;
        };
        const seen = new StateSet(packing);
        const batch = new Batch(mostWords);
        const numbers = rows.map((row, nr) => {
          column.set(row);
          for (let each = 0; each < components; each++) {
            const number = packing.numberOf(each);
            if (!packing.fits(each, number)) seen.widen(each, number);
          }
          batch.packed.fill(0);
          for (let each = 0; each < components; each++)
            batch.packed[packing.word[each]] |= packing.numberOf(each) << packing.shift[each];
          batch.hashes[0] = row[0] & 1;
          batch.from[0] = nr - 1;
          batch.count = 1;
          seen.addAll(batch);
          return batch.numbers[0];
        });
        const packed = new Int32Array(mostWords);
        rows.forEach((row, nr) => {
          seen.load(numbers[nr], packed);
          packing.unpack(packed);
          expect([...column]).toEqual(row);
        });
        expect(seen.count).toBe(new Set(rows.map(String)).size);
      }),
    );
    // Not only did a field move to where there was room for it: all were put elsewhere to make room.
    expect(moved).toBeGreaterThan(2);
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
    const leaves = Int32Array.from([0, 1, 2], (task) => engine.leafOf(task));
    const { learned } = engine;
    expect([...leaves].map((leaf) => learned.answer(leaf))).toEqual([MOVED, MOVED, MOVED]);
    expect(learned.independent(0b010, leaves, 0)).toBe(0);
    expect(learned.independent(0b011, leaves, 2)).toBe(0b001);
  });
});
