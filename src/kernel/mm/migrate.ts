/**
 * Moving pages: a page gets another page frame, and nobody who looks through a file or an address notices.
 *
 * Source: mm/migrate.c, and mm/rmap.c for TTU_MIGRATION, in v4.20. Who holds a page by reference would notice, so such a page stays:
 * its PTEs become migration entries, its references are compared with those that are known (migrate_page_move_mapping), and one
 * too many is -EAGAIN. The PTEs come back, and it is tried again, ten times. A driver's reference does not go away in that time.
 *
 * A moved page takes its buffers with it; unlike reclaim, migration does not free them before it counts. What changes for a
 * page that stays all the same: its PTEs come back clean and old, and their dirt is the page's now.
 *
 * Left out: huge pages, movable pages of drivers, KSM, the gauges of zones, the buffer lock (MIGRATE_ASYNC tries it under the
 * xa_lock), memory failure, direct compaction (PF_MEMALLOC,
 * which waits for no page lock). Every filesystem with a migratepage is taken for one with buffer_migrate_page, which for a page
 * without buffers is migrate_page; btrfs has none, nor has ext4 with data=journal.
 */

import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { write_buffer } from "../fs/buffer.js";
import { free_buffers } from "../fs/invalidatepage.js";
import { list_del } from "../inserts.js";
import type { Kernel } from "../kernel.js";
import { PFN_SHIFT, PTE } from "../kernel.js";
import {
  call,
  config,
  dispatch,
  given,
  goto,
  held,
  label,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  repeat,
  step,
  tries,
  under,
  wait,
  when,
} from "../language.js";
import { PG_locked, ptl, xa_lock } from "../locks.js";
import { a_ops, FS, fs_of_page } from "../operations.js";
import { isAnon, VM_LOCKED, VM_WRITE } from "../structs.js";
import { int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { page_index, page_mapping } from "./filemap.js";
import { vm_page_prot } from "./memory.js";
import { mlock_vma_page } from "./mlock.js";
import { invalidate_page_end, invalidate_page_start } from "./mmu_notifier.js";
import {
  ClearPageActive,
  ClearPageDirty,
  ClearPagePrivate,
  ClearPageSwapCache,
  ClearPageUnevictable,
  get_page,
  get_page_unless_zero,
  lock_page,
  PageActive,
  PageChecked,
  PageDirty,
  PageLocked,
  PageReferenced,
  PageSwapBacked,
  PageSwapCache,
  PageUnevictable,
  PageUptodate,
  PageWorkingset,
  PageWriteback,
  page_count,
  page_has_private,
  page_is_file_cache,
  page_mapped,
  page_ref_freeze,
  page_ref_unfreeze,
  SetPageActive,
  SetPageChecked,
  SetPageDirty,
  SetPagePrivate,
  SetPageReferenced,
  SetPageSwapBacked,
  SetPageSwapCache,
  SetPageUnevictable,
  SetPageUptodate,
  SetPageWorkingset,
  set_device_wrote,
  trylock_page,
  unlock,
  unlock_page,
  wait_on_page_writeback,
} from "./page.js";
import { alloc_page } from "./page_alloc.js";
import { clear_page_dirty_for_io, set_page_dirty } from "./page_writeback.js";
import { page_add_rmap, page_remove_rmap, set_pte } from "./rmap.js";
import { next_vma, rmap_walk } from "./rmap_walk.js";
import { put_page, putback_lru_page } from "./swap.js";
import { page_private, set_page_private } from "./swapfile.js";
import {
  is_migration_entry,
  is_write_migration_entry,
  make_migration_entry,
  migration_entry_to_page,
} from "./swapops.js";
import { try_to_release_page } from "./vmscan.js";

/** enum migrate_mode: how long migration may wait. ASYNC never, SYNC_LIGHT for locks, SYNC for writeback too. */
export const MIGRATE = { ASYNC: 0, SYNC_LIGHT: 1, SYNC: 2 } as const;

/** A fault on a migration entry: sleep until whoever moves the page lets go of it. The access is then tried again. */
export const migration_entry_wait = path(
  "migration_entry_wait",
  { source: "mm/migrate.c v4.20", args: { at: vpn }, locals: { page: pfn } },
  [
    under(ptl, [
      step("get_page_unless_zero", (k, f) => {
        const entry = k.pte.entry[f.at];
        if (!is_migration_entry(entry)) return;
        const page = migration_entry_to_page(entry);
        // While its references are frozen the page is about to be replaced: fault again.
        if (get_page_unless_zero(k, page)) f.page = page;
      }),
    ]),
    given((_, f) => f.page === NONE, [leave()]),
    wait("wait_on_page_locked", (k, f) => !PageLocked(k, f.page)),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

const UNMAP = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn },
  locals: { vma: int, at: int, dirty: int },
} as const;

/** try_to_unmap with TTU_MIGRATION, TTU_IGNORE_MLOCK and TTU_IGNORE_ACCESS: every PTE of a locked page becomes a migration entry. */
export const try_to_unmap_for_migration = path("try_to_unmap", UNMAP, [
  ...rmap_walk<FrameOf<typeof UNMAP>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, false);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        config("notifier", [call(() => invalidate_page_start, { page: "page", vma: "vma" })]),
        under(ptl, [
          step("ptep_clear_flush", (k, f) => {
            const at = k.pteAt(f.vma - 1, f.page);
            f.at = at + 1;
            if (at < 0) return;
            const entry = k.pte.entry[at];
            f.dirty = (entry & PTE.dirty) !== 0 ? 1 : 0;
            set_pte(k, at, make_migration_entry(f.page, (entry & PTE.write) !== 0), f.page);
          }),
          given((_, f) => f.dirty === 1, [call(() => set_page_dirty, { page: "page" })]),
          given(
            (_, f) => f.at !== 0,
            [
              held(
                step("page_remove_rmap", (k, f) => {
                  page_remove_rmap(k, f.page);
                  put_page(k, f.page);
                }),
              ),
            ],
          ),
        ]),
        config("notifier", [call(() => invalidate_page_end, { page: "page", vma: "vma" })]),
        local((k, f) => {
          f.dirty = 0;
          f.at = 0;
          // page_mapcount_is_zero: the walk ends with the last PTE.
          f.vma = page_mapped(k, f.page) ? next_vma(k, f.page, f.vma, false) : 0;
        }),
      ],
    ),
    label("out"),
  ]),
]);

/** Where this VMA would map the page, if it does. */
const address_of = (k: Kernel, vma: number, page: Pfn): Vpn =>
  k.vma.vm_start[vma] + k.page.index[page] - k.vma.vm_pgoff[vma];

/**
 * remove_migration_pte: the entry for the old page becomes a PTE of the page that is there now: clean and old. Whether it may be
 * written is asked of the VMA anew; one that keeps its pages in memory marks the page.
 */
function remove_migration_pte(k: Kernel, vma: number, old: Pfn, page: Pfn): void {
  const at = address_of(k, vma, page);
  const entry = k.pte.entry[at];
  if (!is_migration_entry(entry) || migration_entry_to_page(entry) !== old) return;
  get_page(k, page);
  const writable = is_write_migration_entry(entry) && (k.vma.vm_flags[vma] & VM_WRITE) !== 0;
  page_add_rmap(k, page);
  const prot = vm_page_prot(k, vma) | (writable ? PTE.write : 0);
  set_pte(k, at, (page << PFN_SHIFT) | PTE.present | prot, page);
  if ((k.vma.vm_flags[vma] & VM_LOCKED) !== 0) mlock_vma_page(k, page);
}

const RESTORE = {
  source: "mm/migrate.c v4.20",
  args: { old: pfn, page: pfn },
  locals: { vma: int },
} as const;

/** Replace the migration entries of a page by PTEs of `page`: the new one, or the old one again. */
export const remove_migration_ptes = path("remove_migration_ptes", RESTORE, [
  ...rmap_walk<FrameOf<typeof RESTORE>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, false);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        under(ptl, [
          step("remove_migration_pte", (k, f) => remove_migration_pte(k, f.vma - 1, f.old, f.page)),
        ]),
        local((k, f) => {
          f.vma = next_vma(k, f.page, f.vma, false);
        }),
      ],
    ),
  ]),
]);

/**
 * Give a page's place in its file, or its anonymous identity, to another page, if nobody but the isolator, the cache and the
 * buffers holds it (F58). Gives 0 or -EAGAIN; after 0 there is no turning back.
 */
function migrate_page_move_mapping(k: Kernel, newpage: Pfn, page: Pfn): number {
  if (page_mapping(k, page) === 0) {
    if (page_count(k, page) !== 1) return -ERRNO.EAGAIN;
    k.page.index[newpage] = k.page.index[page];
    k.page.mapping[newpage] = k.page.mapping[page];
    if (PageSwapBacked(k, page)) SetPageSwapBacked(k, newpage);
    return 0;
  }
  const expected_count = 2 + (page_has_private(k, page) ? 1 : 0);
  if (!page_ref_freeze(k, page, expected_count)) return -ERRNO.EAGAIN;
  k.page.index[newpage] = k.page.index[page];
  k.page.mapping[newpage] = k.page.mapping[page];
  get_page(k, newpage);
  if (PageSwapBacked(k, page)) SetPageSwapBacked(k, newpage);
  // The dirty state moves while nobody sees either page. The tags are the slot's, and stay.
  if (PageDirty(k, page)) {
    ClearPageDirty(k, page);
    SetPageDirty(k, newpage);
  }
  k.xa_slot.page[k.slotOf(page_mapping(k, page), page_index(k, page))] = newpage + 1;
  if (PageSwapCache(k, page)) {
    set_page_private(k, newpage, page_private(k, page));
    SetPageSwapCache(k, newpage);
    // Later in the kernel (migrate_page_states); nobody sees the old page any more.
    set_page_private(k, page, 0);
    ClearPageSwapCache(k, page);
  }
  page_ref_unfreeze(k, page, expected_count - 1);
  return 0;
}

/** The buffers of buffer_migrate_page: they, and their reference, go with the page. */
function move_buffers(k: Kernel, newpage: Pfn, page: Pfn): void {
  if (!page_has_private(k, page)) return;
  const bits = k.page.b_state[page];
  ClearPagePrivate(k, page);
  write_buffer(k, page, 0, 0xff);
  put_page(k, page);
  get_page(k, newpage);
  SetPagePrivate(k, newpage);
  write_buffer(k, newpage, bits);
}

/** migrate_page_copy: the bytes and what else is known of the page (migrate_page_states). */
function migrate_page_copy(k: Kernel, newpage: Pfn, page: Pfn): void {
  const { parts } = k.geometry;
  k.content.version.copyWithin(newpage * parts, page * parts, (page + 1) * parts);
  if (PageReferenced(k, page)) SetPageReferenced(k, newpage);
  if (PageUptodate(k, page)) SetPageUptodate(k, newpage);
  if (PageActive(k, page)) {
    ClearPageActive(k, page);
    SetPageActive(k, newpage);
  } else if (PageUnevictable(k, page)) {
    ClearPageUnevictable(k, page);
    SetPageUnevictable(k, newpage);
  }
  if (PageWorkingset(k, page)) SetPageWorkingset(k, newpage);
  if (PageChecked(k, page)) SetPageChecked(k, newpage);
  if (PageDirty(k, page)) SetPageDirty(k, newpage);
  if (k.page.device[page] !== 0) {
    set_device_wrote(k, newpage, 1);
    set_device_wrote(k, page, 0);
  }
}

/** Whether a page's filesystem can move it with what it keeps on it: address_space_operations.migratepage. */
const has_migratepage = (k: Kernel, page: Pfn): boolean => {
  const fs = fs_of_page(k, page);
  return fs !== FS.btrfs && !(fs === FS.ext4 && k.geometry.mount.data === "journal");
};

/**
 * fallback_migrate_page, up to where it is migrate_page: a page must be clean and without private data. A dirty one is written, if the
 * caller can wait so long, and stays where it is this time. Gives 0 when the page can be moved.
 */
const fallback_migrate_page = path(
  "fallback_migrate_page",
  {
    source: "mm/migrate.c v4.20",
    args: { page: pfn, mode: int },
    locals: { cleared: int, released: int },
    returns: int,
  },
  [
    when("PageDirty", (k, f) => PageDirty(k, f.page), [
      given((_, f) => f.mode !== MIGRATE.SYNC, [leave(() => -ERRNO.EBUSY)]),
      call(() => clear_page_dirty_for_io, { page: "page" }, "cleared"),
      given((_, f) => f.cleared === 0, [leave(() => -ERRNO.EAGAIN)]),
      call(() => remove_migration_ptes, { old: "page", page: "page" }),
      dispatch(a_ops, "writepage", (k, f) => fs_of_page(k, f.page), { page: "page", sync: 0, memalloc: 0 }),
      lockdep_assert_not_held(PG_locked),
      lock_page(),
      leave(() => -ERRNO.EAGAIN),
    ]),
    when("page_has_private", (k, f) => page_has_private(k, f.page), [
      call(() => try_to_release_page, { page: "page" }, "released"),
      given((_, f) => f.released === 0, [leave(() => -ERRNO.EAGAIN)]),
    ]),
  ],
);

/** Move a locked, unmapped page to a new, locked page. Gives 0, -EAGAIN or -EBUSY. */
export const move_to_new_page = path(
  "move_to_new_page",
  { source: "mm/migrate.c v4.20", args: { newpage: pfn, page: pfn, mode: int }, returns: int },
  [
    given(
      (k, f) => !has_migratepage(k, f.page),
      [
        call(() => fallback_migrate_page, { page: "page", mode: "mode" }, "ret"),
        given((_, f) => f.ret !== 0, [leave()]),
      ],
    ),
    under(xa_lock, [
      step("migrate_page_move_mapping", (k, f) => {
        f.ret = migrate_page_move_mapping(k, f.newpage, f.page);
      }),
    ]),
    given((_, f) => f.ret !== 0, [leave()]),
    // Both pages are locked and in no PTE; who finds the new one in its slot waits for its lock.
    held(step("buffer_migrate_page", (k, f) => move_buffers(k, f.newpage, f.page))),
    held(step("migrate_page_copy", (k, f) => migrate_page_copy(k, f.newpage, f.page))),
    held(
      step("page->mapping = NULL", (k, f) => {
        if (!isAnon(k.page.mapping[f.page])) k.page.mapping[f.page] = 0;
      }),
    ),
  ],
);

/** Unmap a page, move it, map it again: the new page, or the old one where it could not be moved. Gives 0 or a negative error. */
export const __unmap_and_move = path(
  "__unmap_and_move",
  {
    source: "mm/migrate.c v4.20",
    args: { page: pfn, newpage: pfn, force: int, mode: int },
    locals: { page_was_mapped: int, freed: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.ret = -ERRNO.EAGAIN;
    }),
    tries(
      PG_locked,
      when("trylock_page", (k, f) => trylock_page(k, f.page), [goto("locked")]),
    ),
    given((_, f) => f.force === 0 || f.mode === MIGRATE.ASYNC, [leave()]),
    lock_page(),
    label("locked"),
    when("PageWriteback", (k, f) => PageWriteback(k, f.page), [
      given(
        (_, f) => f.mode !== MIGRATE.SYNC,
        [
          local((_, f) => {
            f.ret = -ERRNO.EBUSY;
          }),
          goto("out_unlock"),
        ],
      ),
      given((_, f) => f.force === 0, [goto("out_unlock")]),
      wait_on_page_writeback(),
    ]),
    // Nobody else knows the new page, so that its lock is in no order with others: the old one is given up for a handle, with this
    // one held. Once it is known, the old one's lock is held as well.
    held(
      step("trylock_page", (k, f) => {
        trylock_page(k, f.newpage);
      }),
    ),
    when(
      "!page->mapping",
      (k, f) => k.page.mapping[f.page] === 0,
      [
        when("page_has_private", (k, f) => page_has_private(k, f.page), [
          call(() => free_buffers, { page: "page" }, "freed"),
          goto("out_unlock_both"),
        ]),
      ],
      [
        when("page_mapped", (k, f) => page_mapped(k, f.page), [
          call(() => try_to_unmap_for_migration, { page: "page" }),
          local((_, f) => {
            f.page_was_mapped = 1;
          }),
        ]),
      ],
    ),
    when("!page_mapped", (k, f) => !page_mapped(k, f.page), [
      call(() => move_to_new_page, { newpage: "newpage", page: "page", mode: "mode" }, "ret"),
    ]),
    given(
      (_, f) => f.page_was_mapped === 1,
      [
        given(
          (_, f) => f.ret === 0,
          [call(() => remove_migration_ptes, { old: "page", page: "newpage" })],
          [call(() => remove_migration_ptes, { old: "page", page: "page" })],
        ),
      ],
    ),
    label("out_unlock_both"),
    step("unlock_page", (k, f) => unlock_page(k, f.newpage)),
    label("out_unlock"),
    unlock(),
    given((_, f) => f.ret === 0, [step("putback_lru_page", (k, f) => putback_lru_page(k, f.newpage))]),
  ],
);

/** An isolated page is done with: moved and freed, or back on its list. */
function account_isolated(k: Kernel, page: Pfn): void {
  if (page_is_file_cache(k, page)) k.count("nr_isolated_file", -1);
}

/**
 * Move one isolated page. Gives 0: moved, or freed by everybody else meanwhile; -EAGAIN: to be tried again, still isolated; another
 * error: it is back on its list.
 *
 * @param get_new_page where it goes: a page, or NONE
 */
const unmap_and_move_to = (get_new_page: (k: Kernel) => Pfn) =>
  path(
    "unmap_and_move",
    {
      source: "mm/migrate.c v4.20",
      args: { page: pfn, force: int, mode: int },
      locals: { newpage: pfn },
      returns: int,
    },
    [
      step("get_new_page", (k, f) => {
        f.newpage = get_new_page(k);
      }),
      given((_, f) => f.newpage === NONE, [leave(() => -ERRNO.ENOMEM)]),
      when("page_count == 1", (k, f) => page_count(k, f.page) === 1, [
        // Freed from under us.
        step("put_new_page", (k, f) => {
          ClearPageActive(k, f.page);
          ClearPageUnevictable(k, f.page);
          put_page(k, f.newpage);
          f.newpage = NONE;
        }),
        goto("moved"),
      ]),
      call(() => __unmap_and_move, { page: "page", newpage: "newpage", force: "force", mode: "mode" }, "ret"),
      given(
        (_, f) => f.ret !== 0,
        [
          given(
            (_, f) => f.ret !== -ERRNO.EAGAIN,
            [
              step("putback_lru_page", (k, f) => {
                account_isolated(k, f.page);
                putback_lru_page(k, f.page);
              }),
            ],
          ),
          step("put_new_page", (k, f) => put_page(k, f.newpage)),
          leave(),
        ],
      ),
      label("moved"),
      step("put_page", (k, f) => {
        account_isolated(k, f.page);
        put_page(k, f.page);
      }),
    ],
  );

export const unmap_and_move = unmap_and_move_to((k) => alloc_page(k));

/** Append a page to the chain (pfn + 1 links) whose last page is `last`; gives the chain's first. */
export function append(k: Kernel, first: number, last: number, page: Pfn): number {
  if (last !== 0) k.page.lru_next[last - 1] = page + 1;
  return last === 0 ? page + 1 : first;
}

/** Passes over the list before migrate_pages gives up. From the fourth on it sleeps for locks and writeback. */
const PASSES = 10;

/**
 * Move every page of a chain of isolated pages. Gives how many could not be moved, or -ENOMEM; those are left on the chain, except the
 * ones that went back to their lists.
 */
const migrate_pages_by = (move: typeof unmap_and_move) =>
  path(
    "migrate_pages",
    {
      source: "mm/migrate.c v4.20",
      args: { from: int, mode: int },
      locals: {
        ...{ pass: int, again: int, last: int, page: pfn, force: int, rc: int },
        ...{ nr_failed: int, nr_succeeded: int },
      },
      returns: int,
    },
    [
      repeat(
        (_, f) => f.pass < PASSES && f.from !== 0,
        [
          repeat(
            (_, f) => f.from !== 0,
            [
              local((k, f) => {
                f.page = f.from - 1;
                list_del(k, f.page);
                f.from = k.page.lru_next[f.page];
                k.page.lru_next[f.page] = 0;
                f.force = f.pass > 2 ? 1 : 0;
              }),
              call(() => move, { page: "page", force: "force", mode: "mode" }, "rc"),
              local((k, f) => {
                if (f.rc === -ERRNO.EAGAIN || f.rc === -ERRNO.ENOMEM) {
                  f.again = append(k, f.again, f.last, f.page);
                  f.last = f.page + 1;
                } else if (f.rc === 0) f.nr_succeeded++;
                else f.nr_failed++;
                f.page = NONE;
              }),
              given((_, f) => f.rc === -ERRNO.ENOMEM, [goto("out")]),
              local((_, f) => {
                f.rc = 0;
              }),
            ],
          ),
          local((_, f) => {
            f.from = f.again;
            f.again = 0;
            f.last = 0;
            f.pass++;
          }),
        ],
      ),
      local((k, f) => {
        for (let at = f.from; at !== 0; at = k.page.lru_next[at - 1]) f.nr_failed++;
      }),
      label("out"),
      local((k, f) => {
        if (f.rc === -ERRNO.ENOMEM) {
          // What was not looked at stays behind what failed.
          if (f.last !== 0) k.page.lru_next[f.last - 1] = f.from;
          f.from = f.again;
          f.nr_failed++;
        }
        k.count("pgmigrate_success", f.nr_succeeded);
        k.count("pgmigrate_fail", f.nr_failed);
        f.ret = f.rc === -ERRNO.ENOMEM ? f.rc : f.nr_failed;
      }),
    ],
  );

/** To any page: of ZONE_MOVABLE, too, for who moves pages expects that they can be moved again. */
export const migrate_pages = migrate_pages_by(unmap_and_move);

/** To pages that are not of ZONE_MOVABLE (GFP_USER): they will not be moved again. */
export const migrate_pages_out_of_movable = migrate_pages_by(unmap_and_move_to((k) => alloc_page(k, false)));

/** putback_movable_pages: what could not be moved goes back to its lists. */
export function putback_movable_pages(k: Kernel, chain: number): void {
  for (let at = chain; at !== 0; ) {
    const page = at - 1;
    list_del(k, page);
    at = k.page.lru_next[page];
    k.page.lru_next[page] = 0;
    account_isolated(k, page);
    putback_lru_page(k, page);
  }
}
