/** The patches that note pins: of a kernel one can be. A policy that needs one takes the first, where nobody names another. */
import type { Patch } from "../patch.js";
import { track_foll_pin } from "../track_foll_pin.js";
import { hubbard_lru_2018, hubbard_lru_v1_2018 } from "./hubbard_lru_2018.js";
import { kara_count_2018 } from "./kara_count_2018.js";

export const trackings: readonly Patch[] = [
  kara_count_2018,
  track_foll_pin,
  hubbard_lru_2018,
  hubbard_lru_v1_2018,
];
