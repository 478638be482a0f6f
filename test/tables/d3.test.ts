/**
 * D3 of the proposals' reference: which folios gup-fast may take. The gate is of v6.5; its rows are listed here with that
 * reason. What v4.20's fast path does instead: it looks at the PTE alone.
 */
import { describe, expect, it } from "vitest";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { load, read, store } from "../kernel/actors.js";
import { Hand, small } from "../kernel/harness.js";

/** Rows of the table, first match wins: all are gup_fast_folio_allowed's, which v4.20 does not have. */
const LATER: readonly (readonly [condition: string, result: string])[] = [
  ["neither a file to be refused nor secret memory to be checked for", "allow"],
  ["slab", "WARN, deny"],
  ["hugetlb", "allow"],
  ["no mapping (truncated)", "deny, to the slow path"],
  ["anonymous", "allow"],
  ["movable", "deny"],
  ["secret memory", "deny"],
  ["no file to be refused", "allow"],
  ["shmem", "allow"],
  ["any other file", "deny, to the slow path, then EFAULT"],
];

describe("D3: the folio gate of gup-fast", () => {
  it("its ten rows are of v6.5 and later: v4.20 asks none of these questions", () => {
    expect(LATER).toHaveLength(10);
    const h = new Hand(small({ pages: 1 }, { store: store(), read: read(0) })).go("store");
    const steps = h.trace("read", () => h.until("read", "submit_bio"));
    // Any file's page, for as long as one likes, through the PTE alone.
    expect(steps).toEqual([
      "pte_read",
      "page_cache_get_speculative",
      "pte_val(pte) == pte_val(*ptep)",
      "SetPageReferenced",
    ]);
  });

  it("a PTE that does not permit the write sends it to the slow path", () => {
    const h = new Hand(small({ pages: 1 }, { load: load(), read: read(0) })).go("load");
    const steps = h.trace("read", () => h.until("read", "submit_bio"));
    expect(steps.slice(0, 3)).toEqual(["pte_read", "down_read(mm->mmap_sem)", "follow_page_pte"]);
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
});
