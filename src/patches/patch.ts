/** What a patch is: one change that was made to Linux, or that somebody proposed, as edits of the base's paths. */
import type { Insert } from "../kernel/inserts.js";
import type { Kernel, Table } from "../kernel/kernel.js";
import type { RuleValues } from "../kernel/rule.js";
import type { Struct, total } from "../machine/memory.js";
import type { AnyPath, Edit } from "../machine/patch.js";

/** A task of the kernel's that a machine needs where it has another one. */
export interface Daemon {
  readonly name: string;
  readonly letter: string;
  readonly path: AnyPath;
  /** The path of the task that gives it its work. */
  readonly besides: AnyPath;
}

export interface Patch {
  /** Its name here: what a kernel has since. */
  readonly name: string;
  /** The commit's subject, or the message's. */
  readonly title: string;
  readonly author: string;
  /** Month in which it was written, as the commit says: 2022-03. */
  readonly date: string;
  /** The first twelve digits of the commit in Linus Torvalds's tree; null where there is none, or none that is known. */
  readonly commit: string | null;
  /** What of all this could not be looked up, as an answer to "what is uncertain?": "its commit", "which release". Default nothing. */
  readonly uncertain?: string;
  /** What a kernel with it does, in one sentence. */
  readonly help: string;
  /**
   * Patches that come before it in every kernel that has it: those whose steps it edits, whose structs it reads, or without which it would
   * change nothing, or give back what it did not take. What they need themselves is not repeated. Default none.
   */
  readonly needs?: readonly Patch[];
  /** Patches of which one, whichever, comes before it: the ways in which something that it asks can be known. Default none. */
  readonly needs_one?: readonly Patch[];
  readonly edits: readonly Edit[];
  /** The structs that it brings; default none. */
  readonly tables?: readonly Table[];
  /** The rules that it brings or changes, as they are since; default none. */
  readonly rules?: readonly RuleValues[];
  /** What it puts into functions of the base that have no steps; default nothing. */
  readonly inserts?: readonly Insert[];
  /** What else is so before the first step, where a scenario begins with pages that somebody has used; default nothing. */
  readonly boot?: (k: Kernel) => void;
  /** Tasks that a machine has besides certain others: default none. */
  readonly daemons?: readonly Daemon[];
  /** One of them whose columns are counters of /proc/vmstat. */
  readonly vmstat?: Struct<Record<string, ReturnType<typeof total>>>;
}
