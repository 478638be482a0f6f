/**
 * A DAX file is truncated at once, and blocks whose pages somebody holds are not given out before he has let go.
 *
 * nybble41, a reader of LWN, 13 and 20 December 2018: filesystems do it for open files that are unlinked. Jan Kara, 19 December: each filesystem has to keep track of such blocks, and to free them after a
 * crash, which changes what is on the disk; and nobody sees where the space has gone. The answer: mark the blocks free on the disk at once, and remember in memory only that they may not be used
 * yet; a crash forgets that, and is welcome to; and report their number, as statfs reports free blocks.
 *
 * nybble41-defer-free-2018: that answer. Nobody waits: break_layouts is gone. Where the blocks go, the filesystem looks at each page's references, as before; a block whose page is held leaves the file
 * and is parked. The allocator passes parked blocks over as long as they are held, and takes them then: the last put need not be told to anybody.
 * kara-defer-disk-2018: what Kara objects to: the blocks stay allocated on the disk, a worker frees them there when the last reference is gone, and a crash comes before it.
 * kara-defer-orphans-2018: with his remedy: a list on the disk, as of unlinked files, which recovery goes through.
 *
 * Long-term pins of fsdax need not be refused then, and are not (v4.20; from v5.11 on they are refused before they are taken).
 *
 * A page cache has nothing to defer: what a device writes goes to memory that the blocks are not, and truncation waits for writeback before it frees blocks.
 *
 * dax_disassociate_entry's warning about held pages is gone with the reason for it.
 *
 * After a power cut no device writes: each has been reset. Without that the record in memory would not do.
 *
 * Left out: the journal between freeing a block and giving it out (as in fs/dax.ts), hole punching of DAX files.
 */
import { ERRNO } from "../../kernel/errno.js";
import { dax_truncate_pagecache, ext4_break_layouts, ext4_dax_setattr } from "../../kernel/fs/dax.js";
import { xfs_break_layouts, xfs_dax_setattr } from "../../kernel/fs/xfs_dax.js";
import type { Kernel } from "../../kernel/kernel.js";
import { awaits, leave, local, path, repeat, step, wait } from "../../kernel/language.js";
import { dax_entry_lock } from "../../kernel/locks.js";
import { dax_extent, dax_owner, device_page_idle } from "../../kernel/mm/memremap.js";
import { page_count } from "../../kernel/mm/page.js";
import { type InodeNr, NONE, type Pfn } from "../../kernel/types.js";
import { struct, u8 } from "../../machine/memory.js";
import { around, before, type Edit, replace } from "../../machine/patch.js";
import { longterm_of_fsdax } from "./busy_pages.js";
import type { Proposal } from "./proposal.js";

/** By page of the device: what has been truncated and may not be given out. */
export const deferred_block = struct("deferred_block", {
  parked: u8("1 when the block left its file while somebody held its page; in memory"),
  recorded: u8("1 while the disk says that the block is in use although it is in no file"),
});

const held = (k: Kernel, page: Pfn): boolean => page_count(k, page) !== device_page_idle(k);

/** Blocks of the device: in files, free, and parked as long as they are held. */
export function dax_statfs(k: Kernel): {
  readonly used: number;
  readonly free: number;
  readonly parked: number;
} {
  const { parked, recorded } = k.of(deferred_block);
  let [used, kept, free] = [0, 0, 0];
  for (let page = k.device_start; page < k.geometry.pages; page++) {
    const at = page - k.device_start;
    if (dax_owner(k, page) !== NONE) used++;
    else if (recorded[at] === 1 || (parked[at] === 1 && held(k, page))) kept++;
    else free++;
  }
  return { used, free, parked: kept };
}

/** The first block that is free and not parked becomes a page's of a file, zeroed. Gives 0 or -ENOSPC. */
function allocate(k: Kernel, mapping: InodeNr, index: number): number {
  const { parked, recorded } = k.of(deferred_block);
  for (let page = k.device_start; page < k.geometry.pages; page++) {
    const at = page - k.device_start;
    if (dax_owner(k, page) !== NONE || recorded[at] === 1 || (parked[at] === 1 && held(k, page))) continue;
    parked[at] = 0;
    k.of(dax_extent).block[k.slotOf(mapping, index)] = page + 1;
    const { parts } = k.geometry;
    k.content.version.fill(0, page * parts, (page + 1) * parts);
    return 0;
  }
  return -ERRNO.ENOSPC;
}

/** The blocks of a file from a page on leave it: those that are held are parked, and on the disk as well where it knows of them. */
function defer_free(k: Kernel, mapping: InodeNr, from: number, on_disk: boolean): void {
  const { block } = k.of(dax_extent);
  const { parked, recorded } = k.of(deferred_block);
  for (let index = from; index < k.inode.i_pages[mapping]; index++) {
    const at = k.slotOf(mapping, index);
    const page = block[at] - 1;
    if (page === NONE) continue;
    block[at] = 0;
    if (!held(k, page)) continue;
    parked[page - k.device_start] = 1;
    if (on_disk) recorded[page - k.device_start] = 1;
  }
}

interface Cut {
  readonly mapping: InodeNr;
  readonly size: number;
}
interface Fault {
  readonly mapping: InodeNr;
  readonly index: number;
  readonly write: number;
  error: number;
}

const deferring = (on_disk: boolean): readonly Edit[] => [
  ...longterm_of_fsdax,
  before(ext4_break_layouts, "retry:", [leave(() => 0)]),
  // pNFS clients are still asked for their layouts.
  replace<{ page: Pfn }>(xfs_break_layouts, "dax_layout_busy_page", [
    local((_, f) => {
      f.page = NONE;
    }),
  ]),
  replace<Cut & { index: number }>(dax_truncate_pagecache, "dax_delete_mapping_entry", [
    awaits(
      dax_entry_lock,
      wait(
        "dax_delete_mapping_entry",
        (k, f) => k.of(dax_extent).locked[k.slotOf(f.mapping, f.index)] === 0,
        (k, f) => {
          const at = k.slotOf(f.mapping, f.index);
          const page = k.xa_slot.page[at] - 1;
          if (page !== NONE) {
            k.page.mapping[page] = 0;
            k.page.index[page] = 0;
          }
          k.xa_slot.page[at] = 0;
          f.index++;
        },
      ),
    ),
  ]),
  ...(
    [
      [ext4_dax_setattr, "ext4_truncate"],
      [xfs_dax_setattr, "xfs_itruncate_extents"],
    ] as const
  ).map(([path, name]) =>
    replace<Cut>(path, name, [step(name, (k, f) => defer_free(k, f.mapping, f.size, on_disk))]),
  ),
  replace<Fault>("dax_iomap_fault", "iomap_begin", [
    step("iomap_begin", (k, f) => {
      if (k.of(dax_extent).block[k.slotOf(f.mapping, f.index)] !== 0) return;
      if ((f.write & 1) === 0) throw new Error("dax_load_hole: holes that are read are left out");
      f.error = allocate(k, f.mapping, f.index);
    }),
  ]),
];

const first_idle = (k: Kernel): number => {
  const { recorded } = k.of(deferred_block);
  return recorded.findIndex((kept, at) => kept === 1 && !held(k, k.device_start + at));
};

/** Frees on the disk what nobody holds any more. */
const defer_worker = path("free_deferred_blocks", { source: "a proposal", args: {} }, [
  repeat(
    () => true,
    [
      wait(
        "wait_for_last_put",
        (k) => first_idle(k) >= 0,
        (k) => {
          const at = first_idle(k);
          k.of(deferred_block).recorded[at] = 0;
          k.of(deferred_block).parked[at] = 0;
        },
      ),
    ],
  ),
]);

/** What recovery makes of blocks of which the disk says that they are in use: with a list of them it frees them. */
const recovery = (has_list: boolean): Edit =>
  around("power", "power_cut", "recovery", (act) => (k: Kernel, f) => {
    const { recorded } = k.of(deferred_block);
    recorded.forEach((kept, at) => {
      const message = "recovery: a block is in no file, and the disk says that it is in use";
      if (!has_list) k.fault_on(kept === 1, "LEAK", message, k.device_start + at);
    });
    act(k, f);
  });

const COMMON = {
  ideas: ["A21"],
  commit: null,
  date: "2018-12",
  tables: [{ struct: deferred_block, rows: (g: { readonly devicePages: number }) => g.devicePages }],
} as const;

const KARA: Proposal["remarks"] = [
  {
    who: "Jan Kara",
    date: "2018-12",
    says: "each filesystem has to track such blocks and to free them after a crash: doable, not trivial, and a change of what is on the disk",
    source: "comment on DMA and get_user_pages(), LWN, 19 December 2018",
  },
  {
    who: "Jan Kara",
    date: "2018-12",
    says: "blocks that are pinned and truncated are seen by no tool: where has the space gone?",
    source: "comment on DMA and get_user_pages(), LWN, 19 December 2018",
  },
  {
    who: "Matthew Wilcox",
    date: "2018-12",
    says: "filesystems do not work like that today",
    source: "comment on DMA and get_user_pages(), LWN, 13 December 2018",
  },
  {
    who: "Dan Williams",
    date: "2018-12",
    says: "it came before dax_layout_busy_page; it needs all the same knowledge of busy pages, and has to be done in each filesystem",
    source: "comment on DMA and get_user_pages(), LWN, 16 December 2018",
  },
];

export const nybble41_defer_free_2018: Proposal = {
  ...COMMON,
  name: "nybble41-defer-free-2018",
  title: "truncate the file, and keep the space reserved until the DMA is finished",
  author: "nybble41 (LWN)",
  source: "comments on DMA and get_user_pages(), LWN, 13 and 20 December 2018",
  help: "truncation of a DAX file waits for nobody: blocks that are held are free on the disk, and not given out before the last reference is gone",
  remarks: KARA,
  shows: ["statfs: blocks that are free and held"],
  edits: deferring(false),
};

const ON_DISK = {
  ...COMMON,
  author: "Jan Kara",
  source: "comment on DMA and get_user_pages(), LWN, 19 December 2018",
  remarks: KARA,
  daemons: [
    {
      name: "defer",
      letter: "y",
      path: defer_worker,
      besides: ext4_dax_setattr,
    },
    {
      name: "defer",
      letter: "y",
      path: defer_worker,
      besides: xfs_dax_setattr,
    },
  ],
} as const;

export const kara_defer_disk_2018: Proposal = {
  ...ON_DISK,
  name: "kara-defer-disk-2018",
  title: "keep the blocks allocated on the disk until the DMA is finished",
  help: "the same, and the blocks stay allocated on the disk until a worker frees them: a crash leaks them",
  edits: [...deferring(true), recovery(false)],
};

export const kara_defer_orphans_2018: Proposal = {
  ...ON_DISK,
  name: "kara-defer-orphans-2018",
  title: "keep the blocks allocated on the disk, with a list of them for recovery",
  help: "the same, and the disk has a list of such blocks, which recovery frees",
  edits: [...deferring(true), recovery(true)],
};
