/**
 * A pin of an anonymous page that may be shared, for reading, gets a page of the process's own first.
 *
 * Source: mm/gup.c, include/linux/mm.h (gup_must_unshare), mm/memory.c (do_wp_page with FAULT_FLAG_UNSHARE), commits
 * c89357e27f20 and a7f226604170 (v5.19). Read in v6.1.192. follow_page_pte finds a read-only PTE of a page without
 * PG_anon_exclusive, and FOLL_PIN without FOLL_WRITE: -EMLINK, a fault that copies the page (or finds that nobody
 * else has it), and another look. The PTE stays read-only. The fast walk, which has pinned the page by then, drops it
 * and leaves it to the slow path.
 *
 * What it mends: a pin for reading was of a page that the process lost at its next write, and read the other one's
 * bytes from then on.
 *
 * References (FOLL_GET) are as they were: vmsplice keeps the page that it found. Left out: huge pages.
 */
import type { Kernel } from "../kernel/kernel.js";
import { call, check, given, leave, local, path, step, under } from "../kernel/language.js";
import { ptl } from "../kernel/locks.js";
import { FOLL } from "../kernel/mm/gup.js";
import {
  pte_pfn,
  pte_present,
  pte_write,
  replace_by_copy,
  vm_normal_page,
  wp_page_copy,
} from "../kernel/mm/memory.js";
import { get_page } from "../kernel/mm/page.js";
import { VM_FAULT } from "../kernel/operations.js";
import { isAnon } from "../kernel/structs.js";
import { int, NONE, type Pfn, pfn, type Vpn, vpn } from "../kernel/types.js";
import { after, around, before, type Edit, edited, locals, replace } from "../machine/patch.js";
import { anon_exclusive, may_reuse, PageAnonExclusive } from "./anon_exclusive.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";

/** What gup asks of a fault that it cannot do with FAULT_FLAG_WRITE. */
export const FAULT_FLAG_UNSHARE = 0x400;

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
  followed: number;
  unshare: number;
}

/** gup_must_unshare of an anonymous page. */
const gup_must_unshare = (k: Kernel, page: Pfn, flags: number): boolean =>
  (flags & (FOLL.WRITE | FOLL_PIN)) === FOLL_PIN &&
  isAnon(k.page.mapping[page]) &&
  !PageAnonExclusive(k, page);

/**
 * follow_page_pte looks once more, and says -EMLINK instead of taking the page.
 *
 * @param must whether a page that stands in a read-only PTE must become the process's own before it can be pinned
 */
export const unshares_first = (must: (k: Kernel, at: Vpn, page: Pfn, flags: number) => boolean): Edit =>
  around<OnePage>("__get_user_pages", "follow_page_pte", "gup_must_unshare", (act) => (k, f) => {
    const pte = k.pte.entry[f.at];
    if (pte_present(pte) && !pte_write(pte) && must(k, f.at, pte_pfn(pte), f.flags)) f.unshare = 1;
    else act(k, f);
  });

/** wp_page_copy of a page that nobody writes: the PTE stays clean and read-only. */
const wp_page_copy_unshare = edited(
  wp_page_copy,
  replace<Parameters<typeof replace_by_copy>[1]>(wp_page_copy, "ptep_clear_flush_notify", [
    step("ptep_clear_flush_notify", (k, f) => replace_by_copy(k, f, 0)),
  ]),
);

/** What the unsharing of a page comes to. */
export const UNSHARE = { nothing: 0, copy: 1 } as const;

/** do_wp_page with FAULT_FLAG_UNSHARE, by what it makes of the page (NONE: the zero page, device memory). */
export const do_wp_page_unshare = (decide: (k: Kernel, page: Pfn) => number) =>
  path(
    "do_wp_page_unshare",
    {
      source: "mm/memory.c v5.19 (do_wp_page)",
      args: { at: vpn, vma: int, orig_pte: int },
      locals: { page: pfn, wp: int },
      returns: int,
    },
    [
      under(ptl, [
        step("do_wp_page", (k, f) => {
          if (k.pte.entry[f.at] !== f.orig_pte) return;
          f.page = vm_normal_page(k, f.orig_pte);
          f.wp = decide(k, f.page);
          if (f.wp === UNSHARE.copy && f.page !== NONE) get_page(k, f.page);
        }),
      ]),
      given((_, f) => f.wp === UNSHARE.nothing, [leave()]),
      call(() => wp_page_copy_unshare, { at: "at", vma: "vma", orig_pte: "orig_pte", page: "page" }, "ret"),
      // Nothing has been written.
      local((_, f) => {
        f.ret &= ~VM_FAULT.WRITE;
      }),
    ],
  );

/** An anonymous page is found to be the process's own, or copied; there is nothing to do for others. */
const unshare_anonymous = do_wp_page_unshare((k, page) =>
  page === NONE || !isAnon(k.page.mapping[page]) || may_reuse(k, page) ? UNSHARE.nothing : UNSHARE.copy,
);

interface Fault {
  readonly at: Vpn;
  readonly flags: number;
  vma: number;
  orig_pte: number;
  ret: number;
}
interface Fast {
  readonly write: number;
  pte: number;
  readonly page: Pfn;
}

export const unshare_anon: Patch = {
  name: "unshare-anon",
  title: "mm/gup: trigger FAULT_FLAG_UNSHARE when R/O-pinning a possibly shared anonymous page",
  author: "David Hildenbrand",
  date: "2022-05",
  commit: "a7f226604170",
  help: "a pin for reading of an anonymous page that may be shared is of a copy, which the process has from then on",
  needs: [anon_exclusive],
  edits: [
    locals("__get_user_pages", { unshare: int }),
    unshares_first((k, _, page, flags) => gup_must_unshare(k, page, flags)),
    before<OnePage>("__get_user_pages", "handle_mm_fault", [
      local((_, f) => {
        if (f.unshare === 1) f.followed |= FAULT_FLAG_UNSHARE;
        f.unshare = 0;
      }),
    ]),
    after<Fault>("handle_mm_fault", "present:", [
      given(
        (_, f) => (f.flags & FAULT_FLAG_UNSHARE) !== 0 && !pte_write(f.orig_pte),
        [call(() => unshare_anonymous, { at: "at", vma: "vma", orig_pte: "orig_pte" }, "ret"), leave()],
      ),
    ]),
    after<Fast>("gup_pte_range", "pte_val(pte) == pte_val(*ptep)", [
      check("!gup_must_unshare", (k, f) => pte_write(f.pte) || !gup_must_unshare(k, f.page, f.write), "put"),
    ]),
  ],
};
