/** How a kernel could know of pins: conversions of call sites, and ways to note what get_user_pages takes. */
import { glisse_kara_bias_2019, hubbard_bias_rfc_2019 } from "./glisse_kara_bias_2019.js";
import { glisse_mapcount_2018 } from "./glisse_mapcount_2018.js";
import { hubbard_lru_2018, hubbard_lru_v1_2018 } from "./hubbard_lru_2018.js";
import { hubbard_lru_longterm_2023 } from "./hubbard_lru_longterm_2023.js";
import { hubbard_mapping_count_2018 } from "./hubbard_mapping_count_2018.js";
import { kara_count_2018 } from "./kara_count_2018.js";
import { lru_waits_isolation } from "./lru_waits_isolation.js";
import { morton_assertion_2018 } from "./morton_assertion_2018.js";
import { hubbard_page_aux_2018, williams_proxy_2018 } from "./page_objects_2018.js";
import type { Proposal } from "./proposal.js";
import { put_user_page_of_pipe, williams_ref_user_page_2018 } from "./provenance.js";
import { partial, put_user_page_2018 } from "./put_user_page.js";
import { wilcox_bit_2018, wilcox_bit_sticky_2018 } from "./wilcox_bit_2018.js";

export const knowledge: readonly Proposal[] = [
  kara_count_2018,
  put_user_page_2018,
  morton_assertion_2018,
  hubbard_lru_v1_2018,
  hubbard_lru_2018,
  lru_waits_isolation,
  wilcox_bit_2018,
  wilcox_bit_sticky_2018,
  glisse_mapcount_2018,
  hubbard_mapping_count_2018,
  hubbard_page_aux_2018,
  williams_proxy_2018,
  glisse_kara_bias_2019,
  hubbard_bias_rfc_2019,
  hubbard_lru_longterm_2023,
];

/** Steps on the way. */
export const knowledge_parts: readonly Proposal[] = [
  ...partial,
  put_user_page_of_pipe,
  williams_ref_user_page_2018,
];
