/**
 * The filesystem is asked when a driver marks its page dirty, as it would be by a write fault.
 *
 * Jan Kara, 3 January 2018, the first of his first two ideas: set_page_dirty_lock() could simulate a fault. It has no virtual address, no VMA and no mmap_sem, and it may be expensive; but buffers, blocks and
 * reservations are there when the page is dirty.
 *
 * What it inserts: ->page_mkwrite in the place of the page lock of set_page_dirty_lock(), for pages of files that have one; the page comes back locked, and is marked dirty. Where there is no space, or the page has left its file, it is
 * not marked.
 *
 * What it leaves: everything before: the device has written by then, while the page was clean, under writeback or stripped. So sums break (W6), and fsync finds nothing while the page is pinned (W5). What a truncation or a punch did
 * meanwhile has happened. Whoever marks pages dirty without set_page_dirty_lock() (VFIO: SetPageDirty) asks nobody; RDMA does not mark a page that is dirty.
 *
 * What it breaks: a device's bytes for which there is no space are lost where they used to be dirty, and a driver learns nothing of it.
 */
import { call, given, goto, label, leave, local, step } from "../../kernel/language.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { do_page_mkwrite } from "../../kernel/mm/memory.js";
import { unlock } from "../../kernel/mm/page.js";
import { set_page_dirty } from "../../kernel/mm/page_writeback.js";
import { has_page_mkwrite, VM_FAULT } from "../../kernel/operations.js";
import { type InodeNr, inode, int, type Pfn } from "../../kernel/types.js";
import { before, locals } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";

interface Dirty {
  readonly page: Pfn;
  mapping: InodeNr;
  fault: number;
}

export const kara_mkwrite_2018: Proposal = {
  name: "kara-mkwrite-2018",
  ideas: ["A25"],
  title: "Filesystem crashes due to pages without buffers",
  author: "Jan Kara",
  date: "2018-01",
  commit: null,
  source: "20180103100430.GE4911@quack2.suse.cz",
  help: "set_page_dirty_lock asks the filesystem as a write fault would: buffers and space are there when the page becomes dirty",
  remarks: [
    {
      who: "Jan Kara",
      date: "2018-01",
      says: "ugly and possibly expensive, but it would make filesystems happy; who punches a hole under the buffer can lose data still",
      source: "20180103100430.GE4911@quack2.suse.cz",
    },
  ],
  edits: [
    locals("set_page_dirty_lock", { mapping: inode, fault: int }),
    before<Dirty>("set_page_dirty_lock", "lock_page", [
      step("page_mapping", (k, f) => {
        f.mapping = page_mapping(k, f.page);
      }),
      given((k, f) => f.mapping === 0 || !has_page_mkwrite(k, f.mapping), [goto("lock")]),
      call(() => do_page_mkwrite, { page: "page", mapping: "mapping" }, "fault"),
      given(
        (_, f) => (f.fault & VM_FAULT.LOCKED) !== 0,
        [call(() => set_page_dirty, { page: "page" }), unlock()],
      ),
      local((_, f) => {
        f.mapping = 0;
        f.fault = 0;
      }),
      leave(),
      label("lock"),
      local((_, f) => {
        f.mapping = 0;
      }),
    ]),
  ],
};
