/**
 * Searches over every interleaving of what v6.11 and v6.13 changed for udmabuf: a file that is sealed while its pages are taken, and a page that moves out of
 * ZONE_MOVABLE before it is pinned, while its process stores into it and somebody punches it out of its file.
 */
import { describe, expect, it } from "vitest";
import { ib_umem_get } from "../../src/kernel/drivers/infiniband.js";
import { udmabuf_create } from "../../src/kernel/drivers/udmabuf.js";
import { shmem_punch_hole } from "../../src/kernel/fs/shmem_truncate.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { F_SEAL, is_sealed, memfd_add_seals, memfdTable } from "../../src/kernel/mm/memfd.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { page_of } from "../../src/kernel/mm/user_pages.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import type { Pfn } from "../../src/kernel/types.js";
import type { Oracle } from "../../src/lab/scenario.js";
import type { World } from "../../src/lab/world.js";
import { store } from "../kernel/actors.js";
import { type Actor, FILE, type Small, small } from "../kernel/harness.js";

const page_of_file = (k: Kernel): Pfn => k.xa_slot.page[k.slotOf(FILE, 0)] - 1;

/** F_SEAL_SHRINK before the first step. */
const shrink_sealed = (k: Kernel): void => {
  (k.of(memfdTable.struct) as unknown as { seals: Uint8Array }).seals[FILE] = F_SEAL.SHRINK;
};

const search = (world: World) => {
  const { witnesses, states, complete } = world.explore({ maxStates: 2_000_000, progress: () => true });
  return { kinds: [...new Set(witnesses.map(({ kind }) => kind))].sort(), states, complete };
};

describe("F_SEAL_WRITE while udmabuf takes the pages", () => {
  const still_written: Oracle = {
    kind: "TORN",
    help: "a file that nobody can write, as its seals say, and a device that writes it",
    when: "always",
    check: ({ k }) => {
      const page = page_of_file(k);
      const written = is_sealed(k, FILE, F_SEAL.WRITE) && page >= 0 && k.page.pins[page] > 0;
      return written
        ? { page, message: "a device has a page of a file that is sealed against writing" }
        : null;
    },
  };
  const race = (kernel: string): World =>
    small(
      {
        kernel,
        fs: FS.tmpfs,
        pages: 2,
        geometry: { vmas: [], config: ["memfd"] },
        prepare: shrink_sealed,
        oracles: [still_written],
      },
      {
        create: { path: udmabuf_create, args: [FILE, 0, 1, 0], ends: true },
        seal: { path: memfd_add_seals, args: [FILE, F_SEAL.WRITE], ends: true },
      },
    );

  it.each(["v4.20", "v5.13", "v6.5", "v6.11", "v6.12"])(
    "%s: the seal comes between the question and the first page",
    (kernel) => {
      expect(search(race(kernel)).kinds).toEqual(["REFUSED", "TORN"]);
    },
  );

  it.each(["v6.12+udmabuf-locks-inode", "v6.15"])(
    "%s: either the seal waits for the pages, or the pages are refused",
    (kernel) => {
      expect(search(race(kernel)).kinds).toEqual(["REFUSED"]);
    },
  );
});

describe("a long-term pin that moves its page first", () => {
  /** ZONE_MOVABLE is the last two page frames; the file's page begins there. */
  const movable = { first: 3, pages: 2 };
  const inside = (page: Pfn): boolean => page >= movable.first && page < movable.first + movable.pages;
  const pinned_there: Oracle = {
    kind: "LEAK",
    help: "a page of ZONE_MOVABLE that a device has for long",
    when: "end",
    check: ({ k }) => {
      for (let page = movable.first; page < movable.first + movable.pages; page++)
        if (k.page.pins[page] > 0) return { page, message: "a page of ZONE_MOVABLE is pinned for long" };
      return null;
    },
  };
  /** The page that the device has is the one that the file shows, and the process's store is in it. */
  const together: Oracle = {
    kind: "LOST",
    help: "a device and a process that see different pages, or a store that is gone",
    when: "end",
    check: ({ k }) => {
      const page = page_of_file(k);
      if (k.content.version[page] < 1) return { page, message: "the store of the process is gone" };
      if (k.user_pages.nr[0] === 0 || page_of(k, 0, 0) === page) return null;
      return { page, message: "the device has another page than the file" };
    },
  };

  const machine = (
    kernel: string,
    take: Actor,
    others: Readonly<Record<string, Actor>>,
    oracles: readonly Oracle[],
  ): World => {
    const options: Small = {
      kernel,
      fs: FS.tmpfs,
      pages: 5,
      vmas: [VM_SHARED | VM_WRITE],
      geometry: { movable, config: ["memfd", "truncate", "migration"] },
      prepare: (k) => {
        shrink_sealed(k);
        lru_add_drain(k);
        if (!inside(page_of_file(k))) throw new Error("the page is not of ZONE_MOVABLE");
      },
      oracles,
    };
    return small(options, { take, ...others });
  };
  const udmabuf: Actor = { path: udmabuf_create, args: [FILE, 0, 1, 0], ends: true };
  const rdma: Actor = { path: ib_umem_get, args: [0, 1, 1, 0], ends: true };
  const punch: Actor = { path: shmem_punch_hole, args: [FILE, 0, 1], ends: true };

  const TAKES = { rdma, udmabuf } as const;
  type Take = keyof typeof TAKES;

  // Refused (-ENOMEM): the fault has a reference just then, ten times in a row.
  it.each<readonly [string, Take, readonly string[], number]>([
    ["v5.11", "rdma", ["LEAK"], 177],
    ["v5.13", "rdma", ["REFUSED"], 2861],
    ["v6.12", "rdma", ["REFUSED"], 2861],
    ["v6.5", "udmabuf", ["LEAK"], 62],
    ["v6.11", "udmabuf", ["REFUSED"], 1944],
    ["v6.15", "udmabuf", ["REFUSED"], 1944],
  ])("%s, %s, beside a store: %j, in %i states", (kernel, take, verdict, number) => {
    const found = search(machine(kernel, TAKES[take], { store: store(0) }, [pinned_there, together]));
    expect(found).toEqual({ kinds: verdict, states: number, complete: true });
  });

  // Whoever punches holds a reference as well, unless udmabuf keeps him away.
  it.each<readonly [string, Take, readonly string[], number]>([
    ["v5.13", "rdma", ["REFUSED"], 53480],
    ["v6.12", "rdma", ["REFUSED"], 53480],
    ["v6.11", "udmabuf", ["REFUSED"], 21538],
    ["v6.15", "udmabuf", [], 105],
  ])(
    "%s, %s, beside a hole: %j, in %i states; what is pinned is out of the zone, in the file or not",
    (kernel, take, verdict, number) => {
      const found = search(machine(kernel, TAKES[take], { punch }, [pinned_there]));
      expect(found).toEqual({ kinds: verdict, states: number, complete: true });
    },
  );
});
