/**
 * Pins of every compound page are counted exactly.
 *
 * Source: include/linux/mm.h, commit 5232c63f46fd (v5.18). The count moved from the second tail to the first, so that a compound page of two page frames
 * has room for it, too; it had the bias before.
 */
import { rule_of } from "../kernel/rule.js";
import type { Patch } from "./patch.js";
import { hpage_pincount_available, track_foll_pin } from "./track_foll_pin.js";

export const exact_pincount: Patch = {
  name: "exact-pincount",
  title: "mm: Make compound_pincount always available",
  author: "Matthew Wilcox",
  date: "2022-01",
  commit: "5232c63f46fd",
  help: "a compound page of two page frames has an exact count of its pins as well",
  needs: [track_foll_pin],
  rules: [rule_of(hpage_pincount_available, { order: 1 })],
  edits: [],
};
