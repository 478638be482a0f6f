/**
 * gup_benchmark: a file in debugfs that takes pages and puts them again, to measure both.
 *
 * Source: mm/gup_benchmark.c in v4.20 (CONFIG_GUP_BENCHMARK), the ancestor of mm/gup_test.c.
 * Acquire: one of three functions, so many pages a call, until the range is through, a call takes fewer than it was asked for, or takes
 * none.
 * Dirty: never; there is no device either.
 * Release: put_page of what stands in the array, up to the first NULL.
 *
 * Three things are as in v4.20 although they are wrong. get_user_pages and get_user_pages_longterm are called without mmap_sem: machines on
 * which VMAs come and go should ask for the fast one only, as what a VMA's end does to the others (its vm_area_struct is used after it was
 * freed) is left out; lockdep does not follow them. What get_user_pages_longterm has put itself, because the file is on fsdax,
 * stands in the array still and is put again. A call that was short counts as a whole one in the size that is written back.
 *
 * Left out: the times (gup->get_delta_usec, put_delta_usec), -ENOMEM for the array, -EFAULT for the argument itself, a negative
 * number of pages a call.
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { call, given, goto, label, leave, local, path, repeat } from "../language.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";
import { get_user_pages, get_user_pages_fast, get_user_pages_longterm_stale } from "./gup.js";
import { put_pages } from "./user_pages.js";

/** The ioctl's commands, by their numbers. */
export const GUP_BENCHMARK = { FAST: 1, LONGTERM: 2, SLOW: 3 } as const;

const IOCTL = {
  source: "mm/gup_benchmark.c v4.20",
  args: { start: vpn, size: int, per_call: int, cmd: int, write: int, pages: pages_nr },
  locals: { at: vpn, next: vpn, nr: int, got: int, page: pfn },
  returns: int,
} as const;

type Frame = FrameOf<typeof IOCTL>;

const range = { start: "at", nr: "nr", pages: "pages" } as const;

/**
 * The ioctl: `size` pages from a virtual address on, `per_call` at a time, for writing if `write` is 1. Gives the size that is written
 * back, in pages, or -EINVAL.
 */
export const gup_benchmark_ioctl = path("gup_benchmark_ioctl", IOCTL, [
  given(
    (_, f) => !Object.values<number>(GUP_BENCHMARK).includes(f.cmd),
    [leave((k, f) => k.refused(`GUP_BENCHMARK ${f.cmd}`, -ERRNO.EINVAL, NONE))],
  ),
  local((_, f) => {
    f.at = f.start;
    f.nr = f.per_call;
  }),
  repeat(
    (_, f) => f.at < f.start + f.size && f.nr === f.per_call,
    [
      local((_, f) => {
        f.next = f.at + f.nr;
        if (f.next <= f.start + f.size) return;
        f.next = f.start + f.size;
        f.nr = f.next - f.at;
      }),
      given<Frame>(
        (_, f) => f.cmd === GUP_BENCHMARK.FAST,
        [call(() => get_user_pages_fast, { ...range, write: "write" }, "got")],
      ),
      given<Frame>(
        (_, f) => f.cmd === GUP_BENCHMARK.LONGTERM,
        [call(() => get_user_pages_longterm_stale, { ...range, flags: "write" }, "got")],
      ),
      given<Frame>(
        (_, f) => f.cmd === GUP_BENCHMARK.SLOW,
        [call(() => get_user_pages, { ...range, flags: "write" }, "got")],
      ),
      local((_, f) => {
        f.nr = f.got;
        f.got = 0;
      }),
      given((_, f) => f.nr <= 0, [goto("break")]),
      local((_, f) => {
        f.at = f.next;
      }),
    ],
  ),
  label("break"),
  local((_, f) => {
    f.ret = f.at - f.start;
    f.at = 0;
    f.next = 0;
    f.nr = 0;
  }),
  ...put_pages<Frame>([]),
]);
