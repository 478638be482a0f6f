/** A driver of somebody's own on every kernel. */
import { describe, expect, it } from "vitest";
import { driver } from "../../src/lab/driver.js";
import { explore } from "../../src/lab/explore.js";
import { DISPLAY } from "../../src/plot/index.js";

const PINS = ["pin_user_pages_fast", "dma_map_sg", "wait", "dma_unmap_sg", "unpin_user_pages_dirty_lock"];

describe("driver", () => {
  it("on every kernel that was released, one search for kernels that are alike", () => {
    const { cells, faulty, finished, notes } = driver(PINS, { scenarios: ["W2", "W6"] });
    expect([faulty, finished, notes]).toEqual([true, true, []]);
    const searched = new Set(cells.map(({ workload, searched: on }) => `${workload} ${on}`));
    expect(cells.length / searched.size).toBeGreaterThan(1.3);
    // What stands in a cell is what a search of that very kernel says.
    for (const { workload, kernel, states, outcomes } of cells) {
      const verdict = explore(`${workload},holder=${PINS.join("+")}`, { kernel });
      expect([kernel, states]).toEqual([kernel, verdict.states]);
      expect(outcomes.map(({ kind }) => kind)).toEqual(expect.arrayContaining([...verdict.outcomes]));
    }
  }, 60_000);

  it("tells kernels of which the same is to be said in one row, and faults with their lines", () => {
    const made = driver(PINS.join(" + "), { kernels: ["v6.4", "v6.12", "2026"], scenarios: ["W6"] });
    expect(String(made)).toMatch(/^v6\.4 to 2026 +TORN$/m);
    expect(String(made)).toMatch(
      /^W6 on v6\.4: TORN in \d+ steps, no way is shorter\n {2}write-during-wb,holder=/m,
    );
    expect(String(made.cell("W6", "2026"))).toContain("bound: 1 page, 1 driver, every interleaving");
    expect(() => made.cell("W6", "v4.20")).toThrow(
      "W6 on v4.20 was not tried; tried were W6 on v6.4, v6.12 and 2026",
    );
    const shown = (made as unknown as Record<symbol, () => Record<string, string>>)[DISPLAY]();
    expect(shown["text/html"]).toContain("<table>");
    expect(made.figure().kind).toBe("matrix");
    expect(JSON.parse(JSON.stringify(made))).toMatchObject({ driver: PINS, finished: true });
  });

  it("a fork that comes while get_user_pages_fast may still take its page back parts nobody from it (v5.11)", () => {
    const made = driver(PINS, {
      kernels: ["v5.9", "v5.11"],
      scenarios: ["swap-pinned,touch=writes,fork=yes"],
      maxStates: 100_000,
    });
    const kinds = made.cells.map(({ kernel, outcomes }) => [
      kernel,
      outcomes.some(({ kind }) => kind === "STALE"),
    ]);
    expect(kinds).toEqual([
      ["v5.9", true],
      ["v5.11", false],
    ]);
  });

  it("a driver that puts twice: what comes of a page freed under its users is not followed to the end, and said so", () => {
    const made = driver("get_user_pages_fast+dma_map_sg+wait+dma_unmap_sg+put_page+put_page", {
      kernels: ["v4.20"],
      scenarios: ["swap-pinned"],
    });
    expect(made.cells).toEqual([]);
    expect(made.notes).toHaveLength(1);
    expect(made.notes[0]).toContain("the driver lets go of what it has not");
  });

  it("ends where it is told to, with what there is", () => {
    let seen = 0;
    const made = driver(PINS, { kernels: ["v4.20"], scenarios: ["W2", "W1"], progress: () => ++seen < 3 });
    expect(made.finished).toBe(false);
    expect(String(made)).toContain("interrupted: cells are missing");
  });

  it("refuses before it searches", () => {
    const wrong = (scenario: string) => () => driver(PINS, { scenarios: [scenario] });
    expect(wrong("kara-2018")).toThrow(
      /^scenario kara-2018 does not ask who holds the pages; a driver can be tried in W2, /,
    );
    expect(wrong("W1,holder=dio")).toThrow(
      "W1,holder=dio: the holder is the driver that is tried; leave holder= away",
    );
    expect(() => driver(PINS, { kernels: [] })).toThrow(
      "a driver is tried on a kernel, in a scenario: name one",
    );
    expect(() => driver(PINS, { kernels: ["v9"] })).toThrow(/v9/);
    expect(() => driver([])).toThrow(/there is no call ""/);
  });
});
