/** What was proposed and not merged as it stands here, by the order of the discussion. */
import {
  hellwig_bounce_reserve_2023,
  kara_bounce_2018,
  kara_bounce_2023,
  kara_bounce_dirty_2018,
} from "./bounce_pinned.js";
import { hubbard_mkclean_2018, kara_keep_mapped_2018 } from "./hubbard_mkclean_2018.js";
import { hubbard_ttu_2018, hubbard_ttu_serialised_2018, kara_ttu_2018 } from "./hubbard_ttu_2018.js";
import { knowledge, knowledge_parts } from "./knowledge.js";
import { kara_count_2018 } from "./kara_count_2018.js";
import type { Proposal } from "./proposal.js";
import { truncations } from "./truncations.js";
import { writebacks } from "./writebacks.js";

export const proposals: readonly Proposal[] = [
  ...knowledge,
  hubbard_ttu_2018,
  hubbard_ttu_serialised_2018,
  kara_ttu_2018,
  hubbard_mkclean_2018,
  kara_keep_mapped_2018,
  kara_count_2018,
  put_user_page_2018,
  ...writebacks,
  ...truncations,
];

/** Proposals of which no kernel is made for its own sake: a kernel may have them. */
export const parts: readonly Proposal[] = [...knowledge_parts];
