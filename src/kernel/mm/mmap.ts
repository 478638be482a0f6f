/**
 * VMAs that come and go: mmap, munmap, and the splits that a part of a mapping needs.
 *
 * Source: mm/mmap.c in v4.20. Changes are made with mmap_sem held for writing, so that faults and get_user_pages' slow path are kept out; its
 * fast path is not, nor is reclaim: a VMA that has left the process (VM_DETACHED here) is still found by rmap walks
 * until unlink_file_vma. A page that a device holds loses its PTE and stays.
 *
 * Addresses are fixed: every VMA of the geometry has its virtual pages whether it is mapped or not, and mmap() maps one there
 * again, as MAP_FIXED does. Splits need a row of no pages in the geometry; without one they fail with
 * -ENOMEM, as at max_map_count.
 *
 * munmap(2) holds mmap_sem for writing until the VMAs cannot be found, and for reading while it takes the PTEs (new in v4.20): a fault
 * of another thread need not wait for it.
 *
 * Left out: vma_merge, mremap, brk, the accounting of total_vm, MAP_POPULATE and MAP_LOCKED at mmap.
 */
import { struct, u8 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import {
  call,
  config,
  down_write,
  given,
  held,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  repeat,
  step,
  under,
  up_read,
  up_write,
} from "../language.js";
import { anon_vma_rwsem, i_mmap_rwsem, lru_lock, mmap_sem } from "../locks.js";
import { VM_DETACHED, VM_LOCKED, VM_SHARED } from "../structs.js";
import { int, NONE, type Vpn, vpn } from "../types.js";
import { writable_denied } from "./memfd.js";
import { find_vma, mm_of } from "./memory.js";
import { munlock_vma_pages_range } from "./mlock.js";
import { account } from "./rlimit.js";
import { lru_add_drain } from "./swap.js";
import { unmap_vmas } from "./zap.js";

/** struct mm_struct, as far as not elsewhere: a row a process on machines with config "mmap". */
export const mm_struct = struct("mm_struct", {
  life: u8("0 as the machine started, MM_FORKED once fork has made it, MM_GONE after exit_mmap"),
});
export const mm_struct_table: Table = {
  struct: mm_struct,
  rows: (g) => (g.config.has("mmap") ? g.mms : 0),
};
export const MM_FORKED = 1;
export const MM_GONE = 2;

const vm_end = (k: Kernel, vma: number): Vpn => k.vma.vm_start[vma] + k.vma.vm_pages[vma];

/** The lowest VMA of a process that ends above `from`, with or without those that are detached; NONE when there is none. */
function lowest(k: Kernel, mm: number, from: Vpn, detached: boolean): number {
  const { vm_start, vm_pages, vm_mm, vm_flags } = k.vma;
  let found = NONE;
  for (let vma = 0; vma < vm_start.length; vma++) {
    if (vm_pages[vma] === 0 || vm_mm[vma] !== mm || vm_end(k, vma) <= from) continue;
    if (((vm_flags[vma] & VM_DETACHED) !== 0) !== detached) continue;
    if (found === NONE || vm_start[vma] < vm_start[found]) found = vma;
  }
  return found;
}

/** Linux's find_vma: the lowest VMA of a process that ends above `from`, or NONE. */
export const next_vma = (k: Kernel, mm: number, from: Vpn): number => lowest(k, mm, from, false);

/** The area of the geometry in which a virtual page lies: a number of geometry.vmas. */
export const area_of = (k: Kernel, at: Vpn): number =>
  k.geometry.vmas.findIndex(({ start, pages }) => at >= start && at < start + pages);

/** A row for a new VMA behind row `after`: one that stands for no area and is not in use; NONE when there is none. */
export const spare_vma = (k: Kernel, after = NONE): number =>
  k.geometry.vmas.findIndex(({ pages }, vma) => vma > after && pages === 0 && k.vma.vm_pages[vma] === 0);

/** Make a row what it is while nothing is mapped there. */
function free_vma(k: Kernel, vma: number): void {
  const { start, mm } = k.geometry.vmas[vma];
  const { vm_start, vm_pages, vm_flags, vm_file, vm_pgoff, vm_mm, anon_vma } = k.vma;
  vm_start[vma] = start;
  vm_mm[vma] = mm;
  for (const column of [vm_pages, vm_flags, vm_file, vm_pgoff, anon_vma]) column[vma] = 0;
}

/** Says to lockdep that the locks of a VMA's trees are given back when they were taken: it does not know which VMAs have which. */
export const no_vma_locks = <F>() => [
  lockdep_assert_not_held<F>(i_mmap_rwsem),
  lockdep_assert_not_held<F>(anon_vma_rwsem),
];

/**
 * Cut a VMA in two at a virtual page. The new one is the lower part when `new_below` is 1, else the upper one. Gives 0, or
 * -ENOMEM when there is no room for one more.
 */
export const __split_vma = path(
  "__split_vma",
  {
    source: "mm/mmap.c v4.20",
    args: { vma: int, at: vpn, new_below: int },
    returns: int,
  },
  [
    given((k, f) => k.vma.vm_file[f.vma] !== 0, [down_write(i_mmap_rwsem, (k, f) => k.vma.vm_file[f.vma])]),
    given((k, f) => k.vma.anon_vma[f.vma] !== 0, [down_write(anon_vma_rwsem, () => 0)]),
    // Another process may cut at the same time: room for a VMA is found and taken in one step.
    step("__vma_adjust", (k, f) => {
      const made = spare_vma(k);
      if (made === NONE) {
        f.ret = -ERRNO.ENOMEM;
        return;
      }
      const { vm_start, vm_pages, vm_flags, vm_file, vm_pgoff, vm_mm, anon_vma } = k.vma;
      for (const column of [vm_start, vm_pages, vm_flags, vm_file, vm_pgoff, vm_mm, anon_vma])
        column[made] = column[f.vma];
      const below = f.at - vm_start[f.vma];
      const [lower, upper] = f.new_below === 1 ? [made, f.vma] : [f.vma, made];
      vm_pages[lower] = below;
      vm_start[upper] = f.at;
      vm_pages[upper] -= below;
      vm_pgoff[upper] += below;
    }),
    given((k, f) => k.vma.anon_vma[f.vma] !== 0, [up_write(anon_vma_rwsem, () => 0)]),
    given((k, f) => k.vma.vm_file[f.vma] !== 0, [up_write(i_mmap_rwsem, (k, f) => k.vma.vm_file[f.vma])]),
    ...no_vma_locks(),
  ],
);

/** Take a VMA that has no PTEs any more out of its file's and its anon_vma's trees, and free it. */
const unlink_vma = path(
  "remove_vma",
  { source: "mm/mmap.c v4.20", args: { vma: int }, locals: { file: int, anon: int } },
  [
    local((k, f) => {
      f.file = k.vma.vm_file[f.vma];
      f.anon = k.vma.anon_vma[f.vma];
    }),
    // unlink_anon_vmas and unlink_file_vma are one section here: a VMA without PTEs is of no use to those who find it between.
    given((_, f) => f.file !== 0, [down_write(i_mmap_rwsem, (_, f) => f.file)]),
    given((_, f) => f.anon !== 0, [down_write(anon_vma_rwsem, () => 0)]),
    step("unlink_file_vma", (k, f) => free_vma(k, f.vma)),
    given((_, f) => f.anon !== 0, [up_write(anon_vma_rwsem, () => 0)]),
    given((_, f) => f.file !== 0, [up_write(i_mmap_rwsem, (_, f) => f.file)]),
    ...no_vma_locks(),
  ],
);

/** Unmap the VMAs from `start` to before `end` that are detached, and free them: unmap_region, remove_vma_list. */
export const unmap_region = path(
  "unmap_region",
  {
    source: "mm/mmap.c v4.20",
    args: { mm: int, start: vpn, end: vpn },
    locals: { vma: int, from: vpn, to: vpn },
  },
  [
    under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
    local((k, f) => {
      f.vma = lowest(k, f.mm, f.start, true);
    }),
    repeat(
      (_, f) => f.vma !== NONE,
      [
        local((k, f) => {
          f.from = k.vma.vm_start[f.vma];
          f.to = vm_end(k, f.vma);
        }),
        call(() => unmap_vmas, { vma: "vma", start: "from", end: "to" }),
        local((k, f) => {
          f.vma = lowest(k, f.mm, f.to, true);
        }),
      ],
    ),
    local((k, f) => {
      f.from = 0;
      f.to = 0;
      f.vma = lowest(k, f.mm, f.start, true);
    }),
    repeat(
      (_, f) => f.vma !== NONE,
      [
        call(() => unlink_vma, { vma: "vma" }),
        local((k, f) => {
          f.vma = lowest(k, f.mm, f.start, true);
        }),
      ],
    ),
  ],
);

/** Take VM_LOCKED from every VMA of a range (all of which lie in it as a whole) and munlock its pages. */
export const munlock_range = path(
  "munlock_vma_pages_all",
  {
    source: "mm/mmap.c v4.20",
    args: { mm: int, start: vpn, end: vpn },
    locals: { vma: int, at: vpn },
  },
  [
    local((_, f) => {
      f.at = f.start;
    }),
    repeat(
      (_, f) => f.at < f.end,
      [
        local((k, f) => {
          f.vma = next_vma(k, f.mm, f.at);
          f.at = f.vma === NONE ? f.end : vm_end(k, f.vma);
          if (f.vma !== NONE && k.vma.vm_start[f.vma] >= f.end) f.vma = NONE;
        }),
        given(
          (k, f) => f.vma !== NONE && (k.vma.vm_flags[f.vma] & VM_LOCKED) !== 0,
          [
            held(step("mm->locked_vm", (k, f) => account(k, "mm->locked_vm", f.mm, -k.vma.vm_pages[f.vma]))),
            call(() => munlock_vma_pages_range, { vma: "vma" }),
          ],
        ),
      ],
    ),
  ],
);

/** downgrade_write: from here on others may read too. Where mmap_sem has no words nobody could. */
function downgrade_write(k: Kernel, mm: number): void {
  const words = k.locks[mmap_sem.id];
  if (words !== undefined) words[mm] = 1;
}

/**
 * Unmap a range, with mmap_sem held for writing; `downgrade` 1 leaves it held for reading once the VMAs cannot be found any
 * more. Gives 0 or -ENOMEM.
 */
export const do_munmap = path(
  "__do_munmap",
  {
    source: "mm/mmap.c v4.20",
    args: { mm: int, start: vpn, end: vpn, downgrade: int },
    locals: { vma: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.vma = next_vma(k, f.mm, f.start);
    }),
    given((k, f) => f.vma === NONE || k.vma.vm_start[f.vma] >= f.end, [leave()]),
    given(
      (k, f) => f.start > k.vma.vm_start[f.vma],
      [
        call(() => __split_vma, { vma: "vma", at: "start", new_below: 0 }, "ret"),
        given((_, f) => f.ret !== 0, [leave()]),
      ],
    ),
    local((k, f) => {
      f.vma = f.end > 0 ? find_vma(k, f.end - 1) : NONE;
    }),
    given(
      (k, f) => f.vma !== NONE && k.vma.vm_mm[f.vma] === f.mm && vm_end(k, f.vma) > f.end,
      [
        call(() => __split_vma, { vma: "vma", at: "end", new_below: 1 }, "ret"),
        given((_, f) => f.ret !== 0, [leave()]),
      ],
    ),
    local((_, f) => {
      f.vma = 0;
    }),
    config("mlock", [call(() => munlock_range, { mm: "mm", start: "start", end: "end" })]),
    // Nobody looks for a VMA while mmap_sem is held for writing; rmap walks do not look at the bit.
    held(
      step("detach_vmas_to_be_unmapped", (k, f) => {
        for (let vma = next_vma(k, f.mm, f.start); vma !== NONE; vma = next_vma(k, f.mm, f.start)) {
          if (k.vma.vm_start[vma] >= f.end) break;
          k.vma.vm_flags[vma] |= VM_DETACHED;
        }
      }),
    ),
    // As giving a lock back: it only lets others go on.
    given(
      (_, f) => f.downgrade === 1,
      [held(step("downgrade_write(mm->mmap_sem)", (k, f) => downgrade_write(k, f.mm)))],
    ),
    call(() => unmap_region, { mm: "mm", start: "start", end: "end" }),
  ],
);

/** munmap(2) of `nr` pages from a virtual page on. Gives 0 or -ENOMEM. */
export const munmap = path(
  "munmap",
  { source: "mm/mmap.c v4.20", args: { start: vpn, nr: int }, locals: { mm: int, end: vpn }, returns: int },
  [
    local((k, f) => {
      f.mm = mm_of(k, f.start);
      f.end = f.start + f.nr;
    }),
    down_write(mmap_sem, (_, f) => f.mm),
    call(() => do_munmap, { mm: "mm", start: "start", end: "end", downgrade: 1 }, "ret"),
    up_read(mmap_sem, (_, f) => f.mm),
  ],
);

/** mmap(2) of an area of the geometry, as its VmaSpec says, at its own addresses (MAP_FIXED). Gives 0, -ENOMEM, or -EPERM (F_SEAL_WRITE). */
export const mmap = path(
  "mmap",
  {
    source: "mm/mmap.c v4.20",
    args: { area: int },
    locals: { mm: int, start: vpn, end: vpn, file: int },
    returns: int,
  },
  [
    local((k, f) => {
      const { mm, start, pages, file } = k.geometry.vmas[f.area];
      f.mm = mm;
      f.start = start;
      f.end = start + pages;
      f.file = file;
    }),
    down_write(mmap_sem, (_, f) => f.mm),
    call(() => do_munmap, { mm: "mm", start: "start", end: "end", downgrade: 0 }, "ret"),
    given(
      (_, f) => f.ret === 0,
      [
        given((_, f) => f.file !== 0, [down_write(i_mmap_rwsem, (_, f) => f.file)]),
        // mapping_map_writable comes first; nobody looks at the VMA in between.
        step("vma_link", (k, f) => {
          if ((k.geometry.vmas[f.area].flags & VM_SHARED) !== 0 && writable_denied(k, f.file)) {
            f.ret = -ERRNO.EPERM;
            return;
          }
          const { pages, flags, pgoff } = k.geometry.vmas[f.area];
          k.vma.vm_pages[f.area] = pages;
          k.vma.vm_flags[f.area] = flags;
          k.vma.vm_file[f.area] = f.file;
          k.vma.vm_pgoff[f.area] = pgoff;
        }),
        given((_, f) => f.file !== 0, [up_write(i_mmap_rwsem, (_, f) => f.file)]),
        ...no_vma_locks(),
      ],
    ),
    up_write(mmap_sem, (_, f) => f.mm),
  ],
);
