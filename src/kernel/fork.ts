/**
 * fork: the child gets the parent's VMAs, and those of its PTEs that no fault could bring back.
 *
 * Source: kernel/fork.c (dup_mmap), mm/memory.c (copy_page_range, copy_one_pte) in v4.20. A page of a private mapping is shared from now
 * on, write-protected in both. Who writes first gets a copy, who is mapped last keeps the page: a device that
 * holds it by reference stays with whichever that is. That is how a parent loses its DMA (VM_DONTCOPY is the way round), and how a child that keeps
 * a reference to an inherited page reads what its parent writes later (CVE-2020-29374).
 *
 * A VMA without an anon_vma is not copied at all: a shared mapping's PTEs are the same file's for everybody, so the child
 * faults them in anew. Nothing of a shared mapping is write-protected.
 *
 * The child's VMAs have their places in the geometry (VmaSpec.forked). copy_pte_range looks whether somebody wants its locks after four
 * pages; here somebody always does. Left out: huge pages, VM_ACCOUNT and other failures for want of memory (only room for split VMAs can
 * be wanting), TLBs: in the parent a write-protected PTE holds at once, not from flush_tlb_mm on.
 */
import { ERRNO } from "./errno.js";
import { exit_mmap } from "./exit.js";
import { type Kernel, PTE } from "./kernel.js";
import {
  call,
  config,
  down_write,
  given,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  up_write,
  wait,
} from "./language.js";
import { anon_vma_rwsem, i_mmap_rwsem, mmap_sem, ptl } from "./locks.js";
import { is_cow_mapping, vm_normal_page } from "./mm/memory.js";
import { area_of, MM_FORKED, mm_struct, next_vma, no_vma_locks, spare_vma } from "./mm/mmap.js";
import { mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start } from "./mm/mmu_notifier.js";
import { get_page } from "./mm/page.js";
import { page_add_rmap, set_pte } from "./mm/rmap.js";
import { swap_duplicate } from "./mm/swapfile.js";
import {
  is_migration_entry,
  is_swap_entry,
  make_migration_entry,
  migration_entry_to_page,
  pte_to_swp_entry,
} from "./mm/swapops.js";
import { VM_DONTCOPY, VM_LOCKED, VM_LOCKONFAULT, VM_SHARED, VM_WIPEONFORK } from "./structs.js";
import { int, NONE, type Vpn, vpn } from "./types.js";

/** Pages after which copy_pte_range may let go of its locks. */
const PROGRESS = 32;

/** copy_one_pte: the child's PTE is old; of a private mapping it is write-protected, the parent's too; of a shared one clean. */
export function copy_one_pte(k: Kernel, from: Vpn, to: Vpn, vm_flags: number): void {
  let entry = k.pte.entry[from];
  if (is_migration_entry(entry)) {
    // Who puts the PTEs back finds the child's as well: its VMA is in the tree already, behind the parent's.
    const page = migration_entry_to_page(entry);
    if (is_cow_mapping(vm_flags)) entry = make_migration_entry(page, false);
    set_pte(k, from, entry, page);
    set_pte(k, to, entry, page);
    return;
  }
  if (is_swap_entry(entry)) {
    swap_duplicate(k, pte_to_swp_entry(entry));
    set_pte(k, to, entry, NONE);
    return;
  }
  const page = vm_normal_page(k, entry);
  if (is_cow_mapping(vm_flags) && (entry & PTE.write) !== 0) {
    entry &= ~PTE.write;
    set_pte(k, from, entry, page);
  }
  if ((vm_flags & VM_SHARED) !== 0) entry &= ~PTE.dirty;
  entry &= ~PTE.young;
  if (page !== NONE) {
    get_page(k, page);
    page_add_rmap(k, page);
  }
  set_pte(k, to, entry, page);
}

/** Copy the PTEs of a VMA to its copy in the child, which begins at `to`. */
export const copy_page_range = path(
  "copy_page_range",
  {
    source: "mm/memory.c v4.20",
    args: { vma: int, to: vpn },
    locals: { start: vpn, end: vpn, done: int },
  },
  [
    local((k, f) => {
      f.start = k.vma.vm_start[f.vma];
      f.end = f.start + k.vma.vm_pages[f.vma];
    }),
    // Only a private mapping's PTEs lose anything in the parent.
    config("notifier", [
      given(
        (k, f) => is_cow_mapping(k.vma.vm_flags[f.vma]),
        [call(() => mmu_notifier_invalidate_range_start, { start: "start", end: "end" })],
      ),
    ]),
    label("copy_p4d_range"),
    repeat(
      (_, f) => f.start + f.done < f.end,
      [
        under(ptl, [
          step("copy_one_pte", (k, f) => {
            const flags = k.vma.vm_flags[f.vma];
            for (let progress = 0; progress < PROGRESS && f.start + f.done < f.end; f.done++) {
              const from = f.start + f.done;
              const none = k.pte.entry[from] === 0;
              if (!none) copy_one_pte(k, from, f.to + f.done, flags);
              progress += none ? 1 : 8;
            }
          }),
        ]),
      ],
    ),
    label("copied"),
    config("notifier", [
      given(
        (k, f) => is_cow_mapping(k.vma.vm_flags[f.vma]),
        [call(() => mmu_notifier_invalidate_range_end, { start: "start", end: "end" })],
      ),
    ]),
  ],
);

/**
 * Where the child has its copy of a VMA, and the row that it gets: a spare one for a part of what was one mapping. It is behind
 * the parent's, as in i_mmap (vma_interval_tree_insert_after): a walk that has passed the parent's PTE has yet to come to the child's.
 */
function place_of(k: Kernel, vma: number, child: number): { readonly to: Vpn; readonly row: number } {
  const { vmas } = k.geometry;
  const area = area_of(k, k.vma.vm_start[vma]);
  const copy = vmas.findIndex(({ forked, mm }) => forked === area && mm === child);
  if (copy < 0) throw new Error(`dup_mmap: process ${child} has no place for a copy of VMA ${area}`);
  const to = vmas[copy].start + k.vma.vm_start[vma] - vmas[area].start;
  if (copy < area) throw new Error(`dup_mmap: the copy of VMA ${area} stands before it`);
  return { to, row: vma === area ? copy : spare_vma(k, vma) };
}

/** vm_area_dup and its insertion: the copy locks no pages. Gives 0, or -ENOMEM when there is no row for it. */
function vm_area_dup(k: Kernel, vma: number, child: number): number {
  const { to, row } = place_of(k, vma, child);
  if (row === NONE) return -ERRNO.ENOMEM;
  const { vm_start, vm_pages, vm_flags, vm_file, vm_pgoff, vm_mm, anon_vma } = k.vma;
  for (const column of [vm_pages, vm_file, vm_pgoff, anon_vma]) column[row] = column[vma];
  vm_flags[row] = vm_flags[vma] & ~(VM_LOCKED | VM_LOCKONFAULT);
  // anon_vma_prepare: one that is wiped gets an anon_vma of its own.
  if ((vm_flags[vma] & VM_WIPEONFORK) !== 0) anon_vma[row] = 1;
  vm_start[row] = to;
  vm_mm[row] = child;
  return 0;
}

/** Copy a process's VMAs into a new one, with both mmap_sems held for writing. Gives 0 or -ENOMEM. */
export const dup_mmap = path(
  "dup_mmap",
  {
    source: "kernel/fork.c v4.20",
    args: { oldmm: int, mm: int },
    locals: { vma: int, to: vpn, file: int, anon: int },
    returns: int,
  },
  [
    down_write(mmap_sem, (_, f) => f.oldmm),
    down_write(mmap_sem, (_, f) => f.mm),
    local((k, f) => {
      f.vma = next_vma(k, f.oldmm, 0);
    }),
    repeat(
      (_, f) => f.vma !== NONE,
      [
        given(
          (k, f) => (k.vma.vm_flags[f.vma] & VM_DONTCOPY) === 0,
          [
            local((k, f) => {
              f.to = place_of(k, f.vma, f.mm).to;
              f.file = k.vma.vm_file[f.vma];
              f.anon = k.vma.anon_vma[f.vma];
            }),
            // anon_vma_fork and the insertion into i_mmap are one section here.
            given((_, f) => f.file !== 0, [down_write(i_mmap_rwsem, (_, f) => f.file)]),
            given((_, f) => f.anon !== 0, [down_write(anon_vma_rwsem, () => 0)]),
            step("vm_area_dup", (k, f) => {
              f.ret = vm_area_dup(k, f.vma, f.mm);
            }),
            given((_, f) => f.anon !== 0, [up_write(anon_vma_rwsem, () => 0)]),
            given((_, f) => f.file !== 0, [up_write(i_mmap_rwsem, (_, f) => f.file)]),
            ...no_vma_locks(),
            // Without an anon_vma a fault brings back all that there is to see.
            given(
              (k, f) => f.ret === 0 && f.anon !== 0 && (k.vma.vm_flags[f.vma] & VM_WIPEONFORK) === 0,
              [call(() => copy_page_range, { vma: "vma", to: "to" })],
            ),
          ],
        ),
        local((k, f) => {
          const { vm_start, vm_pages } = k.vma;
          f.vma = f.ret === 0 ? next_vma(k, f.oldmm, vm_start[f.vma] + vm_pages[f.vma]) : NONE;
        }),
      ],
    ),
    up_write(mmap_sem, (_, f) => f.mm),
    up_write(mmap_sem, (_, f) => f.oldmm),
  ],
);

/** fork(2): process `mm` makes the process `child`. Gives 0 or -ENOMEM; what was copied by then is given back. */
export const fork = path(
  "fork",
  { source: "kernel/fork.c v4.20", args: { mm: int, child: int }, returns: int },
  [
    call(() => dup_mmap, { oldmm: "mm", mm: "child" }, "ret"),
    // dup_mm's mmput.
    given((_, f) => f.ret !== 0, [call(() => exit_mmap, { mm: "child" }), leave()]),
    step("wake_up_new_task", (k, f) => {
      k.of(mm_struct).life[f.child] = MM_FORKED;
    }),
  ],
);

/** What a child's task begins with: it runs once fork has made its process. */
export const ret_from_fork = path(
  "ret_from_fork",
  { source: "arch/x86/entry/entry_64.S v4.20", args: { mm: int } },
  [wait("ret_from_fork", (k, f) => k.of(mm_struct).life[f.mm] === MM_FORKED)],
);
