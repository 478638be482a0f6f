/**
 * get_user_pages checks what it is asked for: flags that are its own, and flags that exclude each other.
 *
 * Source: mm/gup.c (is_valid_gup_args), commit d64e2dbc33a1 (v6.3). The rules stood in several functions before, and not all of them in each. A call that breaks one is
 * warned about and gives -EINVAL; pin_user_pages and pin_user_pages_remote give 0 pages. No caller that is modelled breaks a rule: no outcome changes.
 *
 * Left out: the functions that take plain references, which here are also called by those that pin; FOLL_GET and FOLL_UNLOCKABLE of the paths themselves, which every
 * one of them is taken to have.
 */
import { ERRNO } from "../kernel/errno.js";
import type { Kernel } from "../kernel/kernel.js";
import { call, given, leave, local, path } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import { int, NONE, type PagesNr, pages_nr } from "../kernel/types.js";
import { type AnyPath, before, type Edit } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import {
  FOLL_PIN,
  pin_user_pages,
  pin_user_pages_api,
  pin_user_pages_fast,
  pin_user_pages_remote,
} from "./pin_user_pages.js";

/**
 * Flags that only this check speaks of. TOUCH and GET have v4.20's numbers; the others, which are later ones, have those of flags that are not
 * modelled (FOLL_NOWAIT, FOLL_POPULATE, FOLL_SPLIT).
 */
export const FOLL_TOUCH = 0x2;
export const FOLL_GET = 0x4;
export const FOLL_FAST_ONLY = 0x20;
export const FOLL_UNLOCKABLE = 0x40;
export const FOLL_PCI_P2PDMA = 0x80;

/** INTERNAL_GUP_FLAGS: not for callers. */
const INTERNAL_GUP_FLAGS =
  FOLL_TOUCH | FOLL.TRIED | FOLL.REMOTE | FOLL_PIN | FOLL_FAST_ONLY | FOLL_UNLOCKABLE;

/** `locked` of a call that passes no pointer. */
export const LOCKED_NULL = -1;

interface Asked {
  readonly flags: number;
  readonly to_set: number;
  readonly pages: PagesNr;
  readonly locked: number;
}

/** The first rule that a call breaks, as WARN_ON_ONCE prints it; null for a valid one. */
function broken(_: Kernel, { flags, to_set, pages, locked }: Asked): string | null {
  const all = flags | to_set;
  const has = (bits: number): boolean => (all & bits) === bits;
  if ((flags & INTERNAL_GUP_FLAGS) !== 0) return "gup_flags & INTERNAL_GUP_FLAGS";
  if (locked !== LOCKED_NULL && locked !== 1) return "*locked != 1";
  if (has(FOLL_PIN | FOLL_GET)) return "FOLL_PIN and FOLL_GET";
  if (has(FOLL_LONGTERM) && !has(FOLL_PIN)) return "FOLL_LONGTERM without FOLL_PIN";
  if ((all & (FOLL_GET | FOLL_PIN)) !== 0 && pages === NONE) return "FOLL_GET or FOLL_PIN, and !pages";
  return has(FOLL_LONGTERM | FOLL_PCI_P2PDMA) ? "FOLL_LONGTERM and FOLL_PCI_P2PDMA" : null;
}

/** Gives the flags that a call goes on with, or -EINVAL. */
export const is_valid_gup_args = path(
  "is_valid_gup_args",
  {
    source: "mm/gup.c v6.3",
    args: { flags: int, to_set: int, pages: pages_nr, locked: int },
    returns: int,
  },
  [
    leave((k, f) => {
      const rule = broken(k, f);
      if (!k.tested(rule !== null, "is_valid_gup_args: WARN_ON_ONCE(invalid flags)", NONE))
        return f.flags | f.to_set | (f.locked === LOCKED_NULL ? 0 : FOLL_UNLOCKABLE);
      const message = `is_valid_gup_args: WARN_ON_ONCE(${rule})`;
      if (!k.faults.some((fault) => fault.message === message)) k.fault("WARN", message, NONE);
      return -ERRNO.EINVAL;
    }),
  ],
);

interface Pins {
  readonly flags: number;
  readonly pages: PagesNr;
  gup_flags: number;
  ret: number;
}

/** A function that pins checks what it was asked for; `refused` is what it gives when that is not valid. */
const checks = (of: AnyPath | string, callee: string, to_set: number, refused: number): Edit =>
  before<Pins>(of, callee, [
    // FOLL_REMOTE is said by the callers here, as one path is two functions of the kernel.
    local((_, f) => {
      f.gup_flags = f.flags & ~(to_set & FOLL.REMOTE);
    }),
    call<Pins, typeof is_valid_gup_args.args>(
      () => is_valid_gup_args,
      { flags: "gup_flags", to_set, pages: "pages", locked: LOCKED_NULL },
      "ret",
    ),
    given(
      (_, f) => f.ret < 0,
      [
        local((_, f) => {
          f.gup_flags = 0;
        }),
        leave(() => refused),
      ],
    ),
    local((_, f) => {
      f.gup_flags = f.flags | (to_set & (FOLL_PIN | FOLL_LONGTERM));
      f.ret = 0;
    }),
  ]);

export const valid_gup_args: Patch = {
  name: "valid-gup-args",
  title: "mm/gup: simplify the external interface functions and consolidate invariants",
  author: "Jason Gunthorpe",
  date: "2023-01",
  commit: "d64e2dbc33a1",
  help: "get_user_pages refuses flags that are its own or exclude each other; nobody passes them",
  needs: [pin_user_pages_api],
  edits: [
    checks(pin_user_pages, "get_user_pages_longterm", FOLL_PIN | FOLL_LONGTERM, 0),
    checks(pin_user_pages_remote, "get_user_pages_locked", FOLL_PIN | FOLL_TOUCH | FOLL.REMOTE, 0),
    checks(pin_user_pages_fast, "get_user_pages_fast", FOLL_PIN, -ERRNO.EINVAL),
  ],
};
