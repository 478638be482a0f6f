/**
 * Functions of the base into which a patch can put something.
 *
 * An edit names a step of a path. put_page and a few others have no steps: they are called inside so many of other paths' that no list of edits would
 * name them all, and whoever changes such a function in Linux changes it for all its callers at once. Each one here calls what
 * patches have put into it; in the base that is nothing.
 */
import type { Kernel } from "./kernel.js";
import type { Pfn } from "./types.js";

/** What each function asks of what is put into it. */
interface Functions {
  /** put_page, before it drops a reference; the page is a head, or no compound page. */
  readonly put_page: (k: Kernel, page: Pfn) => void;
  /** __pagevec_lru_add_fn, at its beginning: whether the page stays off all lists. */
  readonly __pagevec_lru_add_fn: (k: Kernel, page: Pfn) => boolean;
  /** list_del of page->lru: a page leaves an LRU list, a chain of isolated pages, or its huge page's owner. */
  readonly list_del: (k: Kernel, page: Pfn) => void;
  /** free_pages_check, at its beginning: the page has no references any more. */
  readonly free_pages_check: (k: Kernel, page: Pfn) => void;
  /** __delete_from_page_cache, at its beginning. */
  readonly __delete_from_page_cache: (k: Kernel, page: Pfn) => void;
  /** No function of Linux (mm/references.ts): counts in `refs` the references that somebody holds whom the base does not know. */
  readonly references_held: (k: Kernel, refs: number[]) => void;
}
export type FunctionName = keyof Functions;

/** What a patch puts into one of them. */
export type Insert = {
  readonly [N in FunctionName]: {
    readonly into: N;
    /** What it does there, as a sentence that a reader of the patch sees. */
    readonly help: string;
    readonly run: Functions[N];
  };
}[FunctionName];

/** All that patches have put into each function, in the patches' order. */
export type Inserts = { readonly [N in FunctionName]: readonly Functions[N][] };

/** Sort what patches put into functions by the functions. */
export function insertsOf(inserts: readonly Insert[]): Inserts {
  const into = <N extends FunctionName>(name: N): Functions[N][] =>
    inserts.filter((each) => each.into === name).map(({ run }) => run as Functions[N]);
  return {
    put_page: into("put_page"),
    __pagevec_lru_add_fn: into("__pagevec_lru_add_fn"),
    list_del: into("list_del"),
    free_pages_check: into("free_pages_check"),
    __delete_from_page_cache: into("__delete_from_page_cache"),
    references_held: into("references_held"),
  };
}

/** The base's: nothing. */
export const NO_INSERTS: Inserts = insertsOf([]);

/** list_del of a page's links: whoever has it on a list calls this as it takes it off. */
export function list_del(k: Kernel, page: Pfn): void {
  for (const insert of k.inserts.list_del) insert(k, page);
}
