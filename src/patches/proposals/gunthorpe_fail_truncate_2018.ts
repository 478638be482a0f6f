/**
 * Truncation of pages that somebody has pinned fails.
 *
 * Jason Gunthorpe at the microconference in 2018 (LWN, 12 December 2018): simply fail the truncation while the memory is in use for DMA. Matthew Wilcox had asked for that for years. The
 * error was found later: Dave Chinner, June 2019, -ETXTBSY, and Ira Weiny's patches to ext4_break_layouts and xfs_break_dax_layouts give it for a page that is pinned, and wait for one
 * that is referred to otherwise.
 *
 * Nobody said in which order truncation is to look. Three ways, which differ in the pins that come after the look:
 *
 * gunthorpe-fail-truncate-2018: under i_rwsem, before anything has changed, look at each page. Nothing keeps a get_user_pages away that comes after that: it finds the page mapped,
 * or faults it in, and truncation takes it out of the file under the pin as before.
 *
 * gunthorpe-fail-truncate-unmap-2018: in the order of DAX: i_mmap_sem for writing, unmap, look, and i_mmap_sem is kept until the pages are gone. A get_user_pages_fast that has seen the old PTE
 * either has its pin when truncation looks, or finds the PTE changed. But what is right for DAX is wrong here: a DAX fault holds i_mmap_sem until its PTE stands, and ext4's faults give it back when
 * they have the page (ext4_filemap_fault), and when it may be written (ext4_page_mkwrite). One that has come so far maps the page after truncation has unmapped it, and its get_user_pages takes the
 * pin when truncation has looked. tmpfs has no i_mmap_sem: its ftruncate writes i_size first, so that later faults give SIGBUS; the same fault, past its look at i_size, comes through there.
 *
 * gunthorpe-fail-truncate-lock-2018: the same, and each page is unmapped and looked at under its lock, which such a fault holds until its PTE stands.
 *
 * Where tmpfs has written i_size, the old size comes back when the call fails, and whoever has faulted meanwhile has had his SIGBUS for nothing. Its hole punching keeps faults waiting by i_private
 * (shmem_falloc), which is left out here as it is in fs/shmem_truncate.ts: so its punching is open in all three.
 *
 * DAX is the same in all: dax_layout_busy_page unmaps and looks, and a pinned page makes the call fail in the place of the wait. ext4 of v4.20 has written i_size by then; here it does so afterwards.
 * Long-term pins of fsdax need not be refused any more, and are not (v4.20; from v5.11 on they are still refused before they are taken).
 *
 * What it leaves: references that are no pins (on DAX they are waited for; of the page cache they are nobody's business). xfs and btrfs with a page cache.
 *
 * What it breaks: who may read a file can keep others from truncating it.
 */

import { ERRNO } from "../../kernel/errno.js";
import { ext4_break_layouts, ext4_dax_setattr } from "../../kernel/fs/dax.js";
import { ext4_punch_hole, ext4_setattr } from "../../kernel/fs/ext4/truncate.js";
import { xfs_break_layouts } from "../../kernel/fs/xfs_dax.js";
import type { Kernel } from "../../kernel/kernel.js";
import { down_write, given, leave, step, up_write } from "../../kernel/language.js";
import { i_mmap_sem, i_rwsem } from "../../kernel/locks.js";
import { type InodeNr, NONE, type Pfn } from "../../kernel/types.js";
import { after, before, type Edit, remove } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import {
  at_each_cut,
  CUTS,
  type Cut,
  type CutPath,
  cut_locals,
  find_pinned,
  find_pinned_locked,
  longterm_of_fsdax,
  SHMEM_SIZED,
  type ShmemCut,
  text_busy,
  unmap_cut,
  when_pages_go,
} from "./busy_pages.js";
import type { Proposal } from "./proposal.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

interface Break {
  readonly page: Pfn;
  ret: number;
}

/** A pinned page ends the search for busy ones with -ETXTBSY; any other is waited for. */
export const fails_when_pinned = [
  given<Break>(
    (k, f) => page_dma_pinned(k, f.page),
    [leave<Break>((k, f) => k.refused("ftruncate", -ERRNO.ETXTBSY, f.page))],
  ),
];

/** i_size of a DAX file of ext4 changes when nothing can fail any more. */
export const size_last: readonly Edit[] = [
  remove(ext4_dax_setattr, "i_size_write"),
  before<{ readonly mapping: InodeNr; readonly size: number }>(ext4_dax_setattr, "dax_truncate_pagecache", [
    step("i_size_write", (k, f) => {
      k.inode.i_size[f.mapping] = f.size * k.geometry.parts;
    }),
  ]),
];

const dax: readonly Edit[] = [
  before<Break>(ext4_break_layouts, "wait_dax_page", fails_when_pinned),
  before<Break>(xfs_break_layouts, "wait_dax_page", fails_when_pinned),
  ...size_last,
  ...longterm_of_fsdax,
];

const busy = (cut: CutPath, unlock: readonly Node<Kernel, Cut>[]): Node<Kernel, Cut> =>
  given<Cut>((_, f) => f.busy !== NONE, [...unlock, text_busy(cut)]);

const unlock_rwsem = up_write<Cut>(i_rwsem, (_, f) => f.mapping);
const unlock_mmap_sem = up_write<Cut>(i_mmap_sem, (_, f) => f.mapping);

const REMARKS: Proposal["remarks"] = [
  {
    who: "Matthew Wilcox",
    date: "2018-12",
    says: "he has asked for that for years, and other developers do not allow it",
    source: "DMA and get_user_pages(), LWN, 12 December 2018",
  },
  {
    who: "Matthew Wilcox",
    date: "2019-02",
    says: "he would prefer it, and most say that nobody may be given a way to make files that cannot be truncated",
    source: "Discuss least bad options for resolving longterm-GUP usage by RDMA, 6 February 2019",
  },
  {
    who: "Dan Williams",
    date: "2019-02",
    says: "a lease sets the expectation that its holder gets out of the way; a call that was made should move forward and not fail for ever",
    source: "the same thread, 6 February 2019",
  },
  {
    who: "Jason Gunthorpe",
    date: "2019-02",
    says: "it has not been explained why blocking ftruncate is worse than letting ftruncate break a process that uses RDMA",
    source: "the same thread, 6 February 2019",
  },
  {
    who: "Doug Ledford",
    date: "2019-02",
    says: "-ETXTBSY is there already: nobody expects that a call always moves forward",
    source: "the same thread, 6 February 2019",
  },
];

const COMMON = {
  ideas: ["A19"],
  title: "fail truncation of memory that is in use for DMA",
  author: "Jason Gunthorpe",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018; 20190606014544.8339-8-ira.weiny@intel.com",
  needs_one: trackings,
  remarks: REMARKS,
} as const;

export const gunthorpe_fail_truncate_2018: Proposal = {
  ...COMMON,
  name: "gunthorpe-fail-truncate-2018",
  help: "ftruncate and hole punching fail with -ETXTBSY where a page that would go is pinned; a pin that comes later is not seen",
  edits: [...at_each_cut((cut) => when_pages_go(cut, [find_pinned(), busy(cut, [unlock_rwsem])])), ...dax],
};

/** i_mmap_sem is taken at once where i_rwsem is, and kept to the end. */
export const mmap_sem_first: readonly Edit[] = [ext4_setattr, ext4_punch_hole].flatMap((path) => [
  remove(path, "down_write(inode->i_mmap_sem)"),
  remove(path, "up_write(inode->i_mmap_sem)"),
]);

/** The end of ext4_setattr gives both back, also when it fails early. */
export const mmap_sem_last: readonly Edit[] = [
  before<Cut>(ext4_setattr, "up_write(inode->i_rwsem)", [unlock_mmap_sem]),
  before<Cut>(ext4_punch_hole, "out_mutex:", [unlock_mmap_sem]),
];

/** How the pages that will go are unmapped and looked at. */
type Look = (cut: CutPath) => readonly Node<Kernel, Cut>[];
const unmap_then_look: Look = (cut) => [unmap_cut(cut), find_pinned()];
const look_locked: Look = (cut) => [find_pinned_locked(cut)];

const keeps_faults_away = (cut: CutPath, look: Look): Node<Kernel, Cut>[] => [
  ...(cut.has_mmap_sem ? [down_write<Cut>(i_mmap_sem, (_, f) => f.mapping)] : []),
  ...when_pages_go(cut, [
    ...look(cut),
    busy(cut, [...(cut.has_mmap_sem ? [unlock_mmap_sem] : []), unlock_rwsem]),
  ]),
];

const takes_size_back = step<ShmemCut>("i_size_write", (k, f) => {
  k.inode.i_size[f.mapping] = f.oldsize;
}) as Node<Kernel, Cut>;

const with_faults_away = (look: Look): readonly Edit[] => [
  ...mmap_sem_first,
  ...mmap_sem_last,
  ...[CUTS.ext4_setattr, CUTS.ext4_punch_hole, CUTS.shmem_fallocate].flatMap((cut) => [
    cut_locals(cut),
    after<Cut>(cut.path, cut.anchor, keeps_faults_away(cut, look)),
  ]),
  cut_locals(SHMEM_SIZED),
  after<Cut>(
    SHMEM_SIZED.path,
    SHMEM_SIZED.anchor,
    when_pages_go(SHMEM_SIZED, [...look(SHMEM_SIZED), busy(SHMEM_SIZED, [takes_size_back, unlock_rwsem])]),
  ),
  ...dax,
];

export const gunthorpe_fail_truncate_unmap_2018: Proposal = {
  ...COMMON,
  name: "gunthorpe-fail-truncate-unmap-2018",
  help: "the same, in the order of DAX: faults are kept away, the pages unmapped, then looked at; hole punching of tmpfs stays open",
  edits: with_faults_away(unmap_then_look),
};

export const gunthorpe_fail_truncate_lock_2018: Proposal = {
  ...COMMON,
  name: "gunthorpe-fail-truncate-lock-2018",
  help: "the same, and each page is unmapped and looked at under its lock; hole punching of tmpfs stays open (shmem_falloc is left out)",
  edits: with_faults_away(look_locked),
};
