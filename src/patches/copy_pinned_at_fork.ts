/**
 * fork copies a page that may be pinned for the child, and leaves the parent's PTE as it is.
 *
 * Source: mm/memory.c (copy_present_page), commit 70e806e4e645 (v5.9), and mm->has_pinned, commit 008cfe4418b3. A
 * page of a private mapping is asked whether it may be pinned, if its process has ever pinned anything; the copy is
 * allocated without the page table's lock, and the walk begins again at the same PTE. A PTE is two steps here, as the
 * fast walk of gup needs no lock: it may pin a page between the question and what comes of it.
 *
 * What it leaves: plain references (vmsplice, O_DIRECT before it pins), and a window: a page that the fast walk pins
 * between the question and the write protection is shared all the same (write-protect-seq, v5.11). Left out: a fork
 * that finds no memory for the copy (a machine with watermarks must have it).
 */
import { copy_one_pte } from "../kernel/fork.js";
import type { Kernel } from "../kernel/kernel.js";
import { PFN_SHIFT, PTE } from "../kernel/kernel.js";
import { config, given, goto, label, local, step, under } from "../kernel/language.js";
import { ptl } from "../kernel/locks.js";
import {
  copy_page,
  find_vma,
  is_cow_mapping,
  make_anonymous,
  maybe_mkwrite,
  mm_of,
  pte_pfn,
  vm_normal_page,
} from "../kernel/mm/memory.js";
import { alloc_pages } from "../kernel/mm/page_alloc.js";
import { page_add_rmap, set_pte } from "../kernel/mm/rmap.js";
import { put_page } from "../kernel/mm/swap.js";
import { int, NONE, type Pfn, pfn, type Vpn } from "../kernel/types.js";
import { struct, u8 } from "../machine/memory.js";
import { before, type Edit, locals, replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";
import { page_maybe_dma_pinned, track_foll_pin } from "./track_foll_pin.js";

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
  /** The PTE of which has been found that its page can be shared; WANTS_COPY of one that needs a page first. */
  asked: number;
}
const WANTS_COPY = -1;

/** What fork does with the PTE of a page that it does not share. */
export interface ForkRules {
  /** Whether the page of the PTE at `from` must be copied now. */
  readonly needs_copy: (k: Kernel, vma: number, from: Vpn) => boolean;
  /** Copy a PTE that is not none. */
  readonly share: (k: Kernel, from: Vpn, to: Vpn, vm_flags: number) => void;
  /** Called with the child's copy of a page. */
  readonly copied: (k: Kernel, page: Pfn) => void;
}

/** Whether the page of the PTE at `from` may be pinned, and is its process's own to write. */
export function maybe_needs_copy(k: Kernel, vma: number, from: Vpn): boolean {
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

/**
 * The question: the page table's lock is held from here to the answer's use, which keeps everybody away but the fast
 * walk of gup. Somebody else who has changed the PTE in between would have come before the lock: it is asked again
 * then.
 */
export const asks =
  ({ needs_copy }: ForkRules) =>
  (k: Kernel, f: Copy): void => {
    const from = f.start + f.done;
    f.asked = needs_copy(k, f.vma, from) ? 0 : k.pte.entry[from];
  };

/** copy_present_pte and copy_nonpresent_pte of one PTE. */
export const copies =
  ({ needs_copy, share, copied }: ForkRules) =>
  (k: Kernel, f: Copy): void => {
    const from = f.start + f.done;
    const entry = k.pte.entry[from];
    if (entry !== f.asked && needs_copy(k, f.vma, from)) {
      f.asked = f.prealloc === NONE ? WANTS_COPY : 0;
      if (f.asked === WANTS_COPY) return;
      copy_present_page(k, f, from, f.to + f.done);
      copied(k, pte_pfn(k.pte.entry[f.to + f.done]));
    } else {
      // What was allocated for a page that is no longer pinned.
      if (f.prealloc !== NONE) put_page(k, f.prealloc);
      f.prealloc = NONE;
      f.asked = 0;
      if (entry !== 0) share(k, from, f.to + f.done, k.vma.vm_flags[f.vma]);
    }
    f.done++;
  };

const rules: ForkRules = { needs_copy: maybe_needs_copy, share: copy_one_pte, copied: () => {} };

/** What the fast walk is told. */
interface Fast {
  readonly start: Vpn;
  readonly write: number;
}

/**
 * internal_get_user_pages_fast says that the process pins before it walks, without mmap_sem. Nobody asks on a machine
 * without processes that fork.
 */
const sets_has_pinned = (name: string): Edit =>
  before<Fast>(name, "local_irq_disable:", [
    config("mmap", [
      given(
        (_, f) => (f.write & FOLL_PIN) !== 0,
        [
          step("atomic_set(&mm->has_pinned)", (k, f) => {
            k.of(mm_pins).has_pinned[mm_of(k, f.start)] = 1;
          }),
        ],
      ),
    ]),
  ]);

export const copy_pinned_at_fork: Patch = {
  name: "copy-pinned-at-fork",
  title: "mm: Do early cow for pinned pages during fork() for ptes",
  author: "Peter Xu",
  date: "2020-09",
  commit: "70e806e4e645",
  help: "fork copies a pinned page for the child at once; the parent keeps the page that its device writes",
  needs: [track_foll_pin],
  tables: [{ struct: mm_pins, rows: (g) => g.mms }],
  edits: [
    before<{ readonly at: Vpn; readonly flags: number }>("__get_user_pages", "retry:", [
      local((k, f) => {
        if ((f.flags & FOLL_PIN) !== 0) k.of(mm_pins).has_pinned[mm_of(k, f.at)] = 1;
      }),
    ]),
    // mm_init: a new process has pinned nothing, whoever had its number before.
    before<{ readonly child: number }>("fork", "dup_mmap", [
      local((k, f) => {
        k.of(mm_pins).has_pinned[f.child] = 0;
      }),
    ]),
    sets_has_pinned("get_user_pages_fast"),
    sets_has_pinned("__get_user_pages_fast"),
    locals("copy_page_range", { prealloc: pfn, asked: int }),
    replace<Copy>("copy_page_range", "under ptl", [
      label("again"),
      under<Copy>(ptl, [step("page_maybe_dma_pinned", asks(rules)), step("copy_one_pte", copies(rules))]),
      given<Copy>(
        (_, f) => f.asked === WANTS_COPY,
        [
          local((_, f) => {
            f.asked = 0;
          }),
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
