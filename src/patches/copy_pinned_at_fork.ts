/**
 * fork copies a page that may be pinned for the child, and leaves the parent's PTE as it is.
 *
 * Source: mm/memory.c (copy_present_page), commit 70e806e4e645 (v5.9), and mm->has_pinned, commit 008cfe4418b3. A page of a private mapping is asked whether it
 * may be pinned, if its process has ever pinned anything; the copy is allocated without the page table's lock, and the walk begins again at the same PTE.
 *
 * What it leaves: plain references (vmsplice, O_DIRECT before it pins). Left out: a fork that finds no memory for the copy (a machine with
 * watermarks must have it), the write_protect_seq that keeps the fast path of gup away (v5.11).
 */
import { copy_one_pte, PROGRESS } from "../kernel/fork.js";
import type { Kernel } from "../kernel/kernel.js";
import { PFN_SHIFT, PTE } from "../kernel/kernel.js";
import { given, goto, label, local, step, under } from "../kernel/language.js";
import { ptl } from "../kernel/locks.js";
import {
  copy_page,
  find_vma,
  is_cow_mapping,
  make_anonymous,
  maybe_mkwrite,
  mm_of,
  vm_normal_page,
} from "../kernel/mm/memory.js";
import { alloc_pages } from "../kernel/mm/page_alloc.js";
import { page_add_rmap, set_pte } from "../kernel/mm/rmap.js";
import { put_page } from "../kernel/mm/swap.js";
import { NONE, type Pfn, pfn, type Vpn } from "../kernel/types.js";
import { struct, u8 } from "../machine/memory.js";
import { before, locals, replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";
import { page_maybe_dma_pinned } from "./track_foll_pin.js";

export const mm_pins = struct("mm_pins", {
  has_pinned: u8("1 once the process has pinned a page"),
});

interface Copy {
  readonly vma: number;
  readonly to: Vpn;
  start: Vpn;
  end: Vpn;
  done: number;
  prealloc: Pfn;
}

/** Somebody is about to pin a page of a process. */
function set_has_pinned(k: Kernel, at: Vpn, flags: number): void {
  if ((flags & FOLL_PIN) !== 0) k.of(mm_pins).has_pinned[mm_of(k, at)] = 1;
}

/** Whether the page of the PTE at `from` must be copied now. */
function needs_copy(k: Kernel, vma: number, from: Vpn): boolean {
  const entry = k.pte.entry[from];
  if ((entry & PTE.present) === 0 || !is_cow_mapping(k.vma.vm_flags[vma])) return false;
  if (k.of(mm_pins).has_pinned[mm_of(k, from)] === 0) return false;
  const page = vm_normal_page(k, entry);
  return page !== NONE && page_maybe_dma_pinned(k, page);
}

/** copy_present_page: the child has the copy, dirty and writable where its VMA allows it. */
function copy_present_page(k: Kernel, f: Copy, from: Vpn, to: Vpn): void {
  const page = f.prealloc;
  const vma = find_vma(k, to);
  copy_page(k, page, vm_normal_page(k, k.pte.entry[from]));
  page_add_rmap(k, page);
  make_anonymous(k, page, vma, to);
  const bits = PTE.present | PTE.dirty | maybe_mkwrite(k, vma);
  set_pte(k, to, (page << PFN_SHIFT) | bits, page);
  f.prealloc = NONE;
}

export const copy_pinned_at_fork: Patch = {
  name: "copy-pinned-at-fork",
  title: "mm: Do early cow for pinned pages during fork() for ptes",
  author: "Peter Xu",
  date: "2020-09",
  commit: "70e806e4e645",
  help: "fork copies a pinned page for the child at once; the parent keeps the page that its device writes",
  tables: [{ struct: mm_pins, rows: (g) => g.mms }],
  edits: [
    before<{ readonly at: Vpn; readonly flags: number }>("__get_user_pages", "retry:", [
      local((k, f) => set_has_pinned(k, f.at, f.flags)),
    ]),
    // The fast walk, too: a process whose pages are all there never comes to the slow one.
    before<{ readonly at: Vpn; readonly write: number }>("gup_pte_range", "pte_read", [
      local((k, f) => set_has_pinned(k, f.at, f.write)),
    ]),
    // mm_init: a new process has pinned nothing, whoever had its number before.
    before<{ readonly child: number }>("fork", "dup_mmap", [
      local((k, f) => {
        k.of(mm_pins).has_pinned[f.child] = 0;
      }),
    ]),
    locals("copy_page_range", { prealloc: pfn }),
    replace<Copy>("copy_page_range", "under ptl", [
      label("again"),
      under<Copy>(ptl, [
        step<Copy>("copy_one_pte", (k, f) => {
          const flags = k.vma.vm_flags[f.vma];
          for (let progress = 0; progress < PROGRESS && f.start + f.done < f.end; f.done++) {
            const from = f.start + f.done;
            if (needs_copy(k, f.vma, from)) {
              if (f.prealloc === NONE) return;
              copy_present_page(k, f, from, f.to + f.done);
              progress += 8;
              continue;
            }
            // What was allocated for a page that is no longer pinned.
            if (f.prealloc !== NONE) {
              put_page(k, f.prealloc);
              f.prealloc = NONE;
            }
            const none = k.pte.entry[from] === 0;
            if (!none) copy_one_pte(k, from, f.to + f.done, flags);
            progress += none ? 1 : 8;
          }
        }),
      ]),
      given<Copy>(
        (k, f) => f.start + f.done < f.end && needs_copy(k, f.vma, f.start + f.done),
        [
          alloc_pages<"prealloc", Copy>("page_copy_prealloc", "prealloc", () => {}, [
            local<Copy>(() => {
              throw new Error("page_copy_prealloc: no memory for a copy; give the machine more page frames");
            }),
          ]),
          goto("again"),
        ],
      ),
    ]),
  ],
};
