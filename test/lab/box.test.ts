/** The sandbox as a program sees it: the same orders, the same replay line, the same complaints as at the prompt. */

import { describe, expect, it } from "vitest";
import { runLine } from "../../src/cli/shell.js";
import { type Box, sandboxOf } from "../../src/lab/box.js";
import { Desk } from "../../src/lab/desk.js";
import { OPERATIONS } from "../../src/lab/operations.js";
import { run } from "../../src/lab/run.js";
import { stubHost } from "./stub_host.js";

const host = {
  ...stubHost,
};

function crash(): Box {
  const box = sandboxOf({ pages: 1 });
  box.gup(0);
  box.writeback();
  box.step("disk");
  for (let look = 0; look < 3; look++) box.reclaim();
  box.dma();
  box.unpin();
  box.fsync({ inode: 1 });
  return box;
}

describe("a sandbox in a program", () => {
  it("has a method for every operation, and no other list of them", () => {
    const box = sandboxOf() as unknown as Record<string, unknown>;
    for (const { name } of OPERATIONS) expect([name, typeof box[name]]).toEqual([name, "function"]);
  });

  it("crashes as the article says, and its line replays it", () => {
    const box = crash();
    expect(box.outcomes).toEqual(["BUG", "WARN"]);
    expect(run(box.replay).outcomes).toEqual(["BUG", "WARN"]);
    expect(box.plot.life().kind).toBe("life");
    expect(String(box)).toContain(box.replay);
  });

  it("says what an order gave, and goes back", () => {
    const box = sandboxOf({ pages: 2 });
    const pins = box.gup({ at: 1, mode: "read" });
    expect([pins.done, pins.result, pins.faults]).toEqual([true, 1, []]);
    const page = box.world.k.user_page.page[0] - 1;
    expect(box.page(page).pins).toBe(1);
    box.back(box.world.schedule.length);
    expect(box.page(page).pins).toBe(0);
  });

  it("takes the same lines as the prompt: same steps, same state", async () => {
    const desk = new Desk(host, "sandbox,pages=2");
    for (const line of ["store 1", "gup 0 2 read", "writeback", "put"]) await runLine(desk, line);
    const box = sandboxOf({ pages: 2 });
    box.store(1);
    box.gup(0, 2, "read");
    box.writeback();
    box.put();
    expect(box.replay).toBe(desk.world.replay);
  });

  it("an order that is held is only told", () => {
    const box = sandboxOf();
    const { done } = box.store({ at: 0, by: "B", hold: true });
    expect([done, box.step("B") > 0]).toEqual([false, true]);
  });

  it("complains in one sentence, and nothing has changed", () => {
    const box = sandboxOf();
    const wrong: readonly (readonly [() => unknown, string])[] = [
      [() => box.gup(99), "at of gup is a number from 0 to 15, not 99"],
      [() => box.gup({ at: 0, size: 1 } as never), "gup has no argument size; it has at, nr, mode, array"],
      [() => box.clone(), "clone needs a sandbox on xfs: say scenario sandbox,fs=xfs"],
      [() => box.step("nobody"), 'there is no task "nobody"; known: A, B, C, D, kswapd'],
      [() => sandboxOf({ fs: "minix" }), "fs of scenario sandbox is one of ext4, ext4-delalloc"],
    ];
    for (const [act, sentence] of wrong) expect(act).toThrow(sentence);
    expect(box.world.schedule).toEqual([]);
  });

  it("helps", () => {
    const box = sandboxOf();
    expect(box.help("gup")).toContain("get_user_pages_fast");
    expect(box.help().split("\n").length).toBe(OPERATIONS.length);
  });
});
