/** How a kernel could know of pins: conversions of call sites, and ways to note what get_user_pages takes. */
import { hubbard_lru_2018, hubbard_lru_v1_2018 } from "./hubbard_lru_2018.js";
import { kara_count_2018 } from "./kara_count_2018.js";
import { morton_assertion_2018 } from "./morton_assertion_2018.js";
import type { Proposal } from "./proposal.js";
import { partial, put_user_page_2018 } from "./put_user_page.js";

export const knowledge: readonly Proposal[] = [
  kara_count_2018,
  put_user_page_2018,
  morton_assertion_2018,
  hubbard_lru_v1_2018,
  hubbard_lru_2018,
];

/** Steps on the way. */
export const knowledge_parts: readonly Proposal[] = [...partial];
