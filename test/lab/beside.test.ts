import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { beside, besideTable, type Call, realCalls, simulatedCalls } from "../../src/lab/beside.js";
import { readFtrace } from "../../src/trace/ftrace.js";

const call = (name: string, time: number): Call => ({
  name,
  time,
  task: "t",
  refcount: 1,
  mapcount: 0,
  pins: 0,
  buffers: false,
});

const sequence = fc
  .array(fc.constantFrom("a", "b", "c"), { maxLength: 12 })
  .map((names) => names.map((name, time) => call(name, time)));

describe("beside", () => {
  it("keeps both lives whole and in order", () => {
    fc.assert(
      fc.property(sequence, sequence, (left, right) => {
        const rows = beside(left, right);
        expect(rows.flatMap(({ simulated }) => simulated ?? [])).toEqual(left);
        expect(rows.flatMap(({ real }) => real ?? [])).toEqual(right);
        for (const { simulated, real } of rows) if (simulated && real) expect(simulated.name).toBe(real.name);
      }),
    );
  });

  it("pairs everything when the lives are equal, nothing when they share no name", () => {
    fc.assert(
      fc.property(sequence, (life) => {
        expect(beside(life, life).every(({ simulated, real }) => simulated !== null && real !== null)).toBe(
          true,
        );
        const other = life.map(({ time }) => call("z", time));
        expect(beside(life, other).every(({ simulated, real }) => simulated === null || real === null)).toBe(
          true,
        );
      }),
    );
  });
});

describe("the simulated crash beside Linux 6.1", () => {
  const folder = new URL("../../notebooks/data/b-dio-pageout-6.1/", import.meta.url);
  const outcome = JSON.parse(readFileSync(new URL("outcome.json", folder), "utf8"));
  const recording = readFtrace(gunzipSync(readFileSync(new URL("trace.txt.gz", folder))).toString(), outcome);
  const replay = "kara-2018@v4.20:r13k6r2k6f12d4k7m3r9f4r3";

  it("releases the buffers and fails to free the page with the same references in the same order", () => {
    const names = new Set(["try_to_release_page", "try_to_free_buffers", "__remove_mapping"]);
    const simulated = simulatedCalls(replay, 0, names).map(({ name, refcount, buffers }) => ({
      name,
      refcount,
      buffers,
    }));
    expect(simulated).toEqual([
      { name: "try_to_release_page", refcount: 4, buffers: true },
      { name: "try_to_free_buffers", refcount: 4, buffers: true },
      { name: "__remove_mapping", refcount: 3, buffers: false },
    ]);
    const real = realCalls(recording, Number(outcome.warn_page_pfn), 0.2, 4)
      .filter(({ name }) => names.has(name))
      .map(({ name, refcount, buffers }) => ({ name, refcount, buffers }));
    expect(real).toEqual(simulated);
  });

  it("prints a row a call", () => {
    const rows = beside([call("a", 1), call("b", 2)], [call("b", 0.5)]);
    expect(besideTable(rows, "s").split("\n")).toHaveLength(3);
    expect(besideTable(rows, "s")).toMatch(/< a\n.*= b/);
  });
});
