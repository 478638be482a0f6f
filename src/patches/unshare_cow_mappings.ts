/**
 * A long-term pin for reading makes the copy that a private mapping would make at its first write.
 *
 * Source: mm/internal.h (gup_must_unshare), mm/memory.c (do_wp_page, sanitize_fault_flags), commits 8d6a0ac09a16 and
 * 84209e87c696 (v6.2). Read in v6.12. With FOLL_LONGTERM a page of a file, or the zero page, that a private mapping
 * shows must be unshared as an anonymous page that is shared. The fast walk does not know the mapping, and leaves
 * every such page that is not anonymous to the slow path.
 *
 * What it mends: such a pin was of the file's page, or of the zero page, and never saw what the process wrote
 * afterwards. Its users had asked for FOLL_FORCE and FOLL_WRITE therefore, which no longer need to (umem-no-force).
 *
 * A short-term pin takes what it finds. Left out: private mappings of hugetlbfs (hugetlb_wp).
 */
import type { Kernel } from "../kernel/kernel.js";
import { given, goto } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import { find_vma, is_cow_mapping, pte_write } from "../kernel/mm/memory.js";
import { isAnon, VM_HUGETLB } from "../kernel/structs.js";
import { NONE, type Pfn, type Vpn } from "../kernel/types.js";
import { after, recall } from "../machine/patch.js";
import { may_reuse } from "./anon_exclusive.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";
import { do_wp_page_unshare, UNSHARE, unshare_anon, unshares_first } from "./unshare_anon.js";

/** Whether a pin is one for reading, and for long. */
const reads_longterm = (flags: number): boolean =>
  (flags & (FOLL.WRITE | FOLL_PIN | FOLL_LONGTERM)) === (FOLL_PIN | FOLL_LONGTERM);

const is_cow = (k: Kernel, at: Vpn): boolean => {
  const vma = find_vma(k, at);
  const flags = vma === NONE ? 0 : k.vma.vm_flags[vma];
  return is_cow_mapping(flags) && (flags & VM_HUGETLB) === 0;
};

const unshare_any = do_wp_page_unshare((k, page) =>
  page !== NONE && may_reuse(k, page) ? UNSHARE.nothing : UNSHARE.copy,
);

interface Fast {
  readonly write: number;
  pte: number;
  readonly page: Pfn;
}

export const unshare_cow_mappings: Patch = {
  name: "unshare-cow-mappings",
  title: "mm/gup: reliable R/O long-term pinning in COW mappings",
  author: "David Hildenbrand",
  date: "2022-11",
  commit: "84209e87c696",
  help: "a long-term pin for reading of a private mapping is of a copy, not of the file's page or the zero page",
  needs: [unshare_anon],
  edits: [
    unshares_first(
      (k, at, page, flags) => reads_longterm(flags) && !isAnon(k.page.mapping[page]) && is_cow(k, at),
    ),
    recall("handle_mm_fault", "do_wp_page_unshare", () => unshare_any),
    after<Fast>("gup_pte_range", "!gup_must_unshare", [
      given(
        (k, f) => !pte_write(f.pte) && reads_longterm(f.write) && !isAnon(k.page.mapping[f.page]),
        [goto("put")],
      ),
    ]),
  ],
};
