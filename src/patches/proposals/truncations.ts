/** What was proposed about pins of pages that are truncated, or that may not be registered at all. */
import {
  gunthorpe_fail_truncate_2018,
  gunthorpe_fail_truncate_lock_2018,
  gunthorpe_fail_truncate_unmap_2018,
} from "./gunthorpe_fail_truncate_2018.js";
import { lameter_refuse_longterm_2019 } from "./lameter_refuse_longterm_2019.js";
import type { Proposal } from "./proposal.js";
import { tso_refuse_2022 } from "./tso_refuse_2022.js";
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
];
