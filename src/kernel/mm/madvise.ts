/**
 * madvise: what a process says of its memory, as far as it changes what a device or a child sees.
 *
 * Source: mm/madvise.c in v4.20. MADV_DONTNEED takes away the PTEs of a range: anonymous memory reads as zeroes afterwards, while a
 * device that holds the old page writes on into it. MADV_DONTFORK keeps a range out of children: how users of RDMA keep fork from taking their
 * buffers away.
 *
 * Left out: every other advice, huge pages, userfaultfd.
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  down_read,
  down_write,
  given,
  held,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  up_read,
  up_write,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import {
  VM_DONTCOPY,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_PFNMAP,
  VM_SHARED,
  VM_WIPEONFORK,
} from "../structs.js";
import { int, NONE, type Vpn, vpn } from "../types.js";
import { mm_of } from "./memory.js";
import { __split_vma, next_vma } from "./mmap.js";
import { zap_page_range } from "./zap.js";

/** MADV_*: the advice that is modelled, Linux's numbers. */
export const MADV = { DONTNEED: 4, DONTFORK: 10, DOFORK: 11, WIPEONFORK: 18, KEEPONFORK: 19 } as const;

/** madvise_behavior_valid */
const is_valid = (behavior: number): boolean => Object.values<number>(MADV).includes(behavior);

/** vm_flags after an advice, or -EINVAL: the switch of madvise_behavior. */
function advised(k: Kernel, vma: number, behavior: number): number {
  const flags = k.vma.vm_flags[vma];
  switch (behavior) {
    case MADV.DONTFORK:
      return flags | VM_DONTCOPY;
    case MADV.DOFORK:
      return (flags & VM_IO) !== 0 ? -ERRNO.EINVAL : flags & ~VM_DONTCOPY;
    case MADV.WIPEONFORK:
      return k.vma.vm_file[vma] !== 0 || (flags & VM_SHARED) !== 0 ? -ERRNO.EINVAL : flags | VM_WIPEONFORK;
    case MADV.KEEPONFORK:
      return flags & ~VM_WIPEONFORK;
    default:
      return -ERRNO.EINVAL;
  }
}

/** Change the flags of one VMA or a part of it. Gives 0, -EINVAL or -ENOMEM. */
const madvise_behavior = path(
  "madvise_behavior",
  {
    source: "mm/madvise.c v4.20",
    args: { vma: int, start: vpn, end: vpn, behavior: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.ret = Math.min(0, advised(k, f.vma, f.behavior));
    }),
    given((k, f) => f.ret !== 0 || advised(k, f.vma, f.behavior) === k.vma.vm_flags[f.vma], [leave()]),
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
        step("vma->vm_flags", (k, f) => {
          k.vma.vm_flags[f.vma] = advised(k, f.vma, f.behavior);
        }),
      ],
    ),
  ],
);

/** madvise_dontneed_free for MADV_DONTNEED: mapped pages go, unless the VMA wants to keep them. */
const madvise_dontneed = path(
  "madvise_dontneed_free",
  { source: "mm/madvise.c v4.20", args: { vma: int, start: vpn, end: vpn }, returns: int },
  [
    given(
      (k, f) => (k.vma.vm_flags[f.vma] & (VM_LOCKED | VM_HUGETLB | VM_PFNMAP)) !== 0,
      [leave(() => -ERRNO.EINVAL)],
    ),
    call(() => zap_page_range, { vma: "vma", start: "start", end: "end" }),
  ],
);

/** The next VMA of a range: where in it the advice begins and ends. */
function next_part(
  k: Kernel,
  f: { start: Vpn; at: Vpn; end: Vpn; tmp: Vpn; vma: number; unmapped: number },
): void {
  f.vma = next_vma(k, mm_of(k, f.start), f.at);
  if (f.vma === NONE || k.vma.vm_start[f.vma] >= f.end) {
    f.unmapped = 1;
    f.vma = NONE;
    return;
  }
  if (k.vma.vm_start[f.vma] > f.at) {
    f.unmapped = 1;
    f.at = k.vma.vm_start[f.vma];
  }
  f.tmp = Math.min(k.vma.vm_start[f.vma] + k.vma.vm_pages[f.vma], f.end);
}

/** Advise one VMA, or a part of it. */
const madvise_vma = path(
  "madvise_vma",
  {
    source: "mm/madvise.c v4.20",
    args: { vma: int, start: vpn, end: vpn, behavior: int },
    returns: int,
  },
  [
    label("switch (behavior)"),
    given(
      (_, f) => f.behavior === MADV.DONTNEED,
      [call(() => madvise_dontneed, { vma: "vma", start: "start", end: "end" }, "ret")],
      [call(() => madvise_behavior, { vma: "vma", start: "start", end: "end", behavior: "behavior" }, "ret")],
    ),
  ],
);

/**
 * madvise(2) of `nr` pages from a virtual page on. Holes in the range are passed over and make it -ENOMEM in the end. Gives 0,
 * -EINVAL or -ENOMEM.
 */
export const madvise = path(
  "madvise",
  {
    source: "mm/madvise.c v4.20",
    args: { start: vpn, nr: int, behavior: int },
    locals: { at: vpn, end: vpn, tmp: vpn, vma: int, unmapped: int, write: int },
    returns: int,
  },
  [
    held(
      step("madvise_behavior_valid", (_, f) => {
        f.ret = is_valid(f.behavior) ? 0 : -ERRNO.EINVAL;
      }),
    ),
    given((_, f) => f.ret !== 0, [leave()]),
    given((_, f) => f.nr === 0, [leave(() => 0)]),
    local((_, f) => {
      f.at = f.start;
      f.end = f.start + f.nr;
    }),
    held(
      step("madvise_need_mmap_write", (_, f) => {
        f.write = f.behavior === MADV.DONTNEED ? 0 : 1;
      }),
    ),
    given(
      (_, f) => f.write === 0,
      [down_read(mmap_sem, (k, f) => mm_of(k, f.start))],
      [down_write(mmap_sem, (k, f) => mm_of(k, f.start))],
    ),
    repeat(
      (_, f) => f.ret === 0 && f.at < f.end,
      [
        local((k, f) => next_part(k, f)),
        given(
          (_, f) => f.vma === NONE,
          [
            local((_, f) => {
              f.tmp = f.end;
            }),
          ],
          [call(() => madvise_vma, { vma: "vma", start: "at", end: "tmp", behavior: "behavior" }, "ret")],
        ),
        local((_, f) => {
          f.at = f.tmp;
        }),
      ],
    ),
    local((_, f) => {
      if (f.ret === 0 && f.unmapped === 1) f.ret = -ERRNO.ENOMEM;
    }),
    given(
      (_, f) => f.write === 0,
      [up_read(mmap_sem, (k, f) => mm_of(k, f.start))],
      [up_write(mmap_sem, (k, f) => mm_of(k, f.start))],
    ),
  ],
);
