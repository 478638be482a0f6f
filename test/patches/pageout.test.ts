/** madvise(MADV_PAGEOUT), in the sandbox: what goes, what stays, and in what state. */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../src/kernel/errno.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { sandboxOf } from "../../src/lab/box.js";
import { decodePageFlags, LRU_PLACE } from "../../src/trace/words.js";

const box = (kernel: string, options: Parameters<typeof sandboxOf>[0] = {}) =>
  sandboxOf({ kernel, pages: 2, ...options });
type Box = ReturnType<typeof box>;
const flags = ({ world: { k } }: Box, page = 0): string[] => decodePageFlags(k.page.flags[page]);
const pageout = (b: Box, nr = 1) => b.madvise(0, nr, "pageout").result;

describe("MADV_PAGEOUT", () => {
  it("is no advice that v4.20 knows: -EINVAL, and the page stays mapped", () => {
    const b = box("v4.20");
    b.load(0);
    expect([pageout(b), b.page(0).mapcount]).toEqual([-ERRNO.EINVAL, 1]);
  });

  it("a clean page of a file that was used a moment ago is gone, and counts in no pgsteal", () => {
    const b = box("v5.5");
    b.load(0);
    expect(pageout(b)).toBe(0);
    const { k } = b.world;
    expect([k.page._refcount[0], k.pte.entry[0], k.vmstat.pgsteal_direct[0]]).toEqual([0, 0, 0]);
  });

  it("mmap_sem is held for reading", () => {
    const b = box("v5.5");
    b.load(0);
    const { steps } = b.madvise(0, 1, "pageout");
    expect(steps.some((line) => line.includes("down_read(mm->mmap_sem)"))).toBe(true);
    expect(steps.some((line) => line.includes("down_write(mm->mmap_sem)"))).toBe(false);
  });

  it("a dirty page is unmapped and activated: only kswapd writes pages of files", () => {
    const b = box("v5.5");
    b.store(0);
    pageout(b);
    expect(b.world.k.pte.entry[0]).toBe(0);
    expect(flags(b)).toContain("dirty");
    expect(flags(b)).toContain("active");
  });

  // The recording b-dio-pageout-6.1: the last page has "kpageflags=0x8 mapcount=0 flags=uptodate", it is in the batch still; the first "uptodate,lru".
  it("a page that somebody has taken loses its PTE and its buffers, and stays", () => {
    const b = box("v5.5");
    b.gup(0, 1);
    b.fsync();
    pageout(b);
    expect([flags(b), b.world.k.page.pins[0]]).toEqual([["uptodate"], 1]);
    lru_add_drain(b.world.k);
    expect(flags(b)).toEqual(["uptodate", "lru"]);
  });

  // The recording c-pvmw-pageout-6.1: "kpageflags=0x800000068 ... uptodate,lru,active,private".
  it("a pinned page keeps its buffers from v6.4 on, and is active", () => {
    const b = box("v6.4");
    b.rdma_reg(0, 1);
    b.fsync();
    pageout(b);
    lru_add_drain(b.world.k);
    expect(flags(b)).toEqual(["uptodate", "lru", "active", "private"]);
    expect(b.world.k.pte.entry[0]).toBe(0);
  });

  it("a page that two PTEs map is passed over", () => {
    const b = box("v5.5", { map: "private" });
    b.store(0);
    b.fork();
    const page = b.world.k.pte.entry[0] >>> 4;
    expect(b.world.k.page.mapcount[page]).toBe(2);
    pageout(b);
    expect([b.world.k.page.mapcount[page], b.world.k.lruWord(page)]).toEqual([2, LRU_PLACE.active]);
  });

  it("a locked VMA is no place for it: -EINVAL", () => {
    const b = box("v5.5");
    b.mlock(0, 2);
    expect(pageout(b, 2)).toBe(-ERRNO.EINVAL);
  });

  it("an anonymous page goes to the swap area, if there is one", () => {
    const b = box("v5.5", { swap: 4, map: "private" });
    b.store(0);
    pageout(b);
    expect(b.world.k.vmstat.nr_vmscan_write[0]).toBe(1);
    const none = box("v5.5", { map: "private" });
    none.store(0);
    pageout(none);
    expect(none.world.k.vmstat.nr_vmscan_write[0]).toBe(0);
  });
});
