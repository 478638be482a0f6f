/** What was proposed and not merged as it stands here, by the order of the discussion. */
import { hubbard_mkclean_2018, kara_keep_mapped_2018 } from "./hubbard_mkclean_2018.js";
import { hubbard_ttu_2018, hubbard_ttu_serialised_2018, kara_ttu_2018 } from "./hubbard_ttu_2018.js";
import { kara_count_2018 } from "./kara_count_2018.js";
import type { Proposal } from "./proposal.js";
import { put_user_page_2018 } from "./put_user_page.js";
import { truncations } from "./truncations.js";

export const proposals: readonly Proposal[] = [
  kara_count_2018,
  put_user_page_2018,
  hubbard_ttu_2018,
  hubbard_ttu_serialised_2018,
  kara_ttu_2018,
  hubbard_mkclean_2018,
  kara_keep_mapped_2018,
  ...truncations,
];
