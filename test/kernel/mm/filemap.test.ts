/** The page cache's lookups, and what it does with a dirty page that leaves it. */
import { describe, expect, it } from "vitest";
import { errseq_check_and_advance, errseq_sample, errseq_set } from "../../../src/kernel/errseq.js";
import { call, path } from "../../../src/kernel/language.js";
import {
  __delete_from_page_cache,
  filemap_fault,
  find_get_page_tag,
  find_tagged,
  xa_set_mark,
} from "../../../src/kernel/mm/filemap.js";
import { put_page } from "../../../src/kernel/mm/swap.js";
import { FAULT_FLAG } from "../../../src/kernel/operations.js";
import { int, NONE, pfn } from "../../../src/kernel/types.js";
import { disk, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const hand = (filePages: number) => new Hand(small({ filePages, pages: filePages }, { store: store() }));

describe("tagged lookups", () => {
  it("cross the words of the marks, and end where the range ends", () => {
    const h = hand(70);
    for (const page of [3, 33, 69]) xa_set_mark(h.k, page, "dirty");
    expect([0, 4, 34, 70].map((from) => find_tagged(h.k, FILE, from, "dirty"))).toEqual([3, 33, 69, NONE]);
    expect(find_get_page_tag(h.k, FILE, 34, "dirty", 68)).toBe(NONE);
    const before = h.refs(69);
    const page = find_get_page_tag(h.k, FILE, 34, "dirty", 69);
    expect([page, h.refs(69)]).toEqual([69, before + 1]);
    put_page(h.k, page);
  });
});

describe("F77 a dirty page that leaves the cache", () => {
  it("warns once, takes the page out of the gauge, and leaves PG_dirty set", () => {
    const h = hand(2).go("store");
    expect([h.k.vmstat.nr_dirty[0], h.has("dirty")]).toEqual([1, true]);
    __delete_from_page_cache(h.k, 0);
    expect([h.k.vmstat.nr_dirty[0], h.has("dirty")]).toEqual([0, true]);
    expect(h.faults()).toEqual(["WARN unaccount_page_cache_page: WARN_ON_ONCE(PageDirty(page))"]);
    h.set(["dirty"], 1);
    __delete_from_page_cache(h.k, 1);
    expect(h.faults()).toHaveLength(1);
  });

  it("a clean one goes quietly", () => {
    const h = hand(1);
    __delete_from_page_cache(h.k, 0);
    expect([h.faults(), h.k.vmstat.nr_dirty[0]]).toEqual([[], 0]);
  });
});

describe("PG_reclaim is PG_readahead to a fault", () => {
  const faults = (flags: number): Actor => ({
    path: path("faults", { source: "a test", args: { flags: int }, locals: { page: pfn } }, [
      call(() => filemap_fault, { mapping: FILE, index: 0, vma: 0, flags: "flags" }, "page"),
    ]),
    args: [flags],
    ends: true,
  });

  it("the first look takes reclaim's mark away, a fault that is tried again leaves it", () => {
    for (const [flags, left] of [
      [FAULT_FLAG.WRITE, false],
      [FAULT_FLAG.WRITE | FAULT_FLAG.TRIED, true],
    ] as const) {
      const h = new Hand(small({}, { fault: faults(flags) })).set(["reclaim"]).go("fault");
      expect([h.finished("fault"), h.has("locked"), h.has("reclaim")]).toEqual([true, true, left]);
    }
  });

  it("a miss is one major fault, however often it is looked for", () => {
    const h = new Hand(small({ cached: false }, { fault: faults(0), disk }));
    h.go("fault").go("disk").go("fault");
    expect([h.finished("fault"), h.k.vmstat.pgmajfault[0]]).toEqual([true, 1]);
  });
});

describe("errseq (lib/errseq.c)", () => {
  const EIO = -5;
  const ENOSPC = -28;

  it("tells each file once", () => {
    const value = errseq_set(0, EIO);
    const first = errseq_check_and_advance(value, 0);
    expect(first.error).toBe(EIO);
    expect(errseq_check_and_advance(first.value, first.since).error).toBe(0);
    // Another file that was open at the time is told as well.
    expect(errseq_check_and_advance(first.value, 0).error).toBe(EIO);
  });

  it("tells again of the same error only when the first was seen before it", () => {
    const unseen = errseq_set(errseq_set(0, EIO), EIO);
    expect(unseen).toBe(errseq_set(0, EIO));
    const seen = errseq_check_and_advance(unseen, 0);
    const again = errseq_set(seen.value, EIO);
    expect(again).not.toBe(seen.value);
    expect(errseq_check_and_advance(again, seen.since).error).toBe(EIO);
  });

  it("the latest error counts", () => {
    expect(errseq_check_and_advance(errseq_set(errseq_set(0, EIO), ENOSPC), 0).error).toBe(ENOSPC);
  });

  it("a file that is opened is told of an error that nobody has seen, not of one that was seen", () => {
    const value = errseq_set(0, EIO);
    expect(errseq_check_and_advance(value, errseq_sample(value)).error).toBe(EIO);
    const seen = errseq_check_and_advance(value, 0).value;
    expect(errseq_check_and_advance(seen, errseq_sample(seen)).error).toBe(0);
  });
});
