/** What a patch is: one change that was made to Linux, or that somebody proposed, as edits of the base's paths. */
import type { Table } from "../kernel/kernel.js";
import type { Struct, total } from "../machine/memory.js";
import type { Edit } from "../machine/patch.js";

export interface Patch {
  /** Its name here: what a kernel has since. */
  readonly name: string;
  /** The commit's subject, or the message's. */
  readonly title: string;
  readonly author: string;
  /** Month of the commit: 2022-03. */
  readonly date: string;
  /** The first twelve digits of the commit; null where nothing was merged. */
  readonly commit: string | null;
  /** What a kernel with it does, in one sentence. */
  readonly help: string;
  readonly edits: readonly Edit[];
  /** The structs that it brings; default none. */
  readonly tables?: readonly Table[];
  /** One of them whose columns are counters of /proc/vmstat. */
  readonly vmstat?: Struct<Record<string, ReturnType<typeof total>>>;
}
