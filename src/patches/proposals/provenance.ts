/**
 * Who has a page and does not know where it came from.
 *
 * Dan Williams at the session of the article: some drivers do not know where their pages came from, so that they cannot know which call to put them by. Here that is a pipe:
 * vmsplice puts pages of get_user_pages into it, splice pages of the cache, tee makes a second buffer of either with get_page. (v4.20's pipe has operations by the buffer, and
 * vmsplice's are of its own; tee copies them, and takes a plain reference all the same.)
 *
 * - put-user-page-of-pipe: who empties a pipe puts by put_user_page. Right for what vmsplice brought, wrong for what tee made of it, of which nobody has counted up.
 * - williams-ref-user-page-2018: tee takes a reference of the same kind as the buffer has, by ref_user_page(). Together with the other one all is counted right, as long as
 *   nothing but vmsplice fills pipes: splice from a file's cache, which is not modelled, needs a pipe that knows of each buffer what it is.
 *
 * v6.3 does that for bios and iterators (iov_iter_extract_pages, BIO_PAGE_PINNED), and has taken the pipe's iterator away.
 */
import { call, local, step } from "../../kernel/language.js";
import { forget_first_page, store_page } from "../../kernel/mm/user_pages.js";
import { NONE, type PagesNr, type Pfn } from "../../kernel/types.js";
import { replace } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";
import { put_user_page, ref_user_page } from "./put_user_page.js";

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

export const put_user_page_of_pipe: Proposal = {
  name: "put-user-page-of-pipe",
  ideas: ["A15"],
  title: "convert put_page() to put_user_page*()",
  author: "John Hubbard",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  uncertain: "nobody posted it: it is what a sweep that knows no better would do",
  help: "who empties a pipe puts its page by put_user_page, wherever it came from",
  remarks: [
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "some drivers do not know where their pages came from",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
  ],
  edits: [
    replace<PipeRead>("pipe_read", "page_cache_pipe_buf_release", [
      local((k, f) => {
        f.page = forget_first_page(k, f.pipe);
      }),
      call<PipeRead, typeof put_user_page.args>(() => put_user_page, { page: "page" }),
      local((_, f) => {
        f.page = NONE;
      }),
    ]),
  ],
};

export const williams_ref_user_page_2018: Proposal = {
  name: "williams-ref-user-page-2018",
  ideas: ["A15"],
  title: "mm: introduce put_user_page*(), placeholder versions",
  author: "Dan Williams",
  date: "2018-12",
  commit: null,
  source: "CAPcyv4hrbA9H20bi+QMpKNi7r=egstt61MdQSD5Fb293W1btaw",
  help: "tee takes another reference to a page of get_user_pages by ref_user_page, the opposite of put_user_page",
  needs: [put_user_page_of_pipe],
  remarks: [],
  edits: [
    replace<Tee>("do_tee", "generic_pipe_buf_get", [
      call<Tee, typeof ref_user_page.args>(() => ref_user_page, { page: "page" }),
      step("generic_pipe_buf_get", (k, f) => {
        store_page(k, f.opipe, f.page);
        f.i++;
        f.ret++;
        f.page = NONE;
      }),
    ]),
  ],
};
