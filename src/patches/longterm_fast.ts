/**
 * The fast walk takes long-term pins, too.
 *
 * Source: mm/gup.c (get_user_pages_fast, __gup_longterm_unlocked), commit 7af75561e171 (v5.2). It leaves device memory to the slow path, which refuses files on fsdax; what it
 * cannot have otherwise is taken by the slow path with the same flag. No other file is asked for: that came fourteen releases later
 * (longterm-fast-gate).
 *
 * Nobody modelled uses it before RDMA does (umem-pins-fast, v5.6).
 */
import { call, down_read, given, leave, local, up_read } from "../kernel/language.js";
import { mmap_sem } from "../kernel/locks.js";
import { mm_of } from "../kernel/mm/memory.js";
import { is_zone_device_page } from "../kernel/mm/memremap.js";
import { int, type PagesNr, type Pfn, type Vpn } from "../kernel/types.js";
import { before, locals } from "../machine/patch.js";
import { __gup_longterm_locked, FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";

interface Walk {
  readonly write: number;
  readonly page: Pfn;
}
interface Fast {
  readonly start: Vpn;
  readonly nr: number;
  readonly write: number;
  readonly pages: PagesNr;
  at: Vpn;
  got: number;
  rest: number;
  ret: number;
}

const is_longterm = (_: unknown, f: { readonly write: number }): boolean => (f.write & FOLL_LONGTERM) !== 0;

export const longterm_fast: Patch = {
  name: "longterm-fast",
  title: "mm/gup: add FOLL_LONGTERM capability to GUP fast",
  author: "Ira Weiny",
  date: "2019-05",
  commit: "7af75561e171",
  help: "get_user_pages_fast takes long-term pins; it leaves fsdax to the slow path, which refuses it",
  edits: [
    before<Walk>("gup_pte_range", "page_cache_get_speculative", [
      // pte_devmap
      given((k, f) => is_longterm(k, f) && is_zone_device_page(k, f.page), [leave()]),
    ]),
    locals("get_user_pages_fast", { rest: int }),
    before<Fast>("get_user_pages_fast", "down_read(mm->mmap_sem)", [
      given<Fast>(is_longterm, [
        local((_, f) => {
          f.rest = f.nr - f.ret;
        }),
        down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
        call(() => __gup_longterm_locked, { start: "at", nr: "rest", flags: "write", pages: "pages" }, "got"),
        up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
        local((_, f) => {
          f.rest = 0;
          if (f.got > 0) f.ret += f.got;
          else if (f.ret === 0) f.ret = f.got;
        }),
        leave(),
      ]),
    ]),
  ],
};
