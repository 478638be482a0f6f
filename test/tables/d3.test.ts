/**
 * D3 of the proposals' reference: which folios gup-fast may take. The gate is of v6.5, and is asked there; v4.20's fast path looks at the PTE
 * alone, and so did long-term pins for writing up to v6.4.
 */
import { describe, expect, it } from "vitest";
import { ib_umem_get } from "../../src/kernel/drivers/infiniband.js";
import { io_sqe_buffer_register } from "../../src/kernel/drivers/io_uring.js";
import { vfio_dma_do_map } from "../../src/kernel/drivers/vfio.js";
import { vb2_get_userptr } from "../../src/kernel/drivers/videobuf2.js";
import { xdp_umem_reg } from "../../src/kernel/drivers/xdp_umem.js";
import { ERRNO } from "../../src/kernel/errno.js";
import { FOLL, get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { truncate_setsize } from "../../src/kernel/mm/truncate.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import type { AnyPath } from "../../src/machine/patch.js";
import { FOLL_LONGTERM } from "../../src/patches/longterm_flag.js";
import { pin_user_pages_fast } from "../../src/patches/pin_user_pages.js";
import { load, read, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { Hand, type Small, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

/** The gate is gup_fast_folio_allowed, which looks at the folio; the rest are other reasons to fall back. */
const LISTED: Listed = {
  "slab: WARN, deny": "no user mapping has a slab page",
  "secret memory: deny": "memfd_secret (v5.14) is left out",
  "pte protnone": "NUMA hints are left out",
  "unshare needed": "gup_must_unshare is of v5.19: see the tests of unsharing",
};

const SHARED = VM_SHARED | VM_WRITE;
const file = (fs: number): Small => ({
  pages: 2,
  fs,
  geometry: { files: [{ pages: 1, fs }], vmas: [{ pages: 1, file: 1, flags: SHARED }] },
});
const BACKINGS: Readonly<Record<string, Small>> = {
  ext4: file(FS.ext4),
  xfs: file(FS.xfs),
  btrfs: file(FS.btrfs),
  shmem: file(FS.tmpfs),
  anonymous: { cached: false, pages: 1, geometry: { files: [], vmas: [{ pages: 1, flags: VM_WRITE }] } },
  hugetlb: {
    cached: false,
    pages: 2,
    fs: FS.hugetlbfs,
    filePages: 2,
    geometry: { hugePages: 1, hugeOrder: 1, config: ["compound"] },
  },
};

/** A page that has been stored to is asked for by pin_user_pages_fast: which ways were taken, and what came of it. */
function pinned(kernel: string, backing: string, flags: number) {
  const answers: number[] = [];
  const actors = { store: store(), pin: ask(pin_user_pages_fast, [0, 1, flags, 0], answers) };
  const h = new Hand(small({ ...BACKINGS[backing], kernel }, actors)).go("store");
  const before = h.k.page._refcount.slice();
  const steps = h.trace("pin", () => h.go("pin"));
  const held = h.k.page._refcount.reduce((sum, count, page) => sum + count - before[page], 0);
  return {
    asked: steps.includes("folio_fast_pin_allowed"),
    dropped: steps.includes("put_compound_head"),
    slow: steps.includes("down_read(mm->mmap_sem)"),
    answer: answers[0],
    held,
  };
}

const { WRITE } = FOLL;
const FAST = { dropped: false, slow: false, answer: 1, held: 1024 };
/** Back to the slow path, which decides: here it refuses. */
const DENIED = { asked: true, dropped: true, slow: true, answer: -ERRNO.EFAULT, held: 0 };

/** Row, backing, flags beside FOLL_PIN, and what v6.5 does. */
const ROWS: readonly (readonly [row: string, backing: string, flags: number, expected: object])[] = [
  ["neither a file to be refused nor secret memory: allow", "ext4", WRITE, { ...FAST, asked: false }],
  ["no file to be refused: allow", "ext4", FOLL_LONGTERM, { ...FAST, asked: false }],
  // A compound page has a count of its pins of its own, and one reference a pin.
  ["hugetlb: allow", "hugetlb", WRITE | FOLL_LONGTERM, { ...FAST, held: 1, asked: true }],
  ["anonymous: allow, movable: deny", "anonymous", WRITE | FOLL_LONGTERM, { ...FAST, asked: true }],
  ["shmem: allow, any other file: deny", "shmem", WRITE | FOLL_LONGTERM, { ...FAST, asked: true }],
  ["shmem: allow, any other file: deny", "ext4", WRITE | FOLL_LONGTERM, DENIED],
  ["shmem: allow, any other file: deny", "xfs", WRITE | FOLL_LONGTERM, DENIED],
  ["shmem: allow, any other file: deny", "btrfs", WRITE | FOLL_LONGTERM, DENIED],
];

describe("D3, F37: the folio gate of gup-fast (a6e79df92e4a)", () => {
  it.each(ROWS)("%s; %s, flags %i on v6.5", (_, backing, flags, expected) => {
    expect(pinned("v6.5", backing, flags)).toEqual(expected);
  });

  it.each(ROWS)("%s; %s, flags %i: v6.4 takes every one of them by the fast walk", (_, backing, flags) => {
    const held = backing === "hugetlb" ? 1 : FAST.held;
    expect(pinned("v6.4", backing, flags)).toEqual({ ...FAST, held, asked: false });
  });

  it("no mapping: deny; a page that is truncated after the second look at its PTE is the slow path's to judge", () => {
    const answers: number[] = [];
    const actors = {
      store: store(),
      pin: ask(pin_user_pages_fast, [0, 1, WRITE | FOLL_LONGTERM, 0], answers),
      truncate: ask(truncate_setsize, [1, 0]),
    };
    const { geometry, ...options } = file(FS.tmpfs);
    const machine = { ...options, kernel: "v6.5", geometry: { ...geometry, config: ["truncate"] as const } };
    const h = new Hand(small(machine, actors)).go("store");
    h.until("pin", "folio_fast_pin_allowed").go("truncate");
    expect(h.k.page.mapping[0]).toBe(0);
    h.past("pin", "put_compound_head").go("pin");
    expect([answers, h.k.page._refcount[0]]).toEqual([[-ERRNO.EFAULT], 0]);
  });
});

describe("D3: who reaches the gate", () => {
  const users: readonly (readonly [string, AnyPath, readonly number[]])[] = [
    ["ib_umem_get", ib_umem_get, [0, 1, 1, 0]],
    ["io_sqe_buffer_register", io_sqe_buffer_register, [0, 1, 0]],
    ["vb2_get_userptr", vb2_get_userptr, [0, 1, 0]],
    ["vfio_dma_do_map", vfio_dma_do_map, [0, 1, 1, 0]],
    ["xdp_umem_reg", xdp_umem_reg, [0, 1, 0]],
  ];
  /** Which of the users take their long-term pins by the fast walk. */
  const fast = (kernel: string): string[] =>
    users.flatMap(([name, path, args]) => {
      const h = new Hand(small({ ...BACKINGS.anonymous, kernel }, { store: store(), user: ask(path, args) }));
      const steps = h.go("store").trace("user", () => h.go("user"));
      return steps.includes("pte_read") ? [name] : [];
    });

  it.each([
    ["v5.5", []],
    ["v5.6", ["ib_umem_get"]],
    ["v5.13", ["ib_umem_get", "vb2_get_userptr"]],
    ["v6.5", ["ib_umem_get", "vb2_get_userptr"]],
    ["v6.11", ["ib_umem_get", "io_sqe_buffer_register", "vb2_get_userptr"]],
  ])("on %s: %j; VFIO and AF_XDP never", (kernel, expected) => {
    expect(fast(kernel)).toEqual(expected);
  });

  it("without it a registration of a file's page whose PTE is writable gets past the VMA's rule", () => {
    const registered = (kernel: string) => {
      const answers: number[] = [];
      const actors = { store: store(), user: ask(ib_umem_get, [0, 1, 1, 0], answers) };
      new Hand(small({ ...BACKINGS.ext4, kernel }, actors)).go("store").go("user");
      return answers[0];
    };
    expect(registered("v6.4+refuse-longterm-file-write")).toBe(0);
    expect(registered("v6.4+refuse-longterm-file-write+longterm-fast-gate")).toBe(-ERRNO.EFAULT);
  });
});

describe("D3: v4.20", () => {
  it("asks none of its questions: any page, for as long as one likes, through the PTE alone", () => {
    const backings = ["ext4", "shmem", "anonymous", "hugetlb"].map((name) => [name, BACKINGS[name]] as const);
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
    [
      ...ROWS.map(([row]) => row),
      "no mapping: deny",
      "access not permitted for WRITE",
      "devmap or special pte",
      "pte changed after the grab",
    ],
    LISTED,
  );
});
