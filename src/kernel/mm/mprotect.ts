/**
 * mprotect: a mapping becomes read-only, or writable again.
 *
 * Source: mm/mprotect.c in v4.20. The PTEs of a private mapping lose their write bit and do not get it back: after
 * PROT_READ | PROT_WRITE the next store faults, and do_wp_page decides anew whether the page may be kept. A shared mapping's
 * dirty PTE becomes writable at once, as its filesystem knows of it; a clean one faults. The write bit that get_user_pages saw
 * when it took a page says nothing of the time after.
 *
 * The ptl is held for all PTEs of a page table, so all of a VMA is one step. Left out: PROT_NONE and PROT_EXEC, protection keys,
 * accounting of private writable memory, vma_merge, the populating of a locked VMA that becomes writable.
 */
import { ERRNO } from "../errno.js";
import { type Kernel, PTE } from "../kernel.js";
import { call, config, down_write, given, local, path, repeat, step, under, up_write } from "../language.js";
import { mmap_sem, ptl } from "../locks.js";
import { VM_MAYWRITE, VM_WRITE } from "../structs.js";
import { int, NONE, type Vpn, vpn } from "../types.js";
import {
  find_vma,
  mm_of,
  pte_present,
  vm_normal_page,
  vm_page_prot,
  vma_wants_writenotify,
} from "./memory.js";
import { __split_vma } from "./mmap.js";
import { mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start } from "./mmu_notifier.js";
import { set_pte } from "./rmap.js";
import { is_write_migration_entry, make_migration_entry, migration_entry_to_page } from "./swapops.js";

/** change_pte_range: give the PTEs of a VMA the protection that it has now. */
function change_pte_range(k: Kernel, vma: number, start: Vpn, end: Vpn): void {
  const prot = vm_page_prot(k, vma);
  const dirty_accountable = vma_wants_writenotify(k, vma);
  for (let at = start; at < end; at++) {
    const entry = k.pte.entry[at];
    if (is_write_migration_entry(entry)) {
      // Whether it may be written is asked again when the page has moved.
      const page = migration_entry_to_page(entry);
      set_pte(k, at, make_migration_entry(page, false), page);
    }
    if (!pte_present(entry)) continue;
    // Who is known to have dirtied its page need not fault to say so again.
    const write = dirty_accountable && (entry & PTE.dirty) !== 0 ? PTE.write : prot;
    set_pte(k, at, (entry & ~PTE.write) | write, vm_normal_page(k, entry));
  }
}

/** Change one VMA or a part of it. Gives 0 or -ENOMEM. */
const mprotect_fixup = path(
  "mprotect_fixup",
  {
    source: "mm/mprotect.c v4.20",
    args: { vma: int, start: vpn, end: vpn, write: int },
    locals: { same: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.same = ((k.vma.vm_flags[f.vma] & VM_WRITE) !== 0) === (f.write === 1) ? 1 : 0;
    }),
    given(
      (_, f) => f.same === 0,
      [
        given(
          (k, f) => f.start > k.vma.vm_start[f.vma],
          [call(() => __split_vma, { vma: "vma", at: "start", new_below: 1 }, "ret")],
        ),
        given(
          (k, f) => f.ret === 0 && f.end < k.vma.vm_start[f.vma] + k.vma.vm_pages[f.vma],
          [call(() => __split_vma, { vma: "vma", at: "end", new_below: 0 }, "ret")],
        ),
        given(
          (_, f) => f.ret === 0,
          [
            config("notifier", [
              call(() => mmu_notifier_invalidate_range_start, { start: "start", end: "end" }),
            ]),
            under(ptl, [
              step("change_pte_range", (k, f) => {
                if (f.write === 1) k.vma.vm_flags[f.vma] |= VM_WRITE;
                else k.vma.vm_flags[f.vma] &= ~VM_WRITE;
                change_pte_range(k, f.vma, f.start, f.end);
              }),
            ]),
            config("notifier", [
              call(() => mmu_notifier_invalidate_range_end, { start: "start", end: "end" }),
            ]),
          ],
        ),
      ],
    ),
  ],
);

/** mprotect(2) of `nr` pages: PROT_READ, with PROT_WRITE when `write` is 1. Gives 0, -EACCES or -ENOMEM. */
export const mprotect = path(
  "mprotect",
  {
    source: "mm/mprotect.c v4.20",
    args: { start: vpn, nr: int, write: int },
    locals: { at: vpn, end: vpn, tmp: vpn, vma: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.at = f.start;
      f.end = f.start + f.nr;
    }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    repeat(
      (_, f) => f.ret === 0 && f.at < f.end,
      [
        local((k, f) => {
          f.vma = find_vma(k, f.at);
          if (f.vma === NONE) f.ret = -ERRNO.ENOMEM;
          else if (f.write === 1 && (k.vma.vm_flags[f.vma] & VM_MAYWRITE) === 0) f.ret = -ERRNO.EACCES;
          else f.tmp = Math.min(k.vma.vm_start[f.vma] + k.vma.vm_pages[f.vma], f.end);
        }),
        given(
          (_, f) => f.ret === 0,
          [call(() => mprotect_fixup, { vma: "vma", start: "at", end: "tmp", write: "write" }, "ret")],
        ),
        local((_, f) => {
          f.at = f.tmp;
        }),
      ],
    ),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);
