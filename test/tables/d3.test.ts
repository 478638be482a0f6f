/**
 * D3 of the proposals' reference: which folios gup-fast may take. The gate is of v6.5; its rows are listed here with that
 * reason. What v4.20's fast path does instead: it looks at the PTE alone.
 */
import { describe, expect, it } from "vitest";
import { get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { load, read, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { Hand, type Small, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

/** Rows that are not v4.20's. The gate is gup_fast_folio_allowed, which looks at the folio; the rest are other reasons to fall back. */
const LISTED: Listed = {
  "neither a file to be refused nor secret memory: allow": "the gate came with v6.5",
  "slab: WARN, deny": "the same",
  "hugetlb: allow": "the same; see below",
  "no mapping: deny":
    "the same; a truncated page has no PTE, and one that lost it under the walk is found by the second look",
  "anonymous: allow, movable: deny": "the same; see below",
  "secret memory: deny": "secret memory came with v5.14",
  "no file to be refused: allow": "the gate came with v6.5",
  "shmem: allow, any other file: deny": "the same; see below",
  "pte protnone": "NUMA hints are left out",
  "unshare needed": "gup_must_unshare came with v5.19",
};

describe("D3: the folio gate of gup-fast", () => {
  it("v4.20 asks none of its questions: any page, for as long as one likes, through the PTE alone", () => {
    const backings: readonly (readonly [string, Small])[] = [
      ["ext4", { pages: 1 }],
      ["shmem", { pages: 1, fs: FS.tmpfs }],
      [
        "anonymous",
        { cached: false, pages: 1, geometry: { files: [], vmas: [{ pages: 1, flags: VM_WRITE }] } },
      ],
      [
        "hugetlb",
        {
          cached: false,
          pages: 2,
          fs: FS.hugetlbfs,
          filePages: 2,
          geometry: { hugePages: 1, hugeOrder: 1, config: ["compound"] },
        },
      ],
    ];
    for (const [name, options] of backings) {
      const h = new Hand(small(options, { store: store(), read: read(0) })).go("store");
      const steps = h.trace("read", () => h.until("read", "submit_bio"));
      expect([name, steps]).toEqual([
        name,
        ["pte_read", "page_cache_get_speculative", "pte_val(pte) == pte_val(*ptep)", "SetPageReferenced"],
      ]);
    }
  });

  it("a PTE that does not permit the write sends it to the slow path", () => {
    const h = new Hand(small({ pages: 1 }, { load: load(), read: read(0) })).go("load");
    const steps = h.trace("read", () => h.until("read", "submit_bio"));
    expect(steps.slice(0, 3)).toEqual(["pte_read", "down_read(mm->mmap_sem)", "follow_page_pte"]);
  });

  it("a special PTE (the zero page) does so too, and the slow path takes it", () => {
    const answers: number[] = [];
    const options: Small = {
      cached: false,
      pages: 1,
      geometry: { files: [], vmas: [{ pages: 1, flags: VM_WRITE }] },
    };
    const h = new Hand(
      small(options, { load: load(), get: ask(get_user_pages_fast, [0, 1, 0, 0], answers) }),
    ).go("load");
    const steps = h.trace("get", () => h.go("get"));
    expect(steps.slice(0, 3)).toEqual(["pte_read", "down_read(mm->mmap_sem)", "follow_page_pte"]);
    expect(answers).toEqual([1]);
  });

  it("a PTE that changed after the reference was taken: the reference is put, and the slow path asked", () => {
    const h = new Hand(
      small({ pages: 1, vmas: [VM_SHARED | VM_WRITE] }, { store: store(), read: read(0) }),
    ).go("store");
    h.until("read", "pte_val(pte) == pte_val(*ptep)");
    const refs = h.refs();
    h.k.pte.entry[0] &= ~2;
    h.step("read");
    expect(h.next("read")).toBe("put_page");
    h.step("read");
    expect(h.refs()).toBe(refs - 1);
  });

  whole(
    "D3",
    [
      "neither a file to be refused nor secret memory: allow",
      "slab: WARN, deny",
      "hugetlb: allow",
      "no mapping: deny",
      "anonymous: allow, movable: deny",
      "secret memory: deny",
      "no file to be refused: allow",
      "shmem: allow, any other file: deny",
      "pte protnone",
      "access not permitted for WRITE",
      "devmap or special pte",
      "pte changed after the grab",
      "unshare needed",
    ],
    ["access not permitted for WRITE", "devmap or special pte", "pte changed after the grab"],
    LISTED,
  );
});
