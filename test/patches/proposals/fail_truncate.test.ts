/** Gunthorpe's truncation that fails where a page is pinned, in three orders (LWN, 12 December 2018; Weiny, 5 June 2019). */
import { describe, expect, it } from "vitest";
import { inOrder, outcomes, runs, way } from "./asked.js";

const LOOK = "gunthorpe-fail-truncate-2018";
const UNMAP = "gunthorpe-fail-truncate-unmap-2018";
const LOCK = "gunthorpe-fail-truncate-lock-2018";

describe("the page cache (W7): the claim is that nothing is truncated under a pin", () => {
  it(`${LOOK}: does not hold: the pin comes between the look and the end of the page`, () => {
    expect(outcomes("W7", `v4.20+${LOOK}`)).toBe("STALE+REFUSED");
    inOrder(
      way("W7", `v4.20+${LOOK}`, "STALE"),
      "truncator page_dma_pinned",
      "rdma follow_page_pte",
      "truncator delete_from_page_cache",
    );
  });

  it(`${UNMAP}: does not hold: a fault that was under way maps the page again after it was unmapped`, () => {
    expect(outcomes("W7", `v4.20+${UNMAP}`)).toBe("STALE+REFUSED");
    inOrder(
      way("W7", `v4.20+${UNMAP}`, "STALE"),
      "truncator i_size_write",
      "truncator ptep_get_and_clear_full",
      "rdma alloc_set_pte",
      "truncator page_dma_pinned",
      "rdma follow_page_pte",
      "truncator delete_from_page_cache",
    );
  });

  it(`${UNMAP}: i_mmap_sem does not help on ext4: page_mkwrite has given it back when the PTE is written`, () => {
    const steps = way("W7,holder=dio,fs=ext4", `v4.20+${UNMAP}`, "STALE");
    inOrder(
      steps,
      "truncator down_write(inode->i_mmap_sem)",
      "truncator ptep_get_and_clear_full",
      "dio alloc_set_pte",
      "truncator page_dma_pinned",
      "dio follow_page_pte",
    );
  });

  it.each([
    "W7",
    "W7,holder=dio",
    "W7,holder=pvmw",
    "W7,fs=ext4,holder=dio",
    "W7,fs=ext4,holder=dio,cut=punch",
  ])(`${LOCK}: %s: it holds, and some call is refused`, (name) => {
    expect(outcomes(name, `v4.20+${LOCK}`)).toBe("REFUSED");
  });

  it("W7,cut=punch on tmpfs is open in every order: nothing keeps faults away here", () => {
    for (const name of [LOOK, UNMAP, LOCK])
      expect(outcomes("W7,cut=punch", `v4.20+${name}`)).toBe("STALE+REFUSED");
  });

  it("udmabuf's pages come from the file and are no pins before v6.11: a hole is punched under them", () => {
    const name = "W7,holder=udmabuf,cut=punch";
    expect([outcomes(name, `v4.20+${LOCK}`), outcomes(name, `2026+${LOCK}`)]).toEqual(["STALE", "REFUSED"]);
  });

  it("2026, with its own tracking: the same", () => {
    expect([LOOK, UNMAP, LOCK].map((name) => outcomes("W7", `2026+${name}`))).toEqual([
      "STALE+REFUSED",
      "STALE+REFUSED",
      "REFUSED",
    ]);
  });

  it.each([LOOK, UNMAP, LOCK])("%s: references balance, and the process is told -ETXTBSY", (name) => {
    const told = [
      ...runs("W7,fs=ext4", `v4.20+${name}`, 12),
      ...runs("W7,cut=punch", `v4.20+${name}`, 12),
      ...runs("W7,fs=ext4,cut=punch", `v4.20+${name}`, 12),
      ...runs("W7", `v4.20+${name}`, 12),
    ];
    expect(told).toContain("REFUSED ftruncate: -ETXTBSY");
    expect(told).toContain("REFUSED fallocate: -ETXTBSY");
  });
});

describe("DAX (W8)", () => {
  it.each(["ext4_dax", "xfs_dax"])("%s: truncation fails or is done, a long-term pin can be taken", (fs) => {
    expect(outcomes(`W8,fs=${fs}`, `v4.20+${LOOK}`)).toBe("REFUSED");
    expect(outcomes(`W8,fs=${fs},holder=rdma`, `v4.20+${LOOK}`)).toBe("REFUSED");
    const told = runs(`W8,fs=${fs},holder=rdma`, `v4.20+${LOOK}`, 12);
    expect(told).toContain("REFUSED ftruncate: -ETXTBSY");
    expect([...told].some((line) => line.includes("EOPNOTSUPP"))).toBe(false);
  });

  it("W9: a registration of fsdax is refused on v4.20, and with it is not; v5.11 and later refuse it still", () => {
    expect(["v4.20", `v4.20+${LOOK}`, `2026+${LOOK}`].map((kernel) => outcomes("W9", kernel))).toEqual([
      "REFUSED",
      "OK",
      "REFUSED",
    ]);
  });
});
