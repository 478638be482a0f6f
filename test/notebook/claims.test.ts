import { describe, expect, test } from "vitest";
import { assertionsIn, ranWell } from "../../src/notebook/claims.js";
import type { CodeCell } from "../../src/notebook/format.js";

describe("assertions in a cell's code", () => {
  test.each([
    ["assert(x);", 1],
    ["assert.equal(a, b);\nassert.ok(c)", 2],
    ["await assert.rejects(f());", 1],
    ["assert.strict.equal (a, b)", 1],
    ['import { strict as assert } from "assert";', 0],
    ["// assert(x)\n/* assert(y) */", 0],
    ["console.log(\"assert(x)\", 'assert(y)', `assert(z)`)", 0],
    ["my.assert(x); reassert(y)", 0],
    ["for (const x of xs) assert(x);", 1],
    ['const q = "a \\" b"; assert(q);', 1],
  ])("%s", (source, count) => expect(assertionsIn(source)).toBe(count));
});

test("a cell ran well when it ran, and threw nothing", () => {
  const cell = {
    cell_type: "code",
    id: "a",
    metadata: {},
    source: "",
    execution_count: 1,
    outputs: [],
  } satisfies CodeCell;
  expect(ranWell(cell)).toBe(true);
  expect(ranWell({ ...cell, execution_count: null })).toBe(false);
  const error = { output_type: "error", ename: "E", evalue: "", traceback: [] } as const;
  expect(ranWell({ ...cell, outputs: [error] })).toBe(false);
});
