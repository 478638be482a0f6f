/** The patches that note pins: of a kernel one can be. A policy that needs one takes the first, where nobody names another. */
import type { Patch } from "../patch.js";
import { track_foll_pin } from "../track_foll_pin.js";
import { glisse_kara_bias_2019, hubbard_bias_rfc_2019 } from "./glisse_kara_bias_2019.js";
import { glisse_mapcount_2018 } from "./glisse_mapcount_2018.js";
import { hubbard_lru_2018, hubbard_lru_v1_2018 } from "./hubbard_lru_2018.js";
import { hubbard_mapping_count_2018 } from "./hubbard_mapping_count_2018.js";
import { kara_count_2018 } from "./kara_count_2018.js";
import { hubbard_page_aux_2018, williams_proxy_2018 } from "./page_objects_2018.js";
import { wilcox_bit_2018, wilcox_bit_sticky_2018 } from "./wilcox_bit_2018.js";

export const trackings: readonly Patch[] = [
  kara_count_2018,
  track_foll_pin,
  hubbard_lru_2018,
  hubbard_lru_v1_2018,
  wilcox_bit_2018,
  wilcox_bit_sticky_2018,
  glisse_mapcount_2018,
  hubbard_mapping_count_2018,
  hubbard_page_aux_2018,
  williams_proxy_2018,
  glisse_kara_bias_2019,
  hubbard_bias_rfc_2019,
];
