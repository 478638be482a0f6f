/**
 * A long-term pin of fsdax memory is refused before anything is taken.
 *
 * Source: mm/gup.c (check_vma_flags), commit 52650c8b466b (v5.11). The VMA is looked at when it is found, and no array of VMAs is kept to look at afterwards. Until then the pages
 * were busy for a moment: a truncation that came by had to wait, and pins were counted that nobody had.
 */
import { ERRNO } from "../kernel/errno.js";
import { call, given, leave, local, path } from "../kernel/language.js";
import { get_user_pages } from "../kernel/mm/gup.js";
import { find_vma } from "../kernel/mm/memory.js";
import { vma_is_fsdax } from "../kernel/mm/memremap.js";
import { NONE, type Vpn } from "../kernel/types.js";
import { after, becomes } from "../machine/patch.js";
import { __gup_longterm_locked, FOLL_LONGTERM, GUP_LONGTERM, longterm_flag } from "./longterm_flag.js";
import type { Patch } from "./patch.js";

const takes = path("__gup_longterm_locked", { ...GUP_LONGTERM, source: "mm/gup.c v5.11" }, [
  local((_, f) => {
    f.gup_flags = f.flags | FOLL_LONGTERM;
  }),
  call(() => get_user_pages, { start: "start", nr: "nr", flags: "gup_flags", pages: "pages" }, "ret"),
  local((_, f) => {
    f.gup_flags = 0;
  }),
]);

export const longterm_fsdax_upfront: Patch = {
  name: "longterm-fsdax-upfront",
  title: "mm/gup: remove the vma allocation from gup_longterm_locked()",
  author: "Jason Gunthorpe",
  date: "2020-12",
  commit: "52650c8b466b",
  help: "a long-term pin of fsdax memory is refused before its pages are taken",
  needs: [longterm_flag],
  edits: [
    after<{ readonly at: Vpn; readonly flags: number }>("__get_user_pages", "find_extend_vma:", [
      given(
        (k, f) => {
          const vma = (f.flags & FOLL_LONGTERM) === 0 ? NONE : find_vma(k, f.at);
          return vma !== NONE && vma_is_fsdax(k, vma);
        },
        [leave(() => -ERRNO.EOPNOTSUPP)],
      ),
    ]),
    becomes(__gup_longterm_locked, takes),
  ],
};
