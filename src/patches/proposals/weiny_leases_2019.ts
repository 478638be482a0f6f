/**
 * Who pins pages of a file for long has a lease on its layout, and truncation asks for it: four answers to what happens then.
 *
 * williams-lease-acts-2018: Dan Williams, at the microconference (LWN, 12 December 2018): leases are a model; the lease mechanism pulls the memory away from the device. As file leases do it: whoever breaks one sends SIGIO, waits for
 * lease_break_time at most, and acts. What the device does meanwhile is the program's affair. It is what revocation would have to add.
 *
 * weiny-leases-2019: Ira Weiny, 5 June 2019: truncation of a DAX file breaks the leases (SIGIO to who holds them, and a wait of lease_break_time at most; patches 5/10), and then fails with -ETXTBSY where a page is still pinned
 * (7/10 and 9/10); pages that are referred to otherwise are waited for. A program whose lease is broken can pin no more before it has taken it again. ext4 of v4.20 has written i_size by then; here it does so last, as
 * Kara's fixes of May 2019, on which the series rests, take it back.
 *
 * chinner-exclusive-lease-2019: Dave Chinner, 7 and 13 June 2019: not for DAX alone. A lease that cannot be broken is what says no: break_layout() gives -ETXTBSY on every filesystem, and the
 * filesystem asks and nothing else. It has to ask before it takes its locks, since breaking a lease waits: `chinner-lease-early-2019` does so, and a lease that is taken between the question and the truncation
 * comes too late. A lease that cannot be broken is not waited for: asked under i_rwsem, which F_SETLEASE takes as well (as it does for delegations), the question holds until the pages are gone.
 * Closing the file waits for the pins: he calls leases without a file a very poor interface (17 August).
 *
 * weiny-zombie-lease-2019: the same question under i_rwsem, and a lease whose file is closed stays until the last pin of its process has gone (Ira Weiny, v2 of 9 August 2019 and his answer of 4 September: the administrator can kill the
 * program). lease-released-2019: closing the file gives the lease up, as it does with every lease in Linux.
 *
 * What they leave: pins that are not for long, and programs that do not ask for leases: those are refused.
 */
import { ERRNO } from "../../kernel/errno.js";
import { ext4_break_layouts, ext4_dax_setattr } from "../../kernel/fs/dax.js";
import { xfs_break_layouts, xfs_dax_setattr } from "../../kernel/fs/xfs_dax.js";
import type { Kernel } from "../../kernel/kernel.js";
import { down_write, goto, held, leave, pause, step, up_write, wait, when } from "../../kernel/language.js";
import { i_mmap_sem, i_rwsem } from "../../kernel/locks.js";
import { type InodeNr, NONE, type PagesNr } from "../../kernel/types.js";
import { after, before, type Edit, replace } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import { ALL_CUTS } from "./busy_pages.js";
import { fails_when_pinned, size_last } from "./gunthorpe_fail_truncate_2018.js";
import {
  export_layout_lease_2019,
  fcntl_setlease,
  file_lease,
  filp_close,
  inode_has_layout,
  of_files,
  of_fsdax,
  pins_need_leases,
  remove_lease,
  send_sigio,
  time_out_leases,
} from "./layout_leases.js";
import type { Proposal } from "./proposal.js";
import { trackings } from "./trackings.js";

interface OfFile {
  readonly mapping: InodeNr;
}

/** __break_lease: SIGIO, and no lease is there when the time is over, whoever has given it back and whoever has not. */
const break_lease = (unlock: readonly Node<Kernel, OfFile>[], lock: readonly Node<Kernel, OfFile>[]) =>
  when<OfFile>("inode_has_layout", (k, f) => inode_has_layout(k, f.mapping), [
    ...unlock,
    step("lease_break_callback", (k, f) => send_sigio(k, f.mapping)),
    pause("lease_break_time"),
    step("time_out_leases", (k, f) => time_out_leases(k, f.mapping)),
    ...lock,
  ]);

/** xfs drops its locks to wait for a lease, and looks again at everything. */
const xfs_breaks = break_lease(
  [up_write(i_mmap_sem, (_, f) => f.mapping), up_write(i_rwsem, (_, f) => f.mapping)],
  [down_write(i_rwsem, (_, f) => f.mapping), down_write(i_mmap_sem, (_, f) => f.mapping), goto("retry")],
);

const SERIES = "20190606014544.8339-1-ira.weiny@intel.com";

export const weiny_leases_2019: Proposal = {
  name: "weiny-leases-2019",
  ideas: ["A18"],
  title: "RDMA/FS DAX truncate proposal",
  author: "Ira Weiny",
  date: "2019-06",
  commit: null,
  source: SERIES,
  help: "a long-term pin of fsdax needs a layout lease (-EPERM); truncation breaks the lease, and fails with -ETXTBSY while pages are pinned",
  needs: [export_layout_lease_2019],
  needs_one: trackings,
  remarks: [
    {
      who: "Dave Chinner",
      date: "2019-06",
      says: "leases are a policy that is not DAX's alone, and the filesystem has to ask for them before it takes its locks, or it deadlocks",
      source: "20190606222853.GD14308, 20190613043649.GJ14363",
    },
    {
      who: "Matthew Wilcox",
      date: "2019-06",
      says: "a lease that lets its holder change the layout does not give RDMA what it needs: its own writes may free blocks under its pins",
      source: "reply to Dave Chinner on 20190606014544.8339-1-ira.weiny@intel.com, 13 June 2019",
    },
    {
      who: "Jan Kara",
      date: "2019-08",
      says: "the lease should be what makes truncation fail, and giving it up should wait for the pins",
      source: "20190814101714.GA26273",
    },
  ],
  shows: ["/proc/locks: who has a lease on which file"],
  edits: [
    ...pins_need_leases(of_fsdax),
    before<OfFile>(ext4_break_layouts, "retry:", [break_lease([], [])]),
    before(ext4_break_layouts, "wait_dax_page", fails_when_pinned),
    before<OfFile>(xfs_break_layouts, "break_layout#1", [xfs_breaks]),
    before(xfs_break_layouts, "wait_dax_page", fails_when_pinned),
    ...size_last,
  ],
};

export const williams_lease_acts_2018: Proposal = {
  name: "williams-lease-acts-2018",
  ideas: ["A18", "A13"],
  title: "file leases as a model for pulling memory away from a device",
  author: "Dan Williams",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  help: "the same leases; truncation sends SIGIO, waits for lease_break_time at most, and goes on, pins or no pins",
  needs: [export_layout_lease_2019],
  remarks: [
    {
      who: "Dan Williams",
      date: "2019-02",
      says: "a lease sets the expectation that its holder gets out of the way: what the other one has asked for moves forward",
      source: "Discuss least bad options for resolving longterm-GUP usage by RDMA, 6 February 2019",
    },
  ],
  edits: [
    ...pins_need_leases(of_fsdax),
    before<OfFile & { ret: number }>(ext4_break_layouts, "retry:", [
      when("inode_has_layout", (k, f) => inode_has_layout(k, f.mapping), [
        step("lease_break_callback", (k, f) => send_sigio(k, f.mapping)),
        pause("lease_break_time"),
        step("time_out_leases", (k, f) => time_out_leases(k, f.mapping)),
        leave(() => 0),
      ]),
    ]),
  ],
};

// ---- exclusive leases

/** ftruncate and fallocate, of the page cache and of DAX, and their first lock. */
const CUTTERS = [
  ...ALL_CUTS.map(({ path, call }) => ({ path, call })),
  { path: ext4_dax_setattr, call: "ftruncate" },
  { path: xfs_dax_setattr, call: "ftruncate" },
] as const;
const FIRST_LOCK = "down_write(inode->i_rwsem)";

const refuses = (call: string, unlock: readonly Node<Kernel, OfFile>[] = []) =>
  when<OfFile>("break_layout(EXCLUSIVE)", (k, f) => inode_has_layout(k, f.mapping), [
    ...unlock,
    leave((k) => k.refused(call, -ERRNO.ETXTBSY, NONE)),
  ]);

const asked_early: readonly Edit[] = CUTTERS.map(({ path, call }) =>
  before<OfFile>(path, FIRST_LOCK, [refuses(call)]),
);

/** Asked under i_rwsem, which F_SETLEASE takes. */
const asked_locked: readonly Edit[] = [
  ...CUTTERS.map(({ path, call }) =>
    after<OfFile>(path, FIRST_LOCK, [held(refuses(call, [up_write(i_rwsem, (_, f) => f.mapping)]))]),
  ),
  before<OfFile>(fcntl_setlease, "generic_add_lease", [down_write(i_rwsem, (_, f) => f.mapping)]),
  after<OfFile>(fcntl_setlease, "generic_add_lease", [up_write(i_rwsem, (_, f) => f.mapping)]),
];

const EXCLUSIVE = {
  ideas: ["A18"],
  title: "RDMA/FS DAX truncate proposal: exclusive layout leases",
  commit: null,
  needs: [export_layout_lease_2019],
} as const;

const CHINNER = {
  ...EXCLUSIVE,
  author: "Dave Chinner",
  date: "2019-06",
  source: "20190606222853.GD14308, 20190613043649.GJ14363, 20190817022603.GW6129",
  remarks: [
    {
      who: "Ira Weiny",
      date: "2019-09",
      says: "a close that blocks leaves nobody who could end it; a lease that outlives its file goes on protecting, and an administrator kills the program",
      source: "20190904165425.GB31319",
    },
  ],
} as const;

export const chinner_lease_early_2019: Proposal = {
  ...CHINNER,
  name: "chinner-lease-early-2019",
  help: "a long-term pin of a file needs an exclusive layout lease; truncation fails with -ETXTBSY where one is there, asked before any lock is taken",
  edits: [...pins_need_leases(of_files), ...asked_early],
};

export const chinner_exclusive_lease_2019: Proposal = {
  ...CHINNER,
  name: "chinner-exclusive-lease-2019",
  help: "the same, asked under i_rwsem, without which no lease is given; closing a file waits until its pins are gone",
  needs: [export_layout_lease_2019],
  edits: [
    ...pins_need_leases(of_files),
    ...asked_locked,
    before<{ readonly pages: PagesNr }>(filp_close, "locks_remove_lease", [
      wait("wait_for_file_pins", (k, f) => k.user_pages.nr[f.pages] === 0),
    ]),
  ],
};

const ZOMBIE_REMARKS: Proposal["remarks"] = [
  {
    who: "Dave Chinner",
    date: "2019-08",
    says: "leases without an open file are a very poor interface: closing the file should wait instead",
    source: "20190817022603.GW6129",
  },
];

export const weiny_zombie_lease_2019: Proposal = {
  ...EXCLUSIVE,
  name: "weiny-zombie-lease-2019",
  author: "Ira Weiny",
  date: "2019-08",
  source: "20190809225833.6657-1-ira.weiny@intel.com, 20190904165425.GB31319",
  help: "the same, and a lease whose file is closed stays until the process has no pin any more",
  remarks: ZOMBIE_REMARKS,
  shows: ["/proc/PID/file_pins: the files whose pages a process has pinned"],
  edits: [
    ...pins_need_leases(of_files),
    ...asked_locked,
    replace<{ readonly pages: PagesNr }>(filp_close, "locks_remove_lease", [
      step("locks_remove_lease", (k, f) => {
        // file_pins: where there are none the lease goes.
        if (k.user_pages.nr[f.pages] > 0) k.of(file_lease).closed[f.pages] = 1;
        else remove_lease(k, f.pages);
      }),
    ]),
    after<{ readonly pages: PagesNr }>("ib_umem_release", "__ib_umem_release", [
      step("put_file_pin", (k, f) => {
        if (k.of(file_lease).closed[f.pages] === 1) remove_lease(k, f.pages);
      }),
    ]),
  ],
};

export const lease_released_2019: Proposal = {
  ...EXCLUSIVE,
  name: "lease-released-2019",
  author: "Ira Weiny",
  date: "2019-08",
  source: "fs/locks.c v4.20, locks_remove_lease",
  help: "the same, and closing a file gives its lease up, pins or no pins",
  remarks: [],
  edits: [...pins_need_leases(of_files), ...asked_locked],
};
