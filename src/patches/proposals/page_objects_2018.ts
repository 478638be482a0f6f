/**
 * What is known of a pinned page is kept in an object that is allocated for it.
 *
 * Two forms, of the same days:
 * - hubbard-page-aux-2018, John Hubbard, 13 December 2018: struct page_aux, one for each page that is pinned, with the count, what page->private was, and pgmap and hmm_data of device pages;
 *   page->private leads to it. The first pin allocates it, the last one frees it.
 * - williams-proxy-2018, Dan Williams, 14 December 2018 (an idea of Dave Hansen's): get_user_pages gives a proxy, a pointer with bit 0 set, in front of the page: one for each pin. Whoever
 *   puts it puts the proxy, as the pointer says what it is: a pipe knows then (provenance.ts), and no call site need be converted. Whoever calls get_page for it is
 *   caught: tee does, and should take a reference to the proxy.
 *
 * Both allocate where get_user_pages did not: in the fast walk without sleeping. Here one object is at hand from the start; all others are in one page frame, which comes
 * from the free ones without waiting (128 objects of 32 bytes are 4 KiB). Where there is none get_user_pages gives -ENOMEM. That neither mail says; there is
 * nothing else to give.
 *
 * Left out: the chase of page->private by everybody who reads it, and the branch in page_to_pfn() and its like (which cost time and change no outcome); proxies that
 * a filesystem makes; index and mapping of a proxy's own.
 */
import { ERRNO } from "../../kernel/errno.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, check, given, leave, local, step } from "../../kernel/language.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { FOLLOW, follow_page_pte } from "../../kernel/mm/gup.js";
import { pte_pfn } from "../../kernel/mm/memory.js";
import { get_page, get_page_unless_zero } from "../../kernel/mm/page.js";
import { alloc_page } from "../../kernel/mm/page_alloc.js";
import { put_page } from "../../kernel/mm/swap.js";
import { forget_first_page, store_page } from "../../kernel/mm/user_pages.js";
import { NONE, type PagesNr, type Pfn, type Vpn } from "../../kernel/types.js";
import { i32, struct, u16 } from "../../machine/memory.js";
import { after, type Edit, replace } from "../../machine/patch.js";
import { notes_put } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted, put_user_page, put_user_page_2018, ref_user_page } from "./put_user_page.js";
import { page_objects } from "./tracking.js";

const page_objects_cache = struct("page_objects_cache", {
  objects: u16("objects in use"),
  slab: i32("the page frame in which they are, plus one; 0 where there is none"),
});

/** Bit of the WARN_ON_ONCE site. */
const WARN_get_page_of_proxy = 26;

/** Objects that the cache has without a page frame of the machine's: it is as old as the kernel. */
const AT_HAND = 1;

/** An object: of a page frame, which is taken when the first of its objects is wanted. False where there is none. */
function kmem_cache_alloc(k: Kernel): boolean {
  const cache = k.of(page_objects_cache);
  if (cache.objects[0] === AT_HAND) {
    const slab = alloc_page(k);
    if (slab === NONE) return false;
    cache.slab[0] = slab + 1;
  }
  cache.objects[0]++;
  return true;
}
function kmem_cache_free(k: Kernel): void {
  const cache = k.of(page_objects_cache);
  cache.objects[0]--;
  if (cache.objects[0] !== AT_HAND) return;
  const slab = cache.slab[0] - 1;
  cache.slab[0] = 0;
  put_page(k, slab);
}

/** How many objects a page with so many pins has. */
interface Form {
  readonly objects: (pins: number) => number;
}
const AUX: Form = { objects: (pins) => Math.min(pins, 1) };
const PROXY: Form = { objects: (pins) => pins };

/** One pin more; false where there is no memory for it. */
function take({ objects }: Form, k: Kernel, tail: Pfn): boolean {
  const { pins } = k.of(page_objects);
  const page = compound_head(k, tail);
  if (objects(pins[page] + 1) > objects(pins[page]) && !kmem_cache_alloc(k)) return false;
  pins[page]++;
  return true;
}
function put({ objects }: Form, k: Kernel, tail: Pfn): void {
  const { pins } = k.of(page_objects);
  const page = compound_head(k, tail);
  pins[page]--;
  if (objects(pins[page]) < objects(pins[page] + 1)) kmem_cache_free(k);
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

/** get_user_pages asks for an object before it takes a page; put_user_page gives it back. */
const allocates = (form: Form): readonly Edit[] => [
  replace<OnePage>("__get_user_pages", "follow_page_pte", [
    step("follow_page_pte", (k, f) => {
      f.followed = follow_page_pte(k, f.at, f.flags | f.ret, f.pages, (_, page) => {
        if (!take(form, k, page)) return false;
        get_page(k, page);
        return true;
      });
      if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
    }),
  ]),
  after<OnePage>("__get_user_pages", "under ptl#1", [
    given((_, f) => f.followed === FOLLOW.refused, [leave(() => -ERRNO.ENOMEM)]),
  ]),
  // Without memory the walk ends, and the slow path says why.
  replace<Fast>("gup_pte_range", "page_cache_get_speculative", [
    check(
      "page_cache_get_speculative",
      (k, f) => {
        if (!get_page_unless_zero(k, f.page)) return false;
        if (take(form, k, f.page)) return true;
        put_page(k, f.page);
        return false;
      },
      "pte_unmap",
    ),
  ]),
  ...notes_put((k, page) => put(form, k, page)),
];

const tables = [
  { struct: page_objects, rows: (g: { pages: number; zeroPage: boolean }) => g.pages + (g.zeroPage ? 1 : 0) },
  { struct: page_objects_cache, rows: () => 1 },
];

const slab_is_held = {
  into: "references_held",
  help: "the objects' page frame has a reference while there are any",
  run: (k: Kernel, refs: number[]) => {
    const slab = k.of(page_objects_cache).slab[0] - 1;
    if (slab !== NONE) refs[slab]++;
  },
} as const;

export const hubbard_page_aux_2018: Proposal = {
  name: "hubbard-page-aux-2018",
  ideas: ["A29"],
  title: "mm: introduce put_user_page*(), placeholder versions",
  author: "John Hubbard",
  date: "2018-12",
  commit: null,
  source: "01cf4e0c-b2d6-225a-3ee9-ef0f7e53684d",
  help: "the first pin of a page allocates an object with its count, or fails with -ENOMEM; page->private leads to it",
  uncertain: "what get_user_pages gives where there is no memory",
  needs_one: converted,
  remarks: [
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "whoever allocates something out of line should go further, and put a proxy in front of the page",
      source: "CAPcyv4hrbA9H20bi+QMpKNi7r=egstt61MdQSD5Fb293W1btaw",
    },
  ],
  tables,
  page_words: [{ struct: page_objects, instead_of: "private" }],
  inserts: [slab_is_held],
  edits: [
    ...allocates(AUX),
    after<Fast>(ref_user_page, "get_page", [
      step("ref_user_page", (k, f) => {
        // The object is there: only the count goes up.
        take(AUX, k, f.page);
      }),
    ]),
  ],
};

interface PipeRead {
  readonly pipe: PagesNr;
  page: Pfn;
}
interface Tee {
  readonly opipe: PagesNr;
  page: Pfn;
  i: number;
  ret: number;
}

export const williams_proxy_2018: Proposal = {
  name: "williams-proxy-2018",
  ideas: ["A29", "A15"],
  title: "mm: introduce put_user_page*(), placeholder versions",
  author: "Dan Williams",
  date: "2018-12",
  commit: null,
  source: "CAPcyv4hrbA9H20bi+QMpKNi7r=egstt61MdQSD5Fb293W1btaw",
  help: "get_user_pages gives a proxy of the page, which whoever puts it recognises; each one is allocated, or refused with -ENOMEM",
  uncertain: "what get_user_pages gives where there is no memory",
  // What is put is recognised, whoever puts it: all sites, as if they were converted.
  needs: [put_user_page_2018],
  remarks: [
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "it is a branch and a pointer more in many operations of pages; and get_user_pages_fast cannot ask the filesystem for its own proxy",
      source: "CAPcyv4hrbA9H20bi+QMpKNi7r=egstt61MdQSD5Fb293W1btaw",
    },
  ],
  tables,
  inserts: [slab_is_held],
  edits: [
    ...allocates(PROXY),
    replace<PipeRead>("pipe_read", "page_cache_pipe_buf_release", [
      local((k, f) => {
        f.page = forget_first_page(k, f.pipe);
      }),
      call<PipeRead, typeof put_user_page.args>(() => put_user_page, { page: "page" }),
      local((_, f) => {
        f.page = NONE;
      }),
    ]),
    // generic_pipe_buf_get: get_page of what bit 0 says is no page. It is caught, and does what it should have done.
    replace<Tee>("do_tee", "generic_pipe_buf_get", [
      step("generic_pipe_buf_get", (k, f) => {
        k.WARN_ON_ONCE(
          true,
          WARN_get_page_of_proxy,
          "get_page: WARN_ON(page is a proxy): ref_user_page should have been called",
          f.page,
        );
        get_page(k, f.page);
        if (!take(PROXY, k, f.page)) put_page(k, f.page);
        else {
          store_page(k, f.opipe, f.page);
          f.ret++;
        }
        f.i++;
        f.page = NONE;
      }),
    ]),
  ],
};
