/** By path: which of its locals hold a page reference, at which of its steps. One file a subsystem. */

import { btrfs } from "./btrfs.js";
import type { Holder } from "./holder.js";
import { hugetlb } from "./hugetlb.js";
import { mm } from "./mm.js";
import { patches } from "./patches.js";
import { process } from "./process.js";
import { truncate } from "./truncate.js";
import { writeback } from "./writeback.js";

export type { Position } from "./holder.js";
export { TAKES } from "./patches.js";

export const HOLDERS: Readonly<Record<string, Holder>> = {
  ...mm,
  ...btrfs,
  ...hugetlb,
  ...patches,
  ...process,
  ...truncate,
  ...writeback,
};
