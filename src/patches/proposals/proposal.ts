/**
 * What a proposal is: a patch that was thought of, and not merged as it stands here, with what its authors and critics said of it.
 *
 * What it does is computed: by searching workloads on kernels that have it. What is written beside it is what people claimed, each with its
 * source, and what one of its steps costs where somebody measured that.
 */
import type { Struct } from "../../machine/memory.js";
import type { Patch } from "../patch.js";

/** What somebody held against it, or said in its favour. */
export interface Remark {
  readonly who: string;
  /** Month in which it was said: 2018-07. */
  readonly date: string;
  /** What was said, in our words; one sentence. */
  readonly says: string;
  /** Message-id, or where it was printed. */
  readonly source: string;
}

/** Time that a step of it takes, where somebody measured it. */
export interface Cost {
  /** The step, as `path/step`: it costs this each time that it runs. */
  readonly step: string;
  readonly ns: number;
  /** Who measured what, and on what. */
  readonly source: string;
}

/** Columns of it that live in struct page. */
export interface PageWords {
  readonly struct: Struct;
  /** Which words that are there already hold them: "lru"; null when struct page grows. */
  readonly instead_of: string | null;
}

export interface Proposal extends Patch {
  /** Its place in the discussion: "A11". */
  readonly ideas: readonly string[];
  /** Where it was proposed: message-ids, or where it was printed. */
  readonly source: string;
  /** The oldest kernel that it was thought of for: "v6.2". Default the article's, or the oldest to which it applies. */
  readonly since?: string;
  readonly remarks: readonly Remark[];
  /** Default none: nobody measured any of its steps. */
  readonly costs?: readonly Cost[];
  /** Default none. */
  readonly page_words?: readonly PageWords[];
  /** What an administrator sees of it, beyond counters of /proc/vmstat and errors of calls: "/proc/PID/...". Default nothing. */
  readonly shows?: readonly string[];
}
