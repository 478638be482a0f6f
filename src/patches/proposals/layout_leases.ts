/**
 * Layout leases that programs can take: what the proposals about them have in common.
 *
 * Ira Weiny, 5 June 2019, "RDMA/FS DAX truncate proposal", patch 2/10: the leases by which pNFS servers hand out the layout of a file (FL_LAYOUT) can be taken with fcntl(F_SETLEASE). A lease belongs to an
 * open file description. Patch 4/10: a long-term pin is for who has opted in: where no lease is on the file, get_user_pages gives -EPERM, in the moment in which it finds the page; the fast walk gives
 * the page back and leaves that to the slow one. Patch 10/10: long-term pins of fsdax are not refused any more (v4.20 to v5.10; later kernels refuse them before anything is taken).
 *
 * Here a process has one open file for each array of pages that it registers, so that a lease is a row beside that array. Who takes leases is a patch of its own, for RDMA: lease-user-2019 takes one before it
 * registers and gives it back after it has deregistered; lease-user-closes-2019 closes the file once it has registered. What closing does while pins live is what the proposals differ in (`filp_close`).
 *
 * Left out: read and write leases, lease_break_time as a time (it is over at any time), several leases of one file description, fork.
 */
import { ERRNO } from "../../kernel/errno.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, check, given, leave, local, path, step } from "../../kernel/language.js";
import {
  get_user_pages,
  get_user_pages_longterm,
  get_user_pages_longterm_stale,
} from "../../kernel/mm/gup.js";
import { find_vma, pte_pfn, pte_present } from "../../kernel/mm/memory.js";
import { is_zone_device_page } from "../../kernel/mm/memremap.js";
import { isAnon } from "../../kernel/structs.js";
import {
  type InodeNr,
  inode,
  int,
  NONE,
  type PagesNr,
  type Pfn,
  pages_nr,
  type Vpn,
  vpn,
} from "../../kernel/types.js";
import { struct, u8 } from "../../machine/memory.js";
import { after, around, becomes, before, type Edit } from "../../machine/patch.js";
import { FOLL_LONGTERM } from "../longterm_flag.js";
import type { Proposal } from "./proposal.js";

/** A lease, by the array of pages whose process has it. */
export const file_lease = struct(
  "file_lease",
  {
    file: u8("inode whose layout is leased; 0 without a lease"),
    breaking: u8("1 once SIGIO has been sent: somebody wants to change the layout"),
    closed: u8("1 when its file is closed and the lease is still there: a zombie"),
  },
  pages_nr.kind,
);

/** Whether somebody has a lease on a file. */
export const inode_has_layout = (k: Kernel, mapping: InodeNr): boolean =>
  k.of(file_lease).file.includes(mapping);

/** The lease of an array's process goes: F_UNLCK, locks_remove_lease. */
export function remove_lease(k: Kernel, pages: PagesNr): void {
  const { file, breaking, closed } = k.of(file_lease);
  file[pages] = 0;
  breaking[pages] = 0;
  closed[pages] = 0;
}

/** lease_break_callback of every lease on a file: SIGIO. */
export function send_sigio(k: Kernel, mapping: InodeNr): void {
  const { file, breaking } = k.of(file_lease);
  for (let at = 0; at < file.length; at++) if (file[at] === mapping) breaking[at] = 1;
}

/** time_out_leases: those that have been broken are gone. */
export function time_out_leases(k: Kernel, mapping: InodeNr): void {
  const { file, breaking } = k.of(file_lease);
  for (let at = 0; at < file.length; at++)
    if (file[at] === mapping && breaking[at] === 1) remove_lease(k, at);
}

/** fcntl(F_SETLEASE) with F_LAYOUT, by the array of its process, of the file that is mapped at an address. */
export const fcntl_setlease = path(
  "fcntl_setlease",
  { source: "fs/locks.c, June 2019", args: { at: vpn, pages: pages_nr }, locals: { mapping: inode } },
  [
    local((k, f) => {
      const vma = find_vma(k, f.at);
      f.mapping = vma === NONE ? 0 : k.vma.vm_file[vma];
    }),
    step("generic_add_lease", (k, f) => {
      k.of(file_lease).file[f.pages] = f.mapping;
    }),
  ],
);

/** close(2) of the file, by the array of its process. Its lease goes with it. */
export const filp_close = path("filp_close", { source: "fs/open.c v4.20", args: { pages: pages_nr } }, [
  step("locks_remove_lease", (k, f) => remove_lease(k, f.pages)),
]);

export const export_layout_lease_2019: Proposal = {
  name: "weiny-export-layout-2019",
  ideas: ["A18"],
  title: "fs/locks: Export F_LAYOUT lease to user space",
  author: "Ira Weiny",
  date: "2019-06",
  commit: null,
  source: "20190606014544.8339-3-ira.weiny@intel.com",
  help: "programs can take layout leases on files with fcntl(F_SETLEASE); nobody asks for them",
  tables: [{ struct: file_lease, rows: (g) => g.dios }],
  remarks: [],
  edits: [],
};

// ---- who pins

/** What follow_page_pte finds where a lease is missing. */
const FOLLOW_EPERM = 9;

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
  followed: number;
}

/** Which pages need a lease: those of fsdax, or those of every file. */
export type Leased = (k: Kernel, page: Pfn) => boolean;
export const of_fsdax: Leased = is_zone_device_page;
export const of_files: Leased = (k, page) => k.page.mapping[page] !== 0 && !isAnon(k.page.mapping[page]);

const lacks_lease = (k: Kernel, page: Pfn, leased: Leased): boolean =>
  leased(k, page) && !inode_has_layout(k, k.page.mapping[page]);

/** get_user_pages for long says so by the flag on v4.20, too, and refuses nothing by itself. */
const longterm = path(
  "get_user_pages_longterm",
  {
    source: "mm/gup.c, June 2019",
    args: { start: vpn, nr: int, flags: int, pages: pages_nr },
    locals: { gup_flags: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.gup_flags = f.flags | FOLL_LONGTERM;
    }),
    call(() => get_user_pages, { start: "start", nr: "nr", flags: "gup_flags", pages: "pages" }, "ret"),
  ],
);

/** Long-term pins need a lease on the file. */
export const pins_need_leases = (leased: Leased): readonly Edit[] => [
  becomes(get_user_pages_longterm, longterm),
  becomes(get_user_pages_longterm_stale, longterm),
  around<OnePage>(
    "__get_user_pages",
    "follow_page_pte",
    "mapping_inode_has_layout",
    (act) => (k: Kernel, f) => {
      const pte = k.pte.entry[f.at];
      if ((f.flags & FOLL_LONGTERM) !== 0 && pte_present(pte) && lacks_lease(k, pte_pfn(pte), leased))
        f.followed = FOLLOW_EPERM;
      else act(k, f);
    },
  ),
  after<OnePage>("__get_user_pages", "under ptl#1", [
    given((_, f) => f.followed === FOLLOW_EPERM, [leave(() => -ERRNO.EPERM)]),
  ]),
  after<{ readonly page: Pfn; readonly write: number }>("gup_pte_range", "pte_val(pte) == pte_val(*ptep)", [
    given(
      (_, f) => (f.write & FOLL_LONGTERM) !== 0,
      [check("mapping_inode_has_layout", (k, f) => !lacks_lease(k, f.page, leased), "put")],
    ),
  ]),
];

// ---- who takes leases

interface User {
  readonly at: Vpn;
  readonly pages: PagesNr;
  ret: number;
}

const unlock = step<User>("fcntl(F_SETLEASE, F_UNLCK)", (k, f) => remove_lease(k, f.pages));

const takes: Edit = before<User>("rdma", "ib_umem_get", [
  call(() => fcntl_setlease, { at: "at", pages: "pages" }),
]);
const gives_up: Edit = after<User>("rdma", "ib_umem_get", [given((_, f) => f.ret !== 0, [unlock])]);

const USER = {
  ideas: ["A18"],
  author: "Ira Weiny",
  date: "2019-06",
  commit: null,
  source: "20190606014544.8339-1-ira.weiny@intel.com",
  needs: [export_layout_lease_2019],
  remarks: [],
} as const;

export const lease_user_2019: Proposal = {
  ...USER,
  name: "lease-user-2019",
  title: "RDMA/FS DAX truncate proposal: a program that opts in",
  help: "the program that registers memory with RDMA takes a layout lease on its file first, and gives it back last",
  edits: [takes, gives_up, after<User>("rdma", "ib_umem_release", [unlock])],
};

export const lease_user_closes_2019: Proposal = {
  ...USER,
  name: "lease-user-closes-2019",
  title: "RDMA/FS DAX truncate proposal: a program that closes the file once it has registered its memory",
  help: "the program that registers memory with RDMA takes a layout lease on its file first, and closes the file while its region lives",
  edits: [
    takes,
    after<User>("rdma", "ib_umem_get", [
      given((_, f) => f.ret === 0, [call(() => filp_close, { pages: "pages" })], [unlock]),
    ]),
  ],
};
