/**
 * A pin of a page of a file is a mapcount as well: a page with more mapcounts than PTEs is pinned.
 *
 * Jérôme Glisse, 12 December 2018 (after a first idea of 7 December, a false VMA for each caller of get_user_pages): get_user_pages counts up both the references and the
 * mapcount of a page of a file, put_user_page counts both down. Whoever writes a page back walks to all of its PTEs anyway to protect them, with the page lock, and can
 * count them: what is left over are pins. No new word, no list.
 *
 * The mapcount is asked by many who do not know: a pinned page is "mapped" for all of them. try_to_unmap() does not succeed, and
 * invalidation passes by, so that this note does something by itself. Truncation takes the page out of the cache with a mapcount, and complains
 * ("Bad page cache").
 *
 * The question costs a walk: as many steps as there are mappings; here it is one, as nobody but the asker's caller can see the difference. Anonymous pages are not counted,
 * as copy on write asks how often they are mapped. DAX is another problem for him, and its pages are not counted here either; nor is the zero page.
 *
 * Left out: that get_user_pages looks at PG_writeback and gives -EBUSY or a mark, the second half of his proposal; dirtying by put_user_page.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { is_zone_device_page } from "../../kernel/mm/memremap.js";
import { rule_of } from "../../kernel/rule.js";
import { isAnon } from "../../kernel/structs.js";
import type { Pfn } from "../../kernel/types.js";
import { WORD } from "../../trace/words.js";
import { noted } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted } from "./put_user_page.js";
import { gup_mapcount, gup_mapcount_rule } from "./tracking.js";

/** A page that has been truncated is still no anonymous one: it is counted down as it was counted up. */
const add = (by: 1 | -1) => (k: Kernel, tail: Pfn) => {
  const page = compound_head(k, tail);
  const counted = !isAnon(k.page.mapping[page]) && !is_zone_device_page(k, page) && page !== k.geometry.pages;
  if (!counted) return;
  k.page.mapcount[page] += by;
  k.note(WORD.mapcount, page, k.page.mapcount[page]);
};

export const glisse_mapcount_2018: Proposal = {
  name: "glisse-mapcount-2018",
  ideas: ["A29"],
  title: "mm: introduce put_user_page*(), placeholder versions",
  author: "Jérôme Glisse",
  date: "2018-12",
  commit: null,
  source: "20181212150319.GA3432",
  help: "get_user_pages counts a page of a file as mapped once more: more mapcounts than PTEs are pins",
  needs_one: converted,
  remarks: [
    {
      who: "Jan Kara",
      date: "2018-12",
      says: "of the first form: get_user_pages_fast may take no lock to enter a VMA, and direct I/O would pay for it; it wins nothing over a count in struct page",
      source: "20181210102846.GC29289",
    },
  ],
  tables: [{ struct: gup_mapcount, rows: () => 1 }],
  page_words: [{ struct: gup_mapcount, instead_of: "_mapcount" }],
  rules: [rule_of(gup_mapcount_rule)],
  inserts: [
    {
      into: "__delete_from_page_cache",
      help: "complains of a page that is mapped",
      run: (k, page) => {
        const message = "unaccount_page_cache_page: BUG: Bad page cache: the page is mapped";
        const mapped = k.page.mapcount[page] > 0;
        if (k.tested(mapped, message, page)) k.fault("WARN", message, page);
      },
    },
  ],
  edits: noted({ take: add(1), put: add(-1) }),
};
