/**
 * put_user_page: every driver that took pages with get_user_pages says so when it puts them.
 *
 * John Hubbard, July to December 2018 ("mm/fs: put_user_page() proposal"; LWN, 12 December 2018): first put_user_page() is put_page() by another name, and
 * about a hundred call sites are converted; what tracks pins follows when the last one is. One that is missed is counted wrongly for ever.
 *
 * Here a user of get_user_pages is a patch of its own, put-user-page-of-rdma and so on: all the places where it puts such pages. The whole,
 * hubbard-put-user-page-2018, is all of them. A tracking needs the whole unless a kernel's name has one of two others: put-user-page-in-part, with which as many are
 * converted as stand beside it (v4.20+put-user-page-in-part+put-user-page-of-rdma+kara-count-2018), or put-user-page-misses-rdma, with which
 * all are but RDMA. A tracking edits put_user_page and get_user_pages (noted.ts).
 *
 * Who is not converted, as nobody could:
 * - who empties a pipe. vmsplice hands its pages to one, and a pipe holds pages of the cache as well, and what tee made of either: provenance.ts.
 * - udmabuf, which takes its pages from the cache and not by get_user_pages.
 * - the sandbox's `put`, which is the call put_page by its name, and the driver of W14 that puts with put_page what it has pinned (how=put).
 * - what puts pages that get_user_pages took and never gave to anybody: gup_pte_range when the PTE has changed. That is get_user_pages itself, and
 *   a tracking's own affair.
 *
 * add_to_pipe puts the first page for which a pipe has no room through the pipe's own operations, and iter_to_pipe the others: they are
 * converted both, as the pages have not been in the pipe.
 */
import { call, given, local, path, step } from "../../kernel/language.js";
import { page_behind } from "../../kernel/mm/memory.js";
import { get_page } from "../../kernel/mm/page.js";
import { put_page } from "../../kernel/mm/swap.js";
import { forget_user_page, move_user_page, page_of } from "../../kernel/mm/user_pages.js";
import { NONE, type PagesNr, type Pfn, pfn } from "../../kernel/types.js";
import { type Edit, locals, replace } from "../../machine/patch.js";
import type { Patch } from "../patch.js";
import type { Proposal } from "./proposal.js";

/** One page of a user's is put: a path, so that a later patch finds it. */
export const put_user_page = path(
  "put_user_page",
  { source: "include/linux/mm.h, July 2018", args: { page: pfn } },
  [step("put_page", (k, f) => put_page(k, f.page))],
);

/** Another reference of the same kind to a page that get_user_pages gave (provenance.ts says who wants one). */
export const ref_user_page = path(
  "ref_user_page",
  { source: "Dan Williams, December 2018", args: { page: pfn } },
  [step("get_page", (k, f) => get_page(k, f.page))],
);

interface Walk {
  readonly pages: PagesNr;
  at: number;
  page: Pfn;
}

const put_it = call<{ readonly page: Pfn }, typeof put_user_page.args>(() => put_user_page, { page: "page" });

const none = local<{ page: Pfn }>((_, f) => {
  f.page = NONE;
});

/** A walk over an array that puts each page. */
const converts = (in_path: string): Edit =>
  replace<Walk>(in_path, "put_page", [
    local((k, f) => {
      f.page = forget_user_page(k, f.pages, f.at);
    }),
    put_it,
    local((_, f) => {
      f.at++;
      f.page = NONE;
    }),
  ]);

/** The last page of a chunk first. */
const process_vm: readonly Edit[] = [
  replace<{ readonly pages: PagesNr; chunk: number; page: Pfn }>("process_vm_rw_single_vec", "put_page", [
    local((k, f) => {
      f.chunk--;
      forget_user_page(k, f.pages, f.chunk);
    }),
    put_it,
    none,
  ]),
];

/** The one page of a fault of the card's. */
const odp: readonly Edit[] = [
  locals("pagefault_mr", { page: pfn }),
  replace<{ readonly pages: PagesNr; page: Pfn }>("pagefault_mr", "put_page", [
    local((k, f) => {
      f.page = forget_user_page(k, f.pages, 0);
      k.user_pages.nr[f.pages] = 0;
    }),
    put_it,
    none,
  ]),
];

/** A page that finds no room in the pipe, and all after it. */
const vmsplice: readonly Edit[] = [
  replace<{
    readonly pages: PagesNr;
    readonly pipe: PagesNr;
    at: number;
    i: number;
    page: Pfn;
    ret: number;
  }>("vmsplice_to_pipe", "add_to_pipe", [
    step("add_to_pipe", (k, f) => {
      if (f.at === 1 || k.user_pages.nr[f.pipe] === k.geometry.dioPages) {
        f.at = 1;
        return;
      }
      move_user_page(k, f.pages, f.i, f.pipe);
      f.ret++;
    }),
    given(
      (_, f) => f.at === 1,
      [
        local((k, f) => {
          f.page = forget_user_page(k, f.pages, f.i);
        }),
        put_it,
      ],
    ),
    local((_, f) => {
      f.i++;
      f.page = NONE;
    }),
  ]),
];

/** The drivers of W14 whose mistake is another one than which call they put by. */
const mistaken: readonly Edit[] = [
  replace<{ page: Pfn }>("puts_twice", "put_page#1", [put_it]),
  // The first is no step put_page any more.
  converts("puts_twice"),
  replace<Walk & { again: Pfn }>("puts_late", "put_page#2", [call(() => put_user_page, { page: "again" })]),
  converts("puts_late"),
  replace<Walk & { start: number }>("puts_what_it_has_not", "put_page", [
    local((k, f) => {
      f.page = page_behind(k, f.start);
    }),
    put_it,
    none,
  ]),
  replace<Walk>("puts_too_early", "put_page", [
    local((k, f) => {
      f.page = page_of(k, f.pages, 0);
    }),
    put_it,
    none,
  ]),
  converts("forgets_partial_results"),
  converts("dies"),
];

interface User {
  /** The last words of its patch's name. */
  readonly name: string;
  readonly who: string;
  readonly edits: readonly Edit[];
}

/** Who has pages of get_user_pages, and where they are put: what a sweep of call sites converts. */
export const SITES: readonly User[] = [
  {
    name: "direct-io",
    who: "O_DIRECT",
    edits: ["dio_bio_complete", "bio_check_pages_dirty", "bio_release_pages", "bio_dirty_fn"].map(converts),
  },
  { name: "rdma", who: "an RDMA memory region", edits: [converts("__ib_umem_release")] },
  { name: "odp", who: "an RDMA region on demand", edits: odp },
  { name: "vfio", who: "VFIO", edits: ["put_pfn", "vfio_unpin_pages_remote"].map(converts) },
  { name: "io-uring", who: "io_uring", edits: [converts("io_release_buffer")] },
  { name: "xdp", who: "AF_XDP", edits: [converts("xdp_umem_unpin_pages")] },
  { name: "video", who: "video capture", edits: [converts("put_vaddr_frames")] },
  {
    name: "i915",
    who: "i915 userptr",
    edits: [
      "i915_gem_userptr_put_pages",
      "i915_gem_userptr_get_pages",
      "__i915_gem_userptr_get_pages_worker",
    ].map(converts),
  },
  { name: "amdgpu", who: "amdgpu userptr", edits: [converts("release_pages")] },
  { name: "proc-mem", who: "/proc/PID/mem", edits: [converts("__access_remote_vm")] },
  { name: "process-vm", who: "process_vm_readv and process_vm_writev", edits: process_vm },
  { name: "vmsplice", who: "vmsplice, of pages that find no room in the pipe", edits: vmsplice },
  { name: "benchmark", who: "gup_benchmark", edits: [converts("gup_benchmark_ioctl")] },
  {
    name: "drivers",
    who: "the drivers without a name of the workloads and of the sandbox",
    edits: [...["unpin_pages", "counter", "takes_for_reading"].map(converts), ...mistaken],
  },
];

const SOURCE = "20181012060014.10242-1";
const series = { ideas: ["A8"], author: "John Hubbard", date: "2018-10", commit: null, source: SOURCE };

/** One user's call sites, each a patch of its own. */
export const conversions: readonly Proposal[] = SITES.map(({ name, who, edits }) => ({
  ...series,
  name: `put-user-page-of-${name}`,
  title: "convert put_page() to put_user_page*()",
  help: `${who}: pages of get_user_pages are put by put_user_page`,
  remarks: [],
  edits,
}));

export const put_user_page_2018: Proposal = {
  ...series,
  name: "hubbard-put-user-page-2018",
  title: "mm: introduce put_user_page*(), placeholder versions",
  help: "drivers put what get_user_pages gave them by put_user_page, which is put_page by another name",
  needs: conversions,
  remarks: [
    {
      who: "John Hubbard",
      date: "2018-07",
      says: "there are about 88 callers, and for each one has to find out where it puts its pages",
      source: "reply to Jan Kara, linux-mm, July 2018, on 20180702005654.20369-6",
    },
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "there is no way round a counterpart of get_user_pages, inconvenient as it is to change all users",
      source: "reply to 20180702005654.20369-6, linux-mm, 2 July 2018",
    },
    {
      who: "Andrew Morton",
      date: "2018-10",
      says: "how will anybody know that all of them have been converted?",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
  ],
  edits: [],
};

/** Only the users that are named beside it. */
export const put_user_page_in_part: Proposal = {
  ...series,
  name: "put-user-page-in-part",
  title: "mm: introduce put_user_page*(), placeholder versions",
  help: "only those users are converted to put_user_page that are named beside it",
  remarks: [],
  edits: [],
};

/** All but one. */
const misses: readonly Proposal[] = SITES.map(({ name, who }, missed) => ({
  ...series,
  name: `put-user-page-misses-${name}`,
  title: "mm: introduce put_user_page*(), placeholder versions",
  help: `all users are converted to put_user_page but one: ${who}`,
  needs: conversions.filter((_, at) => at !== missed),
  remarks: [],
  edits: [],
}));

/** How far the conversion has come: of a kernel with a tracking, all the way if nothing else is said. */
export const converted: readonly Patch[] = [put_user_page_2018, put_user_page_in_part, ...misses];

/** Steps on the way, of which no kernel is made for its own sake. */
export const partial: readonly Proposal[] = [...conversions, put_user_page_in_part, ...misses];
