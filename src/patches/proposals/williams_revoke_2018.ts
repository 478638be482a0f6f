/**
 * revoke(): truncation has the driver take its device off the pages.
 *
 * Dan Williams at the microconference (LWN, 12 December 2018): an API by which ftruncate and hole punching pull memory away from who does DMA to it. The driver stops its device, gives the pages back and
 * remembers that it has. Jérôme Glisse: some devices cannot; they pin, and there is no stopping. Matthew Wilcox: NVMe has a command for it, which most controllers do not implement, and memory cannot be used again before the hardware
 * says that it does not write any more. Williams: then wait. Somebody: for some devices that is for ever.
 *
 * Nothing of it was written. Here: RDMA can. Truncation of the page cache unmaps and looks at each page under its lock (gunthorpe_fail_truncate_2018.ts), gives i_mmap_sem back, and calls the driver for a region that has the page: it unmaps
 * the region from the card, marks its pages dirty and puts them, as deregistration does, and deregistration finds nothing more to do. Registration, revocation and deregistration exclude each other by a mutex. Then truncation looks
 * again. DAX's break_layouts does the same in the place of its wait, so that long-term pins of fsdax need not be refused (v4.20). O_DIRECT cannot be stopped, and three policies differ in what truncation does about it, and in what becomes of
 * the call revoke() of W17:
 *
 * williams-revoke-2018: it waits. williams-revoke-try-2018: it fails with -EBUSY. wilcox-revoke-reset-2018: it waits, and for a disk that can be reset it does not wait for the command's timer but resets the controller itself.
 *
 * What it leaves: holes of tmpfs, where nothing keeps faults away here; what a program does about memory that its card does not reach any more.
 */

import { __ib_umem_release } from "../../kernel/drivers/infiniband.js";
import { nvme_dev_disable, nvme_reset_work } from "../../kernel/drivers/nvme.js";
import { ERRNO } from "../../kernel/errno.js";
import { ext4_break_layouts } from "../../kernel/fs/dax.js";
import { xfs_break_layouts } from "../../kernel/fs/xfs_dax.js";
import type { Kernel } from "../../kernel/kernel.js";
import {
  call,
  config,
  down_write,
  given,
  goto,
  label,
  leave,
  local,
  path,
  step,
  up_write,
  wait,
  when,
} from "../../kernel/language.js";
import { i_mmap_sem, i_rwsem } from "../../kernel/locks.js";
import { PAGES, page_of } from "../../kernel/mm/user_pages.js";
import { type InodeNr, int, NONE, type PagesNr, type Pfn, pages_nr, pfn } from "../../kernel/types.js";
import { lockClass } from "../../machine/lock.js";
import { struct, u8 } from "../../machine/memory.js";
import { after, around, before, type Edit, replace } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import {
  CUTS,
  type Cut,
  type CutPath,
  cut_locals,
  find_pinned_locked,
  longterm_of_fsdax,
  SHMEM_SIZED,
  when_pages_go,
} from "./busy_pages.js";
import { mmap_sem_first, mmap_sem_last } from "./gunthorpe_fail_truncate_2018.js";
import type { Proposal } from "./proposal.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

/** Keeps registration, revocation and deregistration of regions apart: one for all. */
const umem_mutex = lockClass("umem_mutex", "sleeping", true);
const only = () => 0;

/** What a driver has said of its region: a row an array of pages. */
const ib_region = struct(
  "ib_region",
  { revocable: u8("1 while the card has the region, and the driver can take it away") },
  pages_nr.kind,
);

/** A region that has a page and can be revoked, by its array, or NONE. */
function region_of(k: Kernel, page: Pfn): PagesNr {
  const { revocable } = k.of(ib_region);
  for (let pages = 0; pages < revocable.length; pages++)
    for (let at = 0; revocable[pages] === 1 && at < k.user_pages.nr[pages]; at++)
      if (page_of(k, pages, at) === page) return pages;
  return NONE;
}

/** The driver says when its card has a region, and when no more. */
const says = (path: string, at: string, revocable: number): Edit =>
  around<{ readonly pages: PagesNr }>(path, at, "revocable", (act) => (k: Kernel, f) => {
    act(k, f);
    k.of(ib_region).revocable[f.pages] = revocable;
  });

/** The driver stops its card and lets go of the region that has the page. Gives 1, or 0 when there is none to be stopped. */
const revoke_page = path(
  "revoke_page",
  { source: "a proposal, December 2018", args: { page: pfn }, locals: { region: int }, returns: int },
  [
    down_write(umem_mutex, only),
    step("find_region", (k, f) => {
      f.region = region_of(k, f.page) + 1;
    }),
    given(
      (_, f) => f.region > 0,
      [
        local((_, f) => {
          f.region--;
          f.ret = 1;
        }),
        call(() => __ib_umem_release, { pages: "region", writable: 1, dirty: 1 }),
      ],
    ),
    up_write(umem_mutex, only),
  ],
);

/** What becomes of pages whose device cannot be stopped. */
type Policy = "wait" | "try";

const lock = (cut: CutPath) => (cut.has_mmap_sem ? [down_write<Cut>(i_mmap_sem, (_, f) => f.mapping)] : []);
const unlock = (cut: CutPath) => (cut.has_mmap_sem ? [up_write<Cut>(i_mmap_sem, (_, f) => f.mapping)] : []);

/** tmpfs has written i_size by then. */
const takes_size_back = (cut: CutPath): Node<Kernel, Cut>[] =>
  cut === SHMEM_SIZED
    ? [
        step<Cut & { oldsize: number }>("i_size_write", (k, f) => {
          k.inode.i_size[f.mapping] = f.oldsize;
        }) as Node<Kernel, Cut>,
      ]
    : [];

const revokes = (cut: CutPath, policy: Policy): Node<Kernel, Cut>[] => [
  label("retry_pinned"),
  find_pinned_locked(cut),
  given<Cut>(
    (_, f) => f.busy !== NONE,
    [
      ...unlock(cut),
      call<Cut, { page: typeof pfn }>(() => revoke_page, { page: "busy" }, "ret"),
      given<Cut>(
        (_, f) => f.ret === 0,
        policy === "wait"
          ? [wait<Cut>("wait_for_dma_pinned_to_clear", (k, f) => !page_dma_pinned(k, f.busy))]
          : [
              when<Cut>("page_dma_pinned", (k, f) => page_dma_pinned(k, f.busy), [
                ...takes_size_back(cut),
                up_write<Cut>(i_rwsem, (_, f) => f.mapping),
                leave<Cut>((k, f) => k.refused(cut.call, -ERRNO.EBUSY, f.busy)),
              ]),
            ],
      ),
      local<Cut>((_, f) => {
        f.ret = 0;
      }),
      ...lock(cut),
      goto("retry_pinned"),
    ],
  ),
];

interface Break {
  readonly mapping: InodeNr;
  page: Pfn;
  ret: number;
}

/** break_layouts has a busy page. What is no pin is waited for. */
const breaks = (policy: Policy): Node<Kernel, Break>[] => [
  up_write<Break>(i_mmap_sem, (_, f) => f.mapping),
  call<Break, { page: typeof pfn }>(() => revoke_page, { page: "page" }, "ret"),
  down_write<Break>(i_mmap_sem, (_, f) => f.mapping),
  given<Break>(
    (_, f) => f.ret === 1,
    [
      local<Break>((_, f) => {
        f.ret = 0;
      }),
      goto("retry"),
    ],
  ),
  ...(policy === "wait"
    ? []
    : [
        when<Break>("page_dma_pinned", (k, f) => page_dma_pinned(k, f.page), [
          leave<Break>((k, f) => k.refused("ftruncate", -ERRNO.EBUSY, f.page)),
        ]),
      ]),
];

const edits = (policy: Policy): readonly Edit[] => [
  ...longterm_of_fsdax,
  ...mmap_sem_first,
  ...mmap_sem_last,
  ...[CUTS.ext4_setattr, CUTS.ext4_punch_hole, CUTS.shmem_fallocate, SHMEM_SIZED].flatMap((cut) => [
    cut_locals(cut),
    after<Cut>(cut.path, cut.anchor, [...lock(cut), ...when_pages_go(cut, revokes(cut, policy))]),
  ]),
  before<Break>(ext4_break_layouts, "wait_dax_page", breaks(policy)),
  before<Break>(xfs_break_layouts, "wait_dax_page", breaks(policy)),
  says("ib_umem_get", "ib_dma_map_sg", 1),
  says("__ib_umem_release", "ib_dma_unmap_sg", 0),
  // The verbs of RDMA.
  before("rdma", "ib_umem_get", [down_write(umem_mutex, only)]),
  after("rdma", "ib_umem_get", [up_write(umem_mutex, only)]),
  before("rdma", "ib_umem_release", [down_write(umem_mutex, only)]),
  after("rdma", "ib_umem_release", [up_write(umem_mutex, only)]),
];

const waits = edits("wait");

interface Revoke {
  readonly pages: PagesNr;
}
const busy = (k: Kernel, f: Revoke): boolean => k.user_pages.state[f.pages] !== PAGES.idle;

const COMMON = {
  ideas: ["A13"],
  title: "revoke() for memory that is mapped and used for DMA",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  needs_one: trackings,
  tables: [{ struct: ib_region, rows: (g: { readonly dios: number }) => g.dios }],
  remarks: [
    {
      who: "Jérôme Glisse",
      date: "2018-12",
      says: "some devices cannot: they pin memory and have no way to stop",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
    {
      who: "Matthew Wilcox",
      date: "2018-12",
      says: "it depends on the hardware: most NVMe devices do not implement the command, and memory cannot be used again before the device says so",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
    {
      who: "LWN",
      date: "2018-12",
      says: "for some devices the wait might be for ever, somebody in the room said",
      source: "DMA and get_user_pages(), 12 December 2018",
    },
  ],
} as const;

export const williams_revoke_2018: Proposal = {
  ...COMMON,
  name: "williams-revoke-2018",
  author: "Dan Williams",
  help: "truncation has RDMA give back the pages that go, and waits for every other pin",
  edits: waits,
};

export const williams_revoke_try_2018: Proposal = {
  ...COMMON,
  name: "williams-revoke-try-2018",
  author: "Dan Williams",
  help: "the same, and truncation and revoke() fail with -EBUSY where a device cannot be stopped",
  edits: [
    ...edits("try"),
    replace<Revoke>("revoke", "revoke", [
      when("PAGES.idle", busy, [
        step("revoke", (k) => {
          k.refused("revoke", -ERRNO.EBUSY, NONE);
        }),
      ]),
    ]),
  ],
};

export const wilcox_revoke_reset_2018: Proposal = {
  ...COMMON,
  name: "wilcox-revoke-reset-2018",
  author: "Matthew Wilcox",
  help: "the same as williams-revoke-2018, and revoke() resets a disk's controller rather than wait for its timer",
  edits: [
    ...waits,
    before<Revoke>("revoke", "revoke", [
      config("nvme", [
        when("PAGES.idle", busy, [
          call(() => nvme_dev_disable, { pages: "pages" }),
          call(() => nvme_reset_work, { pages: "pages" }),
        ]),
      ]),
    ]),
  ],
};
