/** The tables of the proposals' reference that speak of kernels up to v4.20 too: each has a file here, and none leaves a row out. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TABLES } from "./rows.js";

describe("the tables", () => {
  const folder = new URL(".", import.meta.url);
  const files = readdirSync(folder).filter((file) => /^d\d+\.test\.ts$/.test(file));

  it("are these", () => {
    expect(files.sort()).toEqual(
      Object.keys(TABLES)
        .map((name) => `${name.toLowerCase()}.test.ts`)
        .sort(),
    );
  });

  for (const name of Object.keys(TABLES))
    it(`${name} is held against its rows`, () => {
      expect(readFileSync(new URL(`${name.toLowerCase()}.test.ts`, folder), "utf8")).toContain(`"${name}",`);
    });
});
