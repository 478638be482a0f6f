/** What was proposed about pins of pages that are truncated, or that may not be registered at all. */
import {
  gunthorpe_fail_truncate_2018,
  gunthorpe_fail_truncate_lock_2018,
  gunthorpe_fail_truncate_unmap_2018,
} from "./gunthorpe_fail_truncate_2018.js";
import { harrosh_range_lock_2018 } from "./harrosh_range_lock_2018.js";
import { lameter_refuse_longterm_2019 } from "./lameter_refuse_longterm_2019.js";
import { export_layout_lease_2019, lease_user_2019, lease_user_closes_2019 } from "./layout_leases.js";
import {
  kara_defer_disk_2018,
  kara_defer_orphans_2018,
  nybble41_defer_free_2018,
} from "./nybble41_defer_free_2018.js";
import type { Proposal } from "./proposal.js";
import { tso_refuse_2022 } from "./tso_refuse_2022.js";
import {
  chinner_exclusive_lease_2019,
  chinner_lease_early_2019,
  lease_released_2019,
  weiny_leases_2019,
  weiny_zombie_lease_2019,
  williams_lease_acts_2018,
} from "./weiny_leases_2019.js";
import {
  wilcox_revoke_reset_2018,
  williams_revoke_2018,
  williams_revoke_try_2018,
} from "./williams_revoke_2018.js";
import {
  dax_look_first,
  rdma_told_2018,
  williams_wait_truncate_2018,
} from "./williams_wait_truncate_2018.js";

export const truncations: readonly Proposal[] = [
  tso_refuse_2022,
  lameter_refuse_longterm_2019,
  gunthorpe_fail_truncate_2018,
  gunthorpe_fail_truncate_unmap_2018,
  gunthorpe_fail_truncate_lock_2018,
  williams_wait_truncate_2018,
  dax_look_first,
  rdma_told_2018,
  williams_lease_acts_2018,
  weiny_leases_2019,
  chinner_lease_early_2019,
  chinner_exclusive_lease_2019,
  weiny_zombie_lease_2019,
  lease_released_2019,
  nybble41_defer_free_2018,
  kara_defer_disk_2018,
  kara_defer_orphans_2018,
  harrosh_range_lock_2018,
  williams_revoke_2018,
  williams_revoke_try_2018,
  wilcox_revoke_reset_2018,
];

/** What programs do that have read one of them, and what they need of the kernel. */
export const truncation_parts: readonly Proposal[] = [
  export_layout_lease_2019,
  lease_user_2019,
  lease_user_closes_2019,
];
