/** Why a word is what it is: the last change, and what its step saw of others. */
import { describe, expect, it } from "vitest";
import { why } from "../../src/lab/why.js";
import { toSvg, toTerminal } from "../../src/plot/index.js";

const CRASH = "kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4";

describe("why", () => {
  it("kara-2018: the buffers are gone because kswapd freed them", () => {
    expect(why(CRASH, "page 0 PG_private").cause).toMatchObject({
      cell: "page 0 PG_private",
      tick: 48,
      task: "kswapd",
      step: "try_to_free_buffers",
      before: 1,
      after: 0,
    });
  });

  it("dio-write-race: the toucher changed what the writer had written", () => {
    const { cause } = why("dio-write-race@v4.20:w10t1m2", "content 0 version");
    expect(cause).toMatchObject({ task: "toucher", tick: 11, before: 1, after: 2 });
    expect(cause?.because[0]).toMatchObject({ task: "writer", tick: 5, cell: "content 0 version" });
  });

  it("as a figure: a row for each change, linked to the step that read it", () => {
    const figure = why(CRASH, "page 0 PG_private").figure();
    expect(figure?.layout.title.text).toBe("Why page 0 PG_private is 0");
    expect(figure?.layout.yaxis.ticktext?.slice(0, 2)).toEqual([
      "page 0 PG_private 1→0",
      "page 0 b_state 13→5",
    ]);
    const [links, ...tasks] = figure?.data ?? [];
    expect(links.x.slice(0, 4)).toEqual([41, 48, 48, null]);
    expect(tasks.map(({ name }) => name)).toEqual(["kswapd", "disk", "flusher"]);
    expect(figure && toSvg(figure)).toContain("48 kswapd: try_to_free_buffers");
    expect(figure && toTerminal(figure, { columns: 80, rows: 24, color: false })).toContain("Why page 0");
    expect(why("dio-write-race@v4.20:", "content 0 version").figure()).toBeNull();
  });

  it("a chain is as deep as is wished", () => {
    expect(why("cve-2020-29374@v4.20:p15c10p2", "page 0 mapcount", { depth: 1 }).cause?.because).toEqual([]);
    expect(why("cve-2020-29374@v4.20:p15c10p2", "page 0 mapcount").cause?.because).not.toEqual([]);
  });

  it("what nobody has changed is as it was", () => {
    const told = why("dio-write-race@v4.20:", "content 0 version");
    expect(told.cause).toBeNull();
    expect(String(told)).toContain("as it was at the start");
  });

  it("says in one sentence what does not fit", () => {
    expect(() => why(CRASH, "page 0 nope")).toThrow(/^there is no cell "page 0 nope"/);
    expect(() => why(CRASH, "page 0 PG_nope")).toThrow(/PG_nope|nope/);
    expect(() => why("kara-2018@v4.20:d1", "page 0 flags")).toThrow(/step 1, disk cannot move/);
    expect(() => why("sandbox@v4.20:[store 0]", "page 0 flags")).toThrow(/takes orders/);
  });
});
