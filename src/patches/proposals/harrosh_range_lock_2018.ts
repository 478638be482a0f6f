/**
 * A lock on parts of a file: who does DMA into pages of a file holds it for as long, and so do writeback and truncation.
 *
 * Boaz Harrosh at the microconference (LWN, 12 December 2018): the pages belong to the filesystem, and it is a mistake that others handle them where it cannot see. Whoever does DMA should take a range
 * lock for the part of the file that he uses.
 *
 * Nothing of it was written. Here: a lock for each page of a file, which users share and writers do not. get_user_pages takes it for a page of a shared mapping of a file before it looks for the page, and sleeps for
 * it with mmap_sem held; the fast walk tries it once it has the page and the PTE is still the same, and leaves the page to the slow one where it fails; put_user_page() gives it back. Whoever calls ->writepages takes
 * it for the range that it writes, in one go, and gives it back when the pages are submitted; a user waits for PG_writeback as well. ftruncate and hole punching take it once they have i_rwsem, and keep it
 * to their end. Reclaim does not sleep for it: it asks when it has unmapped the page, and keeps the page.
 *
 * What it leaves: invalidation by O_DIRECT writes, migration, jbd2's own writing of ordered data. DAX's wait for busy pages, and its refusal of long-term pins, are as before.
 *
 * What it breaks: whatever has to be written while a registration lives waits for its end: fsync, sync, the flusher and with it every other file. ext4's truncation with data=ordered writes
 * pages under the lock that it has, and waits for itself.
 *
 * Needs that every user puts its pages with put_user_page(). nr_range_locked counts the times that the lock is taken: one for each page that get_user_pages gives, one for each call of writeback.
 */
import { ext4_dax_setattr } from "../../kernel/fs/dax.js";
import { xfs_dax_setattr } from "../../kernel/fs/xfs_dax.js";
import type { Geometry } from "../../kernel/geometry.js";
import type { Kernel } from "../../kernel/kernel.js";
import {
  call,
  check,
  given,
  goto,
  held,
  leave,
  local,
  path,
  step,
  wait,
  when,
} from "../../kernel/language.js";
import { one_page, one_page_nonblocking } from "../../kernel/mm/gup.js";
import { find_vma } from "../../kernel/mm/memory.js";
import { PageWriteback } from "../../kernel/mm/page.js";
import { page_of } from "../../kernel/mm/user_pages.js";
import { mapping_cap_account_dirty } from "../../kernel/operations.js";
import { isAnon, VM_SHARED } from "../../kernel/structs.js";
import { type InodeNr, int, NONE, type Pfn, pages_nr, type Slot, type Vpn, vpn } from "../../kernel/types.js";
import { struct, total, u8, u16 } from "../../machine/memory.js";
import { after, before, type Edit, locals, recall } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import { CUTS, type CutPath } from "./busy_pages.js";
import { notes_refused } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { put_user_page, put_user_page_2018 } from "./put_user_page.js";

/** By slot of i_pages. */
export const range_lock = struct("range_lock", {
  users: u8("who does DMA into this page of the file: references that get_user_pages gave"),
  writer: u8("1 while writeback or truncation has this page of the file"),
});

/** By page: what its users have locked. */
const ranged_page = struct("ranged_page", {
  slot: u16("slot that its users have locked, plus one; 0 without users"),
  users: u8("how many of them"),
});

/** /proc/vmstat. */
export const vmstat_range_lock = struct("vmstat_range_lock", {
  nr_range_locked: total("times that a range lock was taken, for a page or for a range"),
});

const slots = (g: Geometry): number => g.files.reduce((sum, { pages }) => sum + pages, 0);

// ---- users

/** The slot that a virtual page shows, if it shows a file's own pages; or NONE. */
function slot_at(k: Kernel, at: Vpn): Slot {
  const vma = find_vma(k, at);
  if (vma === NONE || (k.vma.vm_flags[vma] & VM_SHARED) === 0 || k.vma.vm_file[vma] === 0) return NONE;
  return k.slotOf(k.vma.vm_file[vma], at - k.vma.vm_start[vma] + k.vma.vm_pgoff[vma]);
}

function free_for_users(k: Kernel, slot: Slot): boolean {
  const page = k.xa_slot.page[slot] - 1;
  return k.of(range_lock).writer[slot] === 0 && !(page >= 0 && PageWriteback(k, page));
}

function lock_range(k: Kernel, slot: Slot): void {
  k.of(range_lock).users[slot]++;
  k.of(vmstat_range_lock).nr_range_locked[0]++;
}

/** The page that the lock was taken for has been found. */
function range_of_page(k: Kernel, page: Pfn, slot: Slot): void {
  const { slot: of, users } = k.of(ranged_page);
  of[page] = slot + 1;
  users[page]++;
}

/** One user of a page lets go. Who has it by other ways than get_user_pages has no lock. */
function unlock_range(k: Kernel, page: Pfn): void {
  const { slot, users } = k.of(ranged_page);
  if ((users[page] ?? 0) === 0) return;
  k.of(range_lock).users[slot[page] - 1]--;
  users[page]--;
  if (users[page] === 0) slot[page] = 0;
}

const locks_range = (one: typeof one_page) =>
  path(
    "lock_range_and_get",
    {
      source: "a proposal, December 2018",
      args: { at: vpn, flags: int, pages: pages_nr },
      locals: { locked: int },
      returns: int,
    },
    [
      local((k, f) => {
        f.locked = slot_at(k, f.at) + 1;
      }),
      given(
        (_, f) => f.locked > 0,
        [
          wait(
            "lock_range",
            (k, f) => free_for_users(k, f.locked - 1),
            (k, f) => lock_range(k, f.locked - 1),
          ),
        ],
      ),
      call(() => one, { at: "at", flags: "flags", pages: "pages" }, "ret"),
      given((_, f) => f.locked === 0, [leave()]),
      held(
        step("range_of_page", (k, f) => {
          if (f.ret === 1) range_of_page(k, page_of(k, f.pages, k.user_pages.nr[f.pages] - 1), f.locked - 1);
          else k.of(range_lock).users[f.locked - 1]--;
        }),
      ),
    ],
  );
const one_locked = locks_range(one_page);
const one_nonblocking_locked = locks_range(one_page_nonblocking);

/** The fast walk has the page, and its PTE has not changed since: the lock, if nobody has it. Gives whether the page can be kept. */
function trylock_range(k: Kernel, page: Pfn): boolean {
  const mapping = k.page.mapping[page];
  if (isAnon(mapping)) return true;
  if (mapping === 0) return false;
  const slot = k.slotOf(mapping, k.page.index[page]);
  if (!free_for_users(k, slot)) return false;
  lock_range(k, slot);
  range_of_page(k, page, slot);
  return true;
}

// ---- writers

interface Writer {
  readonly mapping: InodeNr;
  lock_start: number;
  lock_nr: number;
}

const each_slot = (k: Kernel, f: Writer): Slot[] =>
  Array.from({ length: f.lock_nr }, (_, at) => k.slotOf(f.mapping, f.lock_start + at));

const lock_range_write: Node<Kernel, Writer> = wait(
  "lock_range_write",
  (k, f) =>
    each_slot(k, f).every(
      (slot) => k.of(range_lock).users[slot] === 0 && k.of(range_lock).writer[slot] === 0,
    ),
  (k, f) => {
    for (const slot of each_slot(k, f)) k.of(range_lock).writer[slot] = 1;
    k.of(vmstat_range_lock).nr_range_locked[0]++;
  },
);

const unlock_range_write: Node<Kernel, Writer> = given(
  (_, f) => f.lock_nr > 0,
  [
    step("unlock_range_write", (k, f) => {
      for (const slot of each_slot(k, f)) k.of(range_lock).writer[slot] = 0;
      f.lock_start = 0;
      f.lock_nr = 0;
    }),
  ],
);

const writer_locals = (path: CutPath["path"] | string): Edit =>
  locals(path, { lock_start: int, lock_nr: int });

interface Range extends Writer {
  readonly range_start?: number;
  readonly range_end?: number;
}

/** Whoever writes a file's pages locks what it writes. */
const writeback: readonly Edit[] = [
  "__filemap_fdatawrite_range",
  "__writeback_single_inode",
  "writeback_sb_inodes",
].flatMap((name) => [
  writer_locals(name),
  before<Range>(name, "writepages", [
    local((k, f) => {
      if (!mapping_cap_account_dirty(k, f.mapping)) return;
      const end = Math.min(f.range_end ?? Number.POSITIVE_INFINITY, k.inode.i_pages[f.mapping] - 1);
      f.lock_start = f.range_start ?? 0;
      f.lock_nr = Math.max(0, end + 1 - f.lock_start);
    }),
    given((_, f) => f.lock_nr > 0, [lock_range_write]),
  ]),
  after<Range>(name, "writepages", [unlock_range_write]),
]);

const truncates = (cut: Pick<CutPath, "path" | "range" | "anchor">, end: string): readonly Edit[] => [
  writer_locals(cut.path),
  before<Writer>(cut.path, end, [unlock_range_write]),
  after<Writer>(cut.path, cut.anchor, [
    local((k, f) => {
      const [start, last] = cut.range(k, f);
      if (last <= start) return;
      f.lock_start = start;
      f.lock_nr = last - start;
    }),
    given((_, f) => f.lock_nr > 0, [lock_range_write]),
  ]),
];

const UNLOCK = "up_write(inode->i_rwsem)";
const dax_range: CutPath["range"] = (k, f: { readonly mapping: InodeNr; readonly size: number }) => [
  f.size,
  k.inode.i_pages[f.mapping],
];

export const harrosh_range_lock_2018: Proposal = {
  name: "harrosh-range-lock-2018",
  ideas: ["A20"],
  title: "range locks for the parts of a file that are used for DMA",
  author: "Boaz Harrosh",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  help: "who has pages of a file from get_user_pages holds a lock on that part of it, for which writeback and truncation wait",
  needs: [put_user_page_2018],
  tables: [
    { struct: range_lock, rows: slots },
    { struct: ranged_page, rows: (g) => g.pages },
    { struct: vmstat_range_lock, rows: () => 1 },
  ],
  vmstat: vmstat_range_lock,
  remarks: [
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "one cannot rewrite the universe so that everybody takes a range lock",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
    {
      who: "Matthew Wilcox",
      date: "2018-12",
      says: "what it costs is unacceptable",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
  ],
  edits: [
    ...["get_user_pages_fast", "get_user_pages_locked"].map((name) =>
      recall(name, "__get_user_pages", () => one_nonblocking_locked),
    ),
    recall("get_user_pages", "__get_user_pages", () => one_locked),
    after<{ readonly page: Pfn }>("gup_pte_range", "pte_val(pte) == pte_val(*ptep)", [
      check("trylock_range", (k, f) => trylock_range(k, f.page), "put"),
    ]),
    ...notes_refused(unlock_range),
    before<{ readonly page: Pfn }>(put_user_page, "put_page", [
      step("unlock_range", (k, f) => unlock_range(k, f.page)),
    ]),
    ...writeback,
    ...truncates(CUTS.ext4_setattr, UNLOCK),
    ...truncates(CUTS.ext4_punch_hole, "out_mutex:"),
    ...truncates(CUTS.shmem_setattr, `${UNLOCK}#2`),
    ...truncates(CUTS.shmem_fallocate, `${UNLOCK}#2`),
    ...[ext4_dax_setattr, xfs_dax_setattr].flatMap((each) =>
      truncates({ path: each, range: dax_range, anchor: "down_write(inode->i_rwsem)" }, UNLOCK),
    ),
    before<{ readonly page: Pfn }>("shrink_page_list", "PageDirty#1", [
      when("range_locked", (k, f) => k.of(ranged_page).users[f.page] > 0, [goto("activate_locked")]),
    ]),
  ],
};
