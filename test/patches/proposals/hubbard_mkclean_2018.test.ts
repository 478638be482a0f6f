/**
 * Writeback that skips pinned pages, or waits for them, as it was posted in July 2018, and pages that stay mapped while they are pinned (January 2018):
 * who waits for whom.
 */
import { describe, expect, it } from "vitest";
import { explore } from "../../../src/lab/explore.js";
import { liveness } from "../../../src/lab/liveness.js";
import { journalMachine } from "./direct_writer.js";

const MKCLEAN = "v4.20+hubbard-mkclean-2018";
const MAPPED = "v4.20+kara-keep-mapped-2018";
const BOUNDS = { maxStates: 1_000_000, progress: () => true };

/** What each task of Kara's machine is at when nobody can move, or null where the search finds no such state. */
function stuck(kernel: string): Record<string, string> | null {
  const world = journalMachine(kernel);
  const { complete, witnesses } = world.explore(BOUNDS);
  expect(complete).toBe(true);
  const hang = witnesses.find(({ kind }) => kind === "HANG" || kind === "DEADLOCK");
  if (hang === undefined) return null;
  for (const task of hang.schedule) world.step(task);
  const { machine } = world;
  return Object.fromEntries(machine.tasks.map(({ name }, task) => [name, machine.at(task).step]));
}

describe("hubbard-mkclean-2018 (patches 4/6 and 6/6 of 20180702005654.20369)", () => {
  it("T-KARA-DL: ext4_writepages has a handle and waits for the pin; its holder waits for a handle; the commit for ext4_writepages", () => {
    expect(stuck("v4.20")).toBeNull();
    expect(stuck(MKCLEAN)).toMatchObject({
      fsync: "wait_for_dma_pinned_to_clear",
      writer: "jbd2_journal_start",
      jbd2: "j_wait_updates",
    });
  });

  it("a smaller circle needs no journal: an O_DIRECT read wants the page lock, to mark the page dirty before it lets go", () => {
    const { outcomes, shortest, steps } = explore("W2", { kernel: MKCLEAN });
    expect([outcomes, shortest[0].steps]).toEqual([["HANG"], 23]);
    // The flusher, which wants nothing but clean memory: ext4 asks for integrity in its name.
    expect(steps.at(-1)).toMatchObject({ task: "flusher", step: "lock_page" });
    // An asynchronous one comes back to it in its completion's kworker.
    expect(explore("W1,strip=none,holder=aio", { kernel: MKCLEAN }).outcomes).toEqual(["HANG"]);
  });

  it("a GPU driver is told to let go before the wait; it stops its card and keeps its references, and nothing moves any more", () => {
    const { outcomes, steps } = explore("W2,holder=amdgpu", { kernel: MKCLEAN });
    expect(outcomes).toEqual(["HANG"]);
    expect(steps.at(-1)).toMatchObject({ task: "flusher", path: "amdgpu_ttm_tt_mark_user_pages" });
  });

  it("anonymous pages, which nobody write-protects, are swapped out as before", () => {
    expect(explore("swap-pinned", { kernel: MKCLEAN }).outcomes).toEqual(explore("swap-pinned").outcomes);
  });

  it("RDMA is spared it on ext4: the page is dirty while the flusher waits, and then it takes no lock", () => {
    expect(explore("W1,strip=none,holder=rdma", { kernel: MKCLEAN }).outcomes).toEqual(["OK"]);
    // The price of an unbroken sum: nothing is written while the pin lasts, and fsync does not come back before it ends.
    expect(explore("W6", { kernel: MKCLEAN }).outcomes).toEqual(["OK"]);
    expect(explore("W5", { kernel: MKCLEAN }).outcomes).toEqual(["HANG"]);
  });

  it("but not on xfs, which cleans twice: the first time skips the PTE and clears PG_dirty, the second waits", () => {
    const { outcomes, steps } = explore("W6,fs=xfs", { kernel: MKCLEAN });
    expect(outcomes).toEqual(["HANG"]);
    const flusher = steps.filter(({ task }) => task === "flusher").map(({ step }) => step);
    expect(flusher).toContain("PageDmaPinned");
    expect(flusher.indexOf("TestClearPageDirty")).toBeGreaterThan(flusher.indexOf("PageDmaPinned"));
  });

  it("what is skipped is written all the same: on btrfs, which passes sync_mode on, sums break as on v4.20", () => {
    expect(explore("W6,fs=btrfs", { kernel: MKCLEAN }).outcomes).toContain("TORN");
  });

  it("does not end the article's crash, with the other half of the patch neither: nobody waits for a page without PTEs", () => {
    const { shortest } = explore("W1", { kernel: `${MKCLEAN}+hubbard-ttu-2018`, maxStates: 4_000_000 });
    expect(shortest.find(({ kind }) => kind === "BUG")?.steps).toBe(73);
  });
});

describe("kara-keep-mapped-2018 (20180103100430.GE4911@quack2.suse.cz)", () => {
  it.each(["W1", "W4", "W1,holder=pvmw", "W6", "W6,fs=xfs"])("%s: no crash, no broken sum", (scenario) => {
    expect(explore(scenario, { kernel: MAPPED, maxStates: 4_000_000 }).outcomes).toEqual(["OK"]);
  });

  it("W2: stands still with an O_DIRECT read, which wants the lock of the page that it keeps from being cleaned", () => {
    const { outcomes, shortest } = explore("W2", { kernel: MAPPED });
    expect([outcomes, shortest[0].steps]).toEqual([["HANG"], 23]);
  });

  it("W1: the same circle, beside which kswapd goes on, so that the search alone does not call it a HANG", () => {
    const { endless } = liveness("W1", { kernel: MAPPED, maxStates: 4_000_000 });
    expect(endless.filter(({ what, certain }) => what === "waits" && certain)).toMatchObject([
      { task: "dio", path: "set_page_dirty_lock", step: "lock_page" },
    ]);
  });

  it("W5: fsync waits as long as the pin: what Kara called impossible for RDMA and video capture", () => {
    expect(explore("W5", { kernel: MAPPED }).outcomes).toEqual(["HANG"]);
  });

  it("T-KARA-DL: has it as well", () => {
    expect(stuck(MAPPED)).toMatchObject({ writer: "jbd2_journal_start", jbd2: "j_wait_updates" });
  });

  it("does nothing about an O_DIRECT write of the file, which strips pages that nobody cleans", () => {
    expect(explore("W1,strip=diowrite", { kernel: MAPPED }).outcomes).toContain("BUG");
  });
});
