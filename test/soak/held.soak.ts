import { describe, expect, it } from "vitest";
import { kernelsFor, missed, worlds } from "../explore/held.js";

describe("held steps hide nothing, on every kernel that makes another machine of a world", () => {
  for (const [name, make] of Object.entries(worlds)) {
    it.each(kernelsFor(make))(`${name}, on %s`, (kernel) => {
      expect(missed(make, kernel).missed).toBe(0);
    });
  }
});
