/**
 * Pages of DAX files are counted like others: an idle one has no reference, and each PTE has one.
 *
 * Source: fs/dax.c, mm/memremap.c, include/linux/dax.h, commit 38607c62b34b (v6.15); commit e5cb23256347 before it made one dax_break_layout of the
 * waits of ext4, xfs and fuse. A fault takes a reference and a mapcount with its PTE, and who takes the PTE away gives both back. Who
 * is about to free blocks unmaps the file as before, and then looks for a page with more references than PTEs (dax_busy_page); it sleeps until the count
 * is 0 (dax_page_is_idle), and only a put that leaves 0 wakes it. That is more than nobody holding it: xfs_wait_dax_page gives MMAPLOCK back while it sleeps, as before, and a
 * process that faults the page in again meanwhile keeps it asleep for as long as it has the page mapped, or until a signal comes. ext4's ftruncate has written
 * i_size by then, so that such a fault gets SIGBUS; its hole punching has not. get_user_pages_fast that has seen the old PTE finds a count of 0 and takes nothing.
 *
 * dax_disassociate_entry warns no more when a page that leaves its file is held.
 *
 * get_user_pages(FOLL_LONGTERM) refuses such files as before.
 *
 * Left out: dirtying and ageing when a PTE goes (nothing of it is asked about DAX memory here), compound pages of a PMD, dax_break_layout_final
 * when an inode is evicted, that dax_break_layout deletes the entries itself.
 */
import { device_page_rule } from "../kernel/mm/memremap.js";
import { rule_of } from "../kernel/rule.js";
import type { Patch } from "./patch.js";

export const fsdax_counts_from_zero: Patch = {
  name: "fsdax-counts-from-zero",
  title: "fs/dax: properly refcount fs dax pages",
  author: "Alistair Popple",
  date: "2025-02",
  commit: "38607c62b34b",
  uncertain: "what v6.15 itself says: read in the posted series and in v6.16-rc6, which agree",
  help: "pages of DAX files have a reference for each PTE, and none when they are idle; truncation waits for that",
  rules: [rule_of(device_page_rule, { idle: 0, pte: 1 })],
  edits: [],
};
