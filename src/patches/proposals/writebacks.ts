/** What reclaim and writeback could do about pinned pages, in the order of the discussion. */
import {
  hellwig_bounce_reserve_2023,
  kara_bounce_2018,
  kara_bounce_2023,
  kara_bounce_dirty_2018,
} from "./bounce_pinned.js";
import { hellwig_kernel_dio_2023, kara_kernel_dio_2023 } from "./hellwig_kernel_dio_2023.js";
import { hellwig_short_pins_2023, hellwig_short_pins_unlocked_2023 } from "./hellwig_short_pins_2023.js";
import { hubbard_mkclean_2018, kara_keep_mapped_2018 } from "./hubbard_mkclean_2018.js";
import { hubbard_ttu_2018, hubbard_ttu_serialised_2018, kara_ttu_2018 } from "./hubbard_ttu_2018.js";
import { kara_mkwrite_2018 } from "./kara_mkwrite_2018.js";
import type { Proposal } from "./proposal.js";
import { kara_skip_2018, kara_skip_2023 } from "./skip_pinned.js";
import { tso_local_pins_2022 } from "./tso_local_pins_2022.js";
import { williams_defer_release_2018 } from "./williams_defer_release_2018.js";

export const writebacks: readonly Proposal[] = [
  kara_mkwrite_2018,
  kara_keep_mapped_2018,
  williams_defer_release_2018,
  hubbard_ttu_2018,
  hubbard_ttu_serialised_2018,
  kara_ttu_2018,
  hubbard_mkclean_2018,
  kara_skip_2018,
  kara_bounce_2018,
  kara_bounce_dirty_2018,
  tso_local_pins_2022,
  kara_skip_2023,
  kara_bounce_2023,
  hellwig_bounce_reserve_2023,
  hellwig_kernel_dio_2023,
  kara_kernel_dio_2023,
  hellwig_short_pins_2023,
  hellwig_short_pins_unlocked_2023,
];
