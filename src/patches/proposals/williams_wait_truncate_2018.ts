/**
 * Truncation of the page cache waits for pins, as that of DAX does since v4.18; and what the order of its steps is worth.
 *
 * Dan Williams, December 2018 (LWN, and his comment of 16 December): before the block map of a DAX file changes, dax_layout_busy_page() unmaps the file and finds a page that somebody holds, and the filesystem
 * drops its locks, sleeps until the page is idle, and looks again. It was preferred to keeping blocks reserved because one function does it for all filesystems. Revocation in general might do the same: wait
 * for the device.
 *
 * williams-wait-truncate-2018: the same for files with a page cache. Each page is unmapped and looked at under its lock (gunthorpe_fail_truncate_2018.ts says why unmapping and i_mmap_sem are not enough
 * there); i_mmap_sem is given back while it sleeps, i_rwsem is not. tmpfs has written i_size by then; its hole punching is open, as nothing keeps faults away here.
 *
 * What it leaves: pins for long. Truncation waits as long as they last, in a sleep that no signal ends here (in DAX one does).
 *
 * dax-look-first: nobody proposed it. dax_layout_busy_page with its two steps in the other order, to show what the comment above that function claims: a get_user_pages between the look and
 * the unmapping finds the PTE, and is not seen.
 *
 * rdma-told-2018: the developers of RDMA at the same session: they could live with being told, in exceptional circumstances, that memory goes away. Truncation tells the process and goes on; a
 * process that is told may let go, or may be too late.
 */
import { dax_layout_busy_page } from "../../kernel/fs/dax.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, down_write, given, goto, label, pause, step, up_write, wait } from "../../kernel/language.js";
import { i_mmap_sem } from "../../kernel/locks.js";
import { unmap_mapping_pages } from "../../kernel/mm/zap.js";
import { type InodeNr, NONE } from "../../kernel/types.js";
import { struct, u8 } from "../../machine/memory.js";
import { after, before, type Edit, remove } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import {
  at_each_cut,
  CUTS,
  type Cut,
  type CutPath,
  cut_locals,
  find_pinned_locked,
  SHMEM_SIZED,
  when_pages_go,
} from "./busy_pages.js";
import { mmap_sem_first, mmap_sem_last } from "./gunthorpe_fail_truncate_2018.js";
import type { Proposal } from "./proposal.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

const wait_for_pin = wait<Cut>("wait_for_dma_pinned_to_clear", (k, f) => !page_dma_pinned(k, f.busy));

/** Look, sleep without i_mmap_sem where somebody has a page, and look again. */
const waits = (cut: CutPath): Node<Kernel, Cut>[] => [
  label("retry_pinned"),
  find_pinned_locked(cut),
  given<Cut>(
    (_, f) => f.busy !== NONE,
    [
      ...(cut.has_mmap_sem ? [up_write<Cut>(i_mmap_sem, (_, f) => f.mapping)] : []),
      wait_for_pin,
      ...(cut.has_mmap_sem ? [down_write<Cut>(i_mmap_sem, (_, f) => f.mapping)] : []),
      goto("retry_pinned"),
    ],
  ),
];

const page_cache_waits: readonly Edit[] = [
  ...mmap_sem_first,
  ...mmap_sem_last,
  ...[CUTS.ext4_setattr, CUTS.ext4_punch_hole, CUTS.shmem_fallocate, SHMEM_SIZED].flatMap((cut) => [
    cut_locals(cut),
    after<Cut>(cut.path, cut.anchor, [
      ...(cut.has_mmap_sem ? [down_write<Cut>(i_mmap_sem, (_, f) => f.mapping)] : []),
      ...when_pages_go(cut, waits(cut)),
    ]),
  ]),
];

export const williams_wait_truncate_2018: Proposal = {
  name: "williams-wait-truncate-2018",
  ideas: ["A13", "A22"],
  title: "dax_layout_busy_page for the page cache: truncation waits until nobody has its pages pinned",
  author: "Dan Williams",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018, and djbw's comment of 16 December",
  help: "ftruncate and hole punching of files with a page cache wait until none of the pages that go is pinned",
  needs_one: trackings,
  remarks: [
    {
      who: "LWN",
      date: "2018-12",
      says: "for some devices the wait might be for ever, somebody in the room said",
      source: "DMA and get_user_pages(), 12 December 2018",
    },
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "it is done once for all filesystems, at the places where pNFS layouts are broken already",
      source: "djbw, comment on DMA and get_user_pages(), LWN, 16 December 2018",
    },
  ],
  edits: page_cache_waits,
};

export const dax_look_first: Proposal = {
  name: "dax-look-first",
  ideas: ["A22"],
  title: "dax_layout_busy_page with its steps in the other order: a counterexample",
  author: "nobody",
  date: "2018-05",
  commit: null,
  source: "the comment above dax_layout_busy_page in fs/dax.c v4.20, which says why it is not so",
  help: "truncation of a DAX file looks for busy pages first and unmaps the file then: the wrong order",
  remarks: [],
  edits: [
    remove(dax_layout_busy_page, "unmap_mapping_pages"),
    before<{ readonly mapping: InodeNr; readonly nr: number; ret: number }>(dax_layout_busy_page, "out:", [
      call(() => unmap_mapping_pages, { mapping: "mapping", start: 0, nr: "nr", even_cows: 1 }),
    ]),
  ],
};

/** What a process has been told about a file that it has registered. */
export const async_event = struct("ib_async_event", {
  going: u8("1 once users of the file's memory have been told that it goes away"),
});

export const rdma_told_2018: Proposal = {
  name: "rdma-told-2018",
  ideas: ["A23"],
  title: "tell who has memory registered that it goes away",
  author: "RDMA developers",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  help: "before it takes pages out of a file, truncation tells who has registered them, gives them a while, and goes on",
  tables: [{ struct: async_event, rows: (g) => (g.config.has("truncate") ? g.files.length + 1 : 0) }],
  remarks: [
    {
      who: "LWN",
      date: "2018-12",
      says: "they seemed willing to try, at least in exceptional circumstances",
      source: "DMA and get_user_pages(), 12 December 2018",
    },
  ],
  edits: at_each_cut((cut) =>
    when_pages_go(cut, [
      step<Cut>("ib_dispatch_event", (k, f) => {
        k.of(async_event).going[f.mapping] = 1;
      }),
      pause("the users have a while"),
    ]),
  ),
};
