import { describe, expect, it } from "vitest";
import { odp_device } from "../../../src/kernel/drivers/infiniband_odp.js";
import { disk_version } from "../../../src/kernel/fs/blocks.js";
import { alloc_contig_range, compact_zone, offline_pages } from "../../../src/kernel/mm/compaction.js";
import { MIGRATE } from "../../../src/kernel/mm/migrate.js";
import { mlock_vma_page } from "../../../src/kernel/mm/mlock.js";
import { trylock_page, unlock_page } from "../../../src/kernel/mm/page.js";
import { isolation } from "../../../src/kernel/mm/page_isolation.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { is_migration_entry, is_write_migration_entry } from "../../../src/kernel/mm/swapops.js";
import { FS, MMU_NOTIFIER } from "../../../src/kernel/operations.js";
import { VM_LOCKED, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { disk, dma, flusher, fsync, load, read, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";
import { isolateOne, migrateOne } from "../movers.js";

const migration = { geometry: { config: ["migration"] } } as const;
const open = (options: Partial<Small>, actors: Readonly<Record<string, Actor>>): Hand =>
  new Hand(small({ pages: 2, ...migration, ...options }, actors));

const compact = (mode: number = MIGRATE.SYNC): Actor => ({ path: compact_zone, args: [mode], ends: true });
const cma = (start: number, end: number): Actor => ({
  path: alloc_contig_range,
  args: [start, end],
  ends: true,
});
const offline = (start: number, end: number, patience = 3): Actor => ({
  path: offline_pages,
  args: [start, end, patience],
  ends: true,
});

describe("a page that nobody holds moves", () => {
  it("with its content, flags, tags, buffers, LRU place and PTEs; the old one is free", () => {
    const h = open({}, { s: store(0), compact: compact() });
    h.go("s");
    expect(h.pte()).toBe("rwdy");
    h.go("compact");
    lru_add_drain(h.k);
    expect([h.refs(0), h.flags(0)]).toEqual([0, []]);
    expect([h.k.xa_slot.page[0], h.k.page.mapping[1], h.k.page.index[1]]).toEqual([2, FILE, 0]);
    expect([h.has("dirty", 1), h.has("private", 1), h.bufferDirty(1), h.tags(1), h.lru(1)]).toEqual([
      true,
      true,
      true,
      "dirty",
      "inactive",
    ]);
    // mk_pte, mkold, maybe_mkwrite: writable, and neither dirty nor young.
    expect([h.pte(), h.k.pte.entry[0] >>> 4, h.refs(1), h.k.content.version[1]]).toEqual(["rw", 1, 3, 1]);
    expect([h.k.vmstat.pgmigrate_success[0], h.k.vmstat.pgmigrate_fail[0]]).toEqual([1, 0]);
    expect(h.world.lockdep.reports).toEqual([]);
  });

  it("an anonymous page moves too", () => {
    const h = open({ pages: 3, vmas: [VM_WRITE] }, { s: store(0), compact: compact() });
    h.go("s");
    lru_add_drain(h.k);
    const old = h.k.pte.entry[0] >>> 4;
    h.go("compact");
    lru_add_drain(h.k);
    const now = h.k.pte.entry[0] >>> 4;
    expect([now === old, h.pte(), h.refs(old) === 0 || h.k.page.mapping[old] === FILE]).toEqual([
      false,
      "rw",
      true,
    ]);
    expect(h.k.content.version[now]).toBe(1);
  });

  it("a page of tmpfs has no buffers to take along", () => {
    const h = open({ fs: FS.tmpfs }, { s: store(0), compact: compact() });
    h.go("s").go("compact");
    expect([h.refs(0), h.has("dirty", 1), h.has("swapbacked", 1), h.pte()]).toEqual([0, true, true, "rw"]);
  });
});

describe("migration entries", () => {
  it("stand for the PTEs meanwhile; a fault waits for the page lock, then sees the new page", () => {
    const h = open({}, { s: store(0), again: store(0), compact: compact() });
    h.go("s").until("compact", "!page_mapped");
    expect([is_migration_entry(h.k.pte.entry[0]), is_write_migration_entry(h.k.pte.entry[0])]).toEqual([
      true,
      true,
    ]);
    h.go("again");
    expect([h.path("again"), h.next("again")]).toEqual(["migration_entry_wait", "wait_on_page_locked"]);
    // The waiter's own reference is one too many: the move fails, and comes off at a later pass.
    h.until("compact", "unlock_page");
    expect(h.k.xa_slot.page[0]).toBe(1);
    while (!h.finished("compact") || !h.finished("again")) h.step(h.enabled("again") ? "again" : "compact");
    expect([h.k.pte.entry[0] >>> 4, h.k.content.version[1], h.faults()]).toEqual([1, 2, []]);
  });
});

describe("F58: one reference too many, and the page stays", () => {
  const pinned = (actor: Actor, more: Readonly<Record<string, Actor>> = {}) => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), actor, sync: fsync, disk, ...more });
    h.until("read", "dio_await_completion");
    lru_add_drain(h.k);
    return h;
  };

  it("expected are the isolator's, the cache's and the buffers' reference", () => {
    for (const [extra, moved] of [
      [0, true],
      [1, false],
    ] as const) {
      const h = open({}, { s: store(0), one: migrateOne(0) });
      h.go("s");
      h.k.page._refcount[0] += extra;
      h.until("one", "migrate_page_move_mapping");
      expect(h.refs()).toBe(3 + extra);
      h.step("one");
      expect(h.k.xa_slot.page[0] === 2).toBe(moved);
    }
  });

  it("ten passes, then pgmigrate_fail; the PTE is back, clean and old, and the page is dirty", () => {
    const h = pinned(compact());
    const steps = h.trace("actor", () => h.go("actor"));
    expect(steps.filter((name) => name === "migrate_page_move_mapping").length).toBe(10);
    // It goes back through the batch, and is on no list until that is drained.
    expect(h.lru()).toBe("isolated");
    lru_add_drain(h.k);
    expect([h.k.vmstat.pgmigrate_fail[0], h.pte(), h.has("dirty"), h.has("private"), h.lru()]).toEqual([
      1,
      "rw",
      true,
      true,
      "inactive",
    ]);
  });

  it("moves do not strip: the buffers of a page that stays stay", () => {
    const h = pinned(compact());
    while (!h.finished("sync")) h.step(h.enabled("sync") ? "sync" : "disk");
    h.go("actor");
    expect([h.has("private"), h.has("dirty")]).toEqual([true, false]);
    h.go("dma").go("read");
    expect(h.faults()).toEqual([]);
  });

  it("MIGRATE_ASYNC takes no page under writeback; one that comes under it later is -EBUSY, and is put back", () => {
    const tasks = { s: store(0), flusher, disk, compact: compact(MIGRATE.ASYNC) };
    const before = open({}, tasks).go("s").go("flusher").go("compact");
    expect([before.has("writeback"), before.lru(), before.k.vmstat.pgmigrate_fail[0]]).toEqual([
      true,
      "inactive",
      0,
    ]);
    const later = open({}, tasks).go("s").past("compact", "isolate_migratepages").go("flusher").go("compact");
    lru_add_drain(later.k);
    expect([
      later.has("writeback"),
      later.lru(),
      later.k.vmstat.pgmigrate_fail[0],
      later.k.vmstat.nr_isolated_file[0],
      later.refs(),
    ]).toEqual([true, "inactive", 1, 0, 3]);
  });

  it("nor a dirty page that somebody has locked (ISOLATE_ASYNC_MIGRATE); a clean one it tries", () => {
    for (const dirty of [true, false]) {
      const h = open({}, { s: store(0), l: load(0), compact: compact(MIGRATE.SYNC_LIGHT) });
      h.go(dirty ? "s" : "l").set(["locked"]);
      const steps = h.trace("compact", () => h.go("compact"));
      expect([steps.includes("trylock_page"), h.finished("compact")]).toEqual([!dirty, dirty]);
    }
  });

  it("compaction passes by an anonymous page that somebody holds; file pages are tried in vain", () => {
    const h = open({ pages: 3, vmas: [VM_WRITE] }, { read: read(0), dma: dma(0), compact: compact() });
    h.until("read", "dio_await_completion");
    lru_add_drain(h.k);
    const page = h.k.pte.entry[0] >>> 4;
    const steps = h.trace("compact", () => h.go("compact"));
    expect([h.k.pte.entry[0] >>> 4, steps.includes("ptep_clear_flush")]).toEqual([page, false]);
  });
});

describe("a filesystem without migratepage (fallback_migrate_page): btrfs, and ext4 with data=journal", () => {
  const dirtyPage = (mode: number) =>
    open(
      { fs: FS.btrfs, geometry: { config: ["migration", "blocks"], blocks: 3 } },
      { s: store(0), again: store(0), compact: compact(mode), disk },
    ).go("s");

  it("a dirty page is -EBUSY to whoever may not wait for writeback, and is not written", () => {
    for (const mode of [MIGRATE.ASYNC, MIGRATE.SYNC_LIGHT]) {
      const h = dirtyPage(mode).go("compact");
      expect([h.finished("compact"), h.k.vmstat.pgmigrate_fail[0], h.k.xa_slot.page[0]]).toEqual([
        true,
        1,
        1,
      ]);
      expect([h.has("dirty"), h.has("writeback"), h.k.vmstat.nr_dirty[0]]).toEqual([true, false, 1]);
    }
  });

  it("MIGRATE_SYNC writes it, waits, and moves it at a later pass", () => {
    const h = dirtyPage(MIGRATE.SYNC).until("compact", "lock_page");
    expect([h.path("compact"), h.has("dirty"), h.has("writeback"), h.has("locked")]).toEqual([
      "fallback_migrate_page",
      false,
      true,
      false,
    ]);
    h.go("compact");
    expect([h.next("compact"), h.enabled("compact")]).toEqual(["wait_on_page_writeback", false]);
    h.go("disk").go("compact");
    expect([h.finished("compact"), h.k.xa_slot.page[0], h.k.vmstat.pgmigrate_success[0]]).toEqual([
      true,
      2,
      1,
    ]);
    expect([disk_version(h.k, FILE, 0, 0), h.refs(0), h.faults()]).toEqual([1, 0, []]);
  });

  it("in v4.20 its PTE comes back writable although it is clean: page_mkclean passes by a migration entry", () => {
    const h = dirtyPage(MIGRATE.SYNC).until("compact", "lock_page");
    expect([h.pte(), h.has("dirty")]).toEqual(["rw", false]);
    // So the filesystem is not asked before the next store.
    const steps = h.trace("again", () => h.go("again"));
    expect([h.finished("again"), steps.includes("btrfs_delalloc_reserve_space")]).toEqual([true, false]);
    expect([h.pte(), h.has("dirty"), h.k.content.version[0]]).toEqual(["rwdy", false, 2]);
  });
});

describe("what a VMA says of the page that comes", () => {
  it("one that keeps its pages in memory marks it: mlocked as the old one was", () => {
    const h = open(
      {
        geometry: {
          config: ["migration", "mlock"],
          vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE | VM_LOCKED }],
        },
      },
      { s: store(0), compact: compact() },
    );
    h.go("s");
    trylock_page(h.k, 0);
    mlock_vma_page(h.k, 0);
    unlock_page(h.k, 0);
    lru_add_drain(h.k);
    expect(h.has("unevictable")).toBe(true);
    h.go("compact");
    lru_add_drain(h.k);
    expect([h.has("mlocked", 1), h.has("unevictable", 1), h.k.vmstat.nr_mlock[0], h.refs(0)]).toEqual([
      true,
      true,
      1,
      0,
    ]);
  });

  it("a PTE that was read-only is writable where the VMA's protection says so", () => {
    const h = open({ fs: FS.tmpfs }, { s: store(0), compact: compact() });
    h.go("s");
    h.k.pte.entry[0] &= ~PTE_BIT.write;
    h.go("compact");
    expect([h.refs(0), h.pte()]).toEqual([0, "rw"]);
  });

  it("drivers with notifiers are told before its PTE becomes a migration entry, and after", () => {
    const h = open(
      {
        geometry: {
          config: ["migration", "notifier"],
          vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
          dios: 2,
          dioPages: 1,
          notifiers: [{ driver: MMU_NOTIFIER.ib_umem, start: 0, nr: 1, pages: 0 }],
        },
      },
      { card: { path: odp_device, args: [0, 1, 0] }, compact: compact() },
    );
    h.until("card", (k) => k.content.version[0] === 1);
    lru_add_drain(h.k);
    const order = ["ib_umem_notifier_start_account", "ptep_clear_flush", "ib_umem_notifier_end_account"];
    const steps = h.trace("compact", () => h.go("compact"));
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    expect([h.refs(0), h.k.user_page.page[0]]).toEqual([0, 0]);
  });
});

describe("W16: contiguous memory and memory that is to go offline", () => {
  it("alloc_contig_range empties a range of free and movable pages; nobody gets its pages meanwhile", () => {
    const h = open({ pages: 4, filePages: 2 }, { s: store(0), s1: store(1), cma: cma(0, 2) });
    h.go("s").go("s1").go("cma");
    expect([h.world.machine.local(2, "ret"), h.refs(0), h.refs(1)]).toEqual([0, 0, 0]);
    expect([h.k.xa_slot.page[0] > 2, h.k.xa_slot.page[1] > 2]).toEqual([true, true]);
  });

  it("a page that a device holds makes it -EBUSY after five times ten passes", () => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), cma: cma(0, 1) });
    h.until("read", "dio_await_completion");
    const steps = h.trace("cma", () => h.go("cma"));
    expect(steps.filter((name) => name === "migrate_page_move_mapping").length).toBe(50);
    expect(h.world.machine.local(2, "ret")).toBe(-16);
    h.go("dma").go("read");
    expect(h.faults()).toEqual([]);
  });

  it("it strips a clean page that a device holds, before it tries to move it", () => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), sync: fsync, disk, cma: cma(0, 1) });
    h.until("read", "dio_await_completion");
    while (!h.finished("sync")) h.step(h.enabled("sync") ? "sync" : "disk");
    h.k.pte.entry[0] &= ~8;
    h.clear(["referenced"]);
    h.go("cma");
    expect([h.world.machine.local(4, "ret"), h.has("private"), h.has("dirty")]).toEqual([-16, false, false]);
    h.go("dma").go("read");
    expect(h.faults()).toEqual(["WARN ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))"]);
  });

  it("it passes by an anonymous page that a device holds: its PTEs are left alone, and the range is busy", () => {
    const h = open({ pages: 3, vmas: [VM_WRITE] }, { read: read(0), dma: dma(0), cma: cma(1, 2) });
    h.until("read", "dio_await_completion");
    lru_add_drain(h.k);
    expect(h.k.pte.entry[0] >>> 4).toBe(1);
    const steps = h.trace("cma", () => h.go("cma"));
    expect([h.world.machine.local(2, "ret"), steps.includes("ptep_clear_flush")]).toEqual([-16, false]);
  });

  it("pages that have nowhere to go make it -ENOMEM; the last page frame is tried first", () => {
    const h = open({ pages: 2, filePages: 2 }, { s: store(0), s1: store(1), cma: cma(0, 2) });
    h.go("s").go("s1").until("cma", "get_new_page");
    expect(h.world.machine.page(2)).toBe(1);
    h.go("cma");
    expect([h.world.machine.local(2, "ret"), h.k.vmstat.pgmigrate_fail[0]]).toEqual([-12, 5]);
    expect(h.k.of(isolation).end[0]).toBe(0);
  });

  it("offlining moves nothing while a page of the range is on no list", () => {
    const h = open({ pages: 4, filePages: 2 }, { isolate: isolateOne(1), off: offline(0, 2, 1) });
    h.go("isolate").until("off", "putback_movable_pages").go("off");
    expect([h.lru(0), h.k.vmstat.pgmigrate_fail[0], h.world.machine.local(1, "ret")]).toEqual([
      "isolated",
      0,
      -4,
    ]);
    lru_add_drain(h.k);
    expect(h.lru(0)).toBe("inactive");
  });

  it("a page that left its file with its buffers on loses them there, and is free at the next look", () => {
    const h = open({ pages: 2 }, { s: store(0), off: offline(0, 1) }).go("s");
    // As truncation leaves a page whose buffers a commit holds: in no file, of no process, its buffers' reference left.
    h.clear(["dirty"]);
    h.k.xa_mark.dirty[0] = 0;
    h.k.pte.entry[0] = 0;
    h.k.page.mapcount[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.k.page.mapping[0] = 0;
    h.k.page.b_state[0] = 0;
    lru_add_drain(h.k);
    h.k.page._refcount[0] = 1;
    expect([h.has("private"), h.lru()]).toEqual([true, "inactive"]);
    const steps = h.trace("off", () => h.go("off"));
    expect(steps.filter((step) => step === "drop_buffers" || step === "page_count == 1")).toEqual([
      "page_count == 1",
      "drop_buffers",
      "page_count == 1",
    ]);
    expect([h.world.machine.local(1, "ret"), h.refs(), h.flags(), h.faults()]).toEqual([0, 0, [], []]);
  });

  it("offlining waits for a held page for ever: the report is a HANG when patience ends", () => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), off: offline(0, 1) });
    h.until("read", "dio_await_completion").go("off");
    expect([h.world.machine.local(2, "ret"), h.faults()]).toEqual([
      -4,
      ["HANG offline_pages: page 0 does not go away, and nothing but a signal ends this"],
    ]);
  });

  it("and gets the range when the device lets go in time", () => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), off: offline(0, 1), load: load(0) });
    h.until("read", "dio_await_completion").past("off", "do_migrate_range");
    h.until("off", "do_migrate_range").go("dma").go("read");
    lru_add_drain(h.k);
    h.go("off");
    expect([h.world.machine.local(2, "ret"), h.refs(0), h.faults()]).toEqual([0, 0, []]);
    h.go("load");
    expect(h.k.pte.entry[0] >>> 4).not.toBe(0);
  });
});

describe("migration and reclaim on the same pages", () => {
  it("a page isolated by one is on no list for the other", () => {
    const h = open({}, { isolate: isolateOne(0), reclaim: reclaim(1) });
    h.go("isolate").go("reclaim");
    expect([h.lru(), h.has("uptodate"), h.k.vmstat.pgscan_kswapd[0]]).toEqual(["isolated", true, 0]);
  });
});
