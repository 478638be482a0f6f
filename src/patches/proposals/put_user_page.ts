/**
 * put_user_page: every driver that took pages with get_user_pages says so when it puts them.
 *
 * John Hubbard, July to December 2018 ("mm/fs: put_user_page() proposal"; LWN, 12 December 2018): first put_user_page() is put_page() by another name, and about a hundred call
 * sites are converted; what tracks pins follows when the last one is. One that is missed is counted wrongly for ever.
 *
 * Here the call sites are the release paths of the users that are modelled (`SITES`). A tracking patch edits put_user_page and get_user_pages.
 *
 * A pipe's buffers are not among them: whoever empties a pipe does not know that vmsplice took a page there with get_user_pages, and not splice(2)
 * from the page cache.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { call, check, local, path, step } from "../../kernel/language.js";
import {
  FOLLOW,
  follow_page_pte,
  get_user_pages_longterm,
  get_user_pages_longterm_stale,
} from "../../kernel/mm/gup.js";
import { pte_pfn } from "../../kernel/mm/memory.js";
import { get_page, get_page_unless_zero } from "../../kernel/mm/page.js";
import { put_page } from "../../kernel/mm/swap.js";
import { forget_user_page, page_of, put_page_of } from "../../kernel/mm/user_pages.js";
import { NONE, type PagesNr, type Pfn, pfn, type Vpn } from "../../kernel/types.js";
import { before, type Edit, replace } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";

/** One page of a user's is put: a path, so that a later patch finds it. */
export const put_user_page = path(
  "put_user_page",
  { source: "include/linux/mm.h, July 2018", args: { page: pfn } },
  [step("put_page", (k, f) => put_page(k, f.page))],
);

interface Walk {
  readonly pages: PagesNr;
  at: number;
  page: Pfn;
}

const forget = local<Walk>((k, f) => {
  f.page = forget_user_page(k, f.pages, f.at);
});
const next = local<Walk>((_, f) => {
  f.at++;
  f.page = NONE;
});

/** A walk over an array that puts each page. */
const converts = (in_path: string): Edit =>
  replace<Walk>(in_path, "put_page", [forget, call(() => put_user_page, { page: "page" }), next]);

/** Release paths that walk an array and put each page, by who has them: what a sweep of call sites converts. */
export const SITES: readonly { readonly user: string; readonly paths: readonly string[] }[] = [
  {
    user: "O_DIRECT",
    paths: ["dio_bio_complete", "bio_check_pages_dirty", "bio_release_pages", "bio_dirty_fn"],
  },
  { user: "RDMA", paths: ["__ib_umem_release"] },
  { user: "VFIO", paths: ["put_pfn", "vfio_unpin_pages_remote"] },
  { user: "io_uring", paths: ["io_release_buffer"] },
  { user: "AF_XDP", paths: ["xdp_umem_unpin_pages"] },
  { user: "video capture", paths: ["put_vaddr_frames"] },
  { user: "i915", paths: ["i915_gem_userptr_put_pages"] },
  { user: "/proc/PID/mem", paths: ["__access_remote_vm"] },
];

export const put_user_page_2018: Proposal = {
  name: "hubbard-put-user-page-2018",
  ideas: ["A8"],
  title: "mm: introduce put_user_page*(), placeholder versions",
  author: "John Hubbard",
  date: "2018-10",
  commit: null,
  source: "20181012060014.10242-1",
  help: "drivers put what get_user_pages gave them by put_user_page, which is put_page by another name",
  remarks: [],
  edits: [
    ...SITES.flatMap(({ paths }) => paths.map(converts)),
    replace<{ readonly pages: PagesNr; chunk: number; page: Pfn }>("process_vm_rw_single_vec", "put_page", [
      local((k, f) => {
        f.chunk--;
        forget_user_page(k, f.pages, f.chunk);
      }),
      call(() => put_user_page, { page: "page" }),
      local((_, f) => {
        f.page = NONE;
      }),
    ]),
  ],
};

/** How a page is noted when get_user_pages takes it, and when put_user_page puts it; its reference is taken before the one, and put after the other. */
export interface Note {
  readonly take: (k: Kernel, page: Pfn) => void;
  readonly put: (k: Kernel, page: Pfn) => void;
}

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
  readonly pages: PagesNr;
  ret: number;
  followed: number;
  page: Pfn;
}
interface Fast {
  readonly page: Pfn;
}
interface Longterm {
  readonly pages: PagesNr;
  at: number;
  ret: number;
}

/** The edits of a patch that notes each page in the moment in which it is taken, and in which it is put. */
export const noted = ({ take, put }: Note): readonly Edit[] => [
  replace<OnePage>("__get_user_pages", "follow_page_pte", [
    step("follow_page_pte", (k, f) => {
      f.followed = follow_page_pte(k, f.at, f.flags | f.ret, f.pages, (_, page) => {
        get_page(k, page);
        take(k, page);
        return true;
      });
      if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
    }),
  ]),
  replace<Fast>("gup_pte_range", "page_cache_get_speculative", [
    check(
      "page_cache_get_speculative",
      (k, f) => {
        const taken = get_page_unless_zero(k, f.page);
        if (taken) take(k, f.page);
        return taken;
      },
      "pte_unmap",
    ),
  ]),
  replace<Fast>("gup_pte_range", "put_page", [
    step("put_user_page", (k, f) => {
      put(k, f.page);
      put_page(k, f.page);
    }),
  ]),
  // Long-term pins of fsdax memory are given back at once.
  replace<Longterm>(get_user_pages_longterm, "put_page", [
    step("put_user_page", (k, f) => {
      const page = forget_user_page(k, f.pages, k.user_pages.nr[f.pages] - f.ret + f.at);
      put(k, page);
      put_page(k, page);
      f.at++;
    }),
  ]),
  replace<Longterm>(get_user_pages_longterm_stale, "put_page", [
    step("put_user_page", (k, f) => {
      const at = k.user_pages.nr[f.pages] - f.ret + f.at;
      put(k, page_of(k, f.pages, at));
      put_page_of(k, f.pages, at);
      f.at++;
    }),
  ]),
  before<Fast>("put_user_page", "put_page", [step("put_user_page", (k, f) => put(k, f.page))]),
];
