/**
 * What truncation can ask about the pages that it is about to throw away, and where it asks: parts of the proposals about truncation and pins.
 *
 * The page cache has nothing of the kind: truncation takes a page out of its file whoever holds it. DAX has, since v4.18 (dax_layout_busy_page): unmap first, so that no
 * get_user_pages_fast finds the page any more, and look then, under a lock that keeps faults from mapping it again. The nodes here are the same for a file
 * with a page cache, page by page, with the question page_dma_pinned().
 *
 * Where it asks: `CUTS`, ftruncate and hole punching of ext4 and tmpfs, once they hold i_rwsem and before they have changed anything. The same could be done in xfs and btrfs, whose
 * truncation no workload runs here.
 */
import { ERRNO } from "../../kernel/errno.js";
import { ext4_punch_hole, ext4_setattr } from "../../kernel/fs/ext4/truncate.js";
import { shmem_punch_hole, shmem_setattr } from "../../kernel/fs/shmem_truncate.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, given, held, leave, local, path, repeat, step, when } from "../../kernel/language.js";
import { find_get_page } from "../../kernel/mm/filemap.js";
import {
  get_user_pages,
  get_user_pages_longterm,
  get_user_pages_longterm_stale,
} from "../../kernel/mm/gup.js";
import { lock_page, unlock } from "../../kernel/mm/page.js";
import { put_page } from "../../kernel/mm/swap.js";
import { unmap_mapping_pages } from "../../kernel/mm/zap.js";
import { type InodeNr, inode, int, NONE, type Pfn, pages_nr, pfn, vpn } from "../../kernel/types.js";
import { after, becomes, type Edit, locals } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import { page_dma_pinned } from "./tracking.js";

/** The page in a slot of a file, or NONE. Looks under the RCU lock, and takes no reference. */
const cached_page = (k: Kernel, mapping: InodeNr, index: number): Pfn =>
  Math.max(k.xa_slot.page[k.slotOf(mapping, index)] - 1, NONE);

/** The first pinned page of a file from index `start` to before `end`, or NONE. Each page is looked at in a moment of its own. */
export const mapping_pinned_page = path(
  "mapping_pinned_page",
  {
    source: "a proposal, after dax_layout_busy_page of fs/dax.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { index: int },
    returns: pfn,
  },
  [
    local((_, f) => {
      f.ret = NONE;
      f.index = f.start;
    }),
    repeat(
      (_, f) => f.index < f.end && f.ret === NONE,
      [
        step("page_dma_pinned", (k, f) => {
          const page = cached_page(k, f.mapping, f.index);
          if (page !== NONE && page_dma_pinned(k, page)) f.ret = page;
          f.index++;
        }),
      ],
    ),
  ],
);

/**
 * The same under each page's lock, when its PTEs are gone: a fault that has found the page before holds the lock until its PTE stands, and i_mmap_sem or i_size keep
 * those away that have not. `even_cows` as for unmap_mapping_pages.
 */
export const mapping_pinned_page_locked = path(
  "mapping_pinned_page_locked",
  {
    source: "a proposal, after truncate_inode_pages_range of mm/truncate.c v4.20",
    args: { mapping: inode, start: int, end: int, even_cows: int },
    locals: { index: int, page: pfn },
    returns: pfn,
  },
  [
    local((_, f) => {
      f.ret = NONE;
      f.index = f.start;
    }),
    repeat(
      (_, f) => f.index < f.end && f.ret === NONE,
      [
        step("find_get_page", (k, f) => {
          f.page = cached_page(k, f.mapping, f.index) === NONE ? NONE : find_get_page(k, f.mapping, f.index);
        }),
        given(
          (_, f) => f.page !== NONE,
          [
            lock_page(),
            held(
              when("page->mapping == mapping", (k, f) => k.page.mapping[f.page] === f.mapping, [
                call(() => unmap_mapping_pages, {
                  mapping: "mapping",
                  start: "index",
                  nr: 1,
                  even_cows: "even_cows",
                }),
                step("page_dma_pinned", (k, f) => {
                  if (page_dma_pinned(k, f.page)) f.ret = f.page;
                }),
              ]),
            ),
            unlock(),
            step("put_page", (k, f) => {
              put_page(k, f.page);
              f.page = NONE;
            }),
          ],
        ),
        local((_, f) => {
          f.index++;
        }),
      ],
    ),
  ],
);

/** What the nodes of a cut see: the pages from `cut_start` to before `cut_end` are about to go. */
export interface Cut {
  readonly mapping: InodeNr;
  cut_start: number;
  cut_end: number;
  cut_nr: number;
  busy: Pfn;
  ret: number;
}

/** One way to take pages out of a file. */
export interface CutPath {
  // biome-ignore lint/suspicious/noExplicitAny: paths of any frame
  readonly path: any;
  /** The call as the process that makes it knows it. */
  readonly call: "ftruncate" | "fallocate";
  /** The pages that will go, first and last plus one; none if nothing does. */
  // biome-ignore lint/suspicious/noExplicitAny: arguments of any path
  readonly range: (k: Kernel, f: any) => readonly [number, number];
  /** Behind which of its steps it holds i_rwsem, and knows that it will change something. */
  readonly anchor: string;
  /** Whether the filesystem has i_mmap_sem, which keeps faults away. */
  readonly has_mmap_sem: boolean;
}

interface Setattr {
  readonly mapping: InodeNr;
  readonly size: number;
}

const shrinks = (k: Kernel, f: Setattr): readonly [number, number] => [
  Math.ceil(f.size / k.geometry.parts),
  f.size < k.inode.i_size[f.mapping] ? k.inode.i_pages[f.mapping] : 0,
];

export const CUTS = {
  ext4_setattr: {
    path: ext4_setattr,
    call: "ftruncate",
    range: shrinks,
    anchor: "down_write(inode->i_rwsem)",
    has_mmap_sem: true,
  },
  ext4_punch_hole: {
    path: ext4_punch_hole,
    call: "fallocate",
    range: (k, f: { readonly mapping: InodeNr; readonly start: number; readonly end: number }) => [
      f.start,
      Math.min(f.end, k.inode.i_pages[f.mapping]),
    ],
    anchor: "i_size_read",
    has_mmap_sem: true,
  },
  shmem_setattr: {
    path: shmem_setattr,
    call: "ftruncate",
    range: shrinks,
    anchor: "down_write(inode->i_rwsem)",
    has_mmap_sem: false,
  },
  shmem_fallocate: {
    path: shmem_punch_hole,
    call: "fallocate",
    range: (k, f: { readonly lstart: number; readonly lend: number }) => [
      Math.ceil(f.lstart / k.geometry.parts),
      Math.floor(f.lend / k.geometry.parts),
    ],
    anchor: "down_write(inode->i_rwsem)",
    has_mmap_sem: false,
  },
} as const satisfies Record<string, CutPath>;

/** What shmem_setattr knows when it has written i_size. */
export interface ShmemCut extends Cut {
  oldsize: number;
}

/** ftruncate of tmpfs when i_size has been written, so that faults give SIGBUS: `oldsize` is what it was. */
export const SHMEM_SIZED: CutPath = {
  ...CUTS.shmem_setattr,
  range: (k, f: { readonly size: number; readonly oldsize: number }) => [
    Math.ceil(f.size / k.geometry.parts),
    Math.ceil(f.oldsize / k.geometry.parts),
  ],
  anchor: "i_size_write",
};

export const ALL_CUTS: readonly CutPath[] = Object.values(CUTS);

/** The locals that the nodes of a cut need. */
export const cut_locals = (cut: CutPath): Edit =>
  locals(cut.path, { cut_start: int, cut_end: int, cut_nr: int, busy: pfn });

/** Find out which pages will go; `nodes` when some do. */
export const when_pages_go = (cut: CutPath, nodes: readonly Node<Kernel, Cut>[]): Node<Kernel, Cut>[] => [
  local<Cut>((k, f) => {
    [f.cut_start, f.cut_end] = cut.range(k, f);
    f.cut_nr = f.cut_end - f.cut_start;
    f.busy = NONE;
  }),
  given<Cut>((_, f) => f.cut_nr > 0, nodes),
  local<Cut>((_, f) => {
    f.cut_start = 0;
    f.cut_end = 0;
    f.cut_nr = 0;
  }),
];

/** Take the PTEs of the pages that will go away, in all processes; private copies stay when a hole is punched. */
export const unmap_cut = (cut: CutPath): Node<Kernel, Cut> =>
  call<Cut, { mapping: typeof inode; start: typeof int; nr: typeof int; even_cows: typeof int }>(
    () => unmap_mapping_pages,
    { mapping: "mapping", start: "cut_start", nr: "cut_nr", even_cows: cut.call === "ftruncate" ? 1 : 0 },
  );

/** Look for a pinned page among them: `busy`. */
export const find_pinned = (): Node<Kernel, Cut> =>
  call<Cut, { mapping: typeof inode; start: typeof int; end: typeof int }>(
    () => mapping_pinned_page,
    { mapping: "mapping", start: "cut_start", end: "cut_end" },
    "busy",
  );

/** Unmap them and look, each under its page lock: `busy`. */
export const find_pinned_locked = (cut: CutPath): Node<Kernel, Cut> =>
  call<Cut, { mapping: typeof inode; start: typeof int; end: typeof int; even_cows: typeof int }>(
    () => mapping_pinned_page_locked,
    {
      mapping: "mapping",
      start: "cut_start",
      end: "cut_end",
      even_cows: cut.call === "ftruncate" ? 1 : 0,
    },
    "busy",
  );

/** The call fails with -ETXTBSY. */
export const text_busy = (cut: CutPath): Node<Kernel, Cut> =>
  leave<Cut>((k, f) => k.refused(cut.call, -ERRNO.ETXTBSY, f.busy));

/** Long-term pins of fsdax are not refused on kernels that look at the VMAs when the pages have been taken: v4.20 to v5.10. */
const longterm = path(
  "get_user_pages_longterm",
  {
    source: "a proposal; mm/gup.c v4.20",
    args: { start: vpn, nr: int, flags: int, pages: pages_nr },
    returns: int,
  },
  [call(() => get_user_pages, { start: "start", nr: "nr", flags: "flags", pages: "pages" }, "ret")],
);

/** The same for the edits of a patch: truncation respects pins, so that they need not be refused. */
export const longterm_of_fsdax: readonly Edit[] = [
  becomes(get_user_pages_longterm, longterm),
  becomes(get_user_pages_longterm_stale, longterm),
];

/** Behind the step of each cut at which nothing has been changed yet. */
export const at_each_cut = (nodes: (cut: CutPath) => readonly Node<Kernel, Cut>[]): readonly Edit[] =>
  ALL_CUTS.flatMap((cut) => [cut_locals(cut), after<Cut>(cut.path, cut.anchor, nodes(cut))]);
