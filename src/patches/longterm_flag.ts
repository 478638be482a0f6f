/**
 * Long-term pins are a flag, FOLL_LONGTERM, and no longer a function of their own.
 *
 * Source: mm/gup.c (__gup_longterm_locked), commit 932f4a630a69 (v5.2). get_user_pages(FOLL_LONGTERM) does what get_user_pages_longterm did: it takes the pages, looks at
 * their VMAs, and puts them again where one shows a file on fsdax. The flag goes down to the single page from here on, and every later rule about
 * long-term pins asks for it there.
 *
 * No outcome changes, here and in put_user_page (commit fc1d8e7cca2d, v5.2), which is put_page under another name and has no step here.
 *
 * Left out: pages of CMA regions, which a long-term pin moves away since v5.1. Those of ZONE_MOVABLE stay where they
 * are until v5.13 (longterm-migrates-movable).
 */
import { call, local, path } from "../kernel/language.js";
import { get_user_pages, get_user_pages_longterm, refuse_fsdax } from "../kernel/mm/gup.js";
import { int, pages_nr, vpn } from "../kernel/types.js";
import { becomes } from "../machine/patch.js";
import type { Patch } from "./patch.js";

/**
 * Not the kernel's number (0x10000 in v5.2): a word of a path's frame has fifteen bits, and this one is of a flag that is not modelled
 * (FOLL_MIGRATION).
 */
export const FOLL_LONGTERM = 0x400;

export const GUP_LONGTERM = {
  source: "mm/gup.c v5.2",
  args: { start: vpn, nr: int, flags: int, pages: pages_nr },
  locals: { at: int, gup_flags: int },
  returns: int,
} as const;

/** get_user_pages with FOLL_LONGTERM: the callers pass it, who called another function before. mmap_sem is the caller's. */
export const __gup_longterm_locked = path("__gup_longterm_locked", GUP_LONGTERM, [
  local((_, f) => {
    f.gup_flags = f.flags | FOLL_LONGTERM;
  }),
  call(() => get_user_pages, { start: "start", nr: "nr", flags: "gup_flags", pages: "pages" }, "ret"),
  local((_, f) => {
    f.gup_flags = 0;
  }),
  refuse_fsdax(),
]);

export const longterm_flag: Patch = {
  name: "longterm-flag",
  title: "mm/gup: replace get_user_pages_longterm() with FOLL_LONGTERM",
  author: "Ira Weiny",
  date: "2019-05",
  commit: "932f4a630a69",
  help: "get_user_pages is told of long-term pins by a flag; nothing else changes",
  edits: [becomes(get_user_pages_longterm, __gup_longterm_locked)],
};
