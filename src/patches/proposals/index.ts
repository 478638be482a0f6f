/** What was proposed and not merged as it stands here, by what it changes: what is known of pins, what writeback and reclaim do, what truncation does. */
import { knowledge, knowledge_parts } from "./knowledge.js";
import type { Proposal } from "./proposal.js";
import { truncation_parts, truncations } from "./truncations.js";
import { writebacks } from "./writebacks.js";

export const proposals: readonly Proposal[] = [...knowledge, ...writebacks, ...truncations];

/** Proposals of which no kernel is made for its own sake: a kernel may have them. */
export const parts: readonly Proposal[] = [...knowledge_parts, ...truncation_parts];
