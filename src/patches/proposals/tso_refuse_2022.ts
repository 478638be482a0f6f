/**
 * get_user_pages for writing of pages of files is refused, where the filesystem tracks which pages are dirty.
 *
 * Theodore Ts'o, February 2022, in the thread about syzbot's crash in ext4: as long as get_user_pages with later dirtying breaks the contract between mm and filesystems, it could give
 * -EOPNOTSUPP for file-backed pages by default; a caller that knows what it does would ask for them by a flag. John Hubbard would have called the flag FOLL_FILE, and
 * given it to callers one by one. He had told the microconference in 2018 what comes to the same: that this is not truly supported, and that users should hear so.
 *
 * Here no caller has the flag: all are refused, O_DIRECT reads into a mapped file among them. The slow walk looks at the VMA before it looks for the page: it is a shared mapping
 * that may be written. The fast walk has no VMA and looks at the page once it has its reference, as v6.5 does for long-term pins, and leaves it to the slow one. Memory
 * of tmpfs and hugetlbfs, anonymous memory and private mappings are as before.
 *
 * What it leaves: pages that were got for reading, and by ways other than get_user_pages.
 *
 * What it breaks: whoever reads by O_DIRECT into a mapped file, RDMA into one, ptrace's writes into one.
 */
import { ERRNO } from "../../kernel/errno.js";
import type { Kernel } from "../../kernel/kernel.js";
import { check, given, leave } from "../../kernel/language.js";
import { PageCompound } from "../../kernel/mm/compound.js";
import { FOLL } from "../../kernel/mm/gup.js";
import { find_vma } from "../../kernel/mm/memory.js";
import { mapping_cap_account_dirty } from "../../kernel/operations.js";
import { isAnon, VM_SHARED } from "../../kernel/structs.js";
import { NONE, type Pfn, type Vpn } from "../../kernel/types.js";
import { after, before } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";

/** Whether a virtual page shows a file whose filesystem wants to hear of each write: v6.5's vma_needs_dirty_tracking. */
export function needs_dirty_tracking(k: Kernel, at: Vpn): boolean {
  const vma = find_vma(k, at);
  if (vma === NONE || (k.vma.vm_flags[vma] & VM_SHARED) === 0) return false;
  const file = k.vma.vm_file[vma];
  return file !== 0 && mapping_cap_account_dirty(k, file);
}

/** Whether the fast walk may keep a page that it is to give for writing: a page that has just left its file is not known. */
export function fast_write_allowed(k: Kernel, page: Pfn): boolean {
  if (PageCompound(k, page)) return true;
  const mapping = k.page.mapping[page];
  return mapping !== 0 && (isAnon(mapping) || !mapping_cap_account_dirty(k, mapping));
}

export const tso_refuse_2022: Proposal = {
  name: "tso-refuse-2022",
  ideas: ["A24"],
  title: "get_user_pages of file-backed pages for writing gives -EOPNOTSUPP",
  author: "Theodore Ts'o",
  date: "2022-02",
  commit: null,
  source: "YhlkcYjozFmt3Kl4, 25 February 2022; 688551fd-5622-5674-62c9-3b556a0c73f6",
  help: "get_user_pages for writing of a shared page of a file that tracks dirty pages gives -EOPNOTSUPP, to everybody",
  remarks: [
    {
      who: "John Hubbard",
      date: "2022-02",
      says: "it has to be opt-in, by a flag for callers that have been looked at, and that is a sweep of all call sites",
      source: "688551fd-5622-5674-62c9-3b556a0c73f6",
    },
    {
      who: "John Hubbard",
      date: "2018-12",
      says: "pages of files are not truly supported today, and users can be told so",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
    {
      who: "Lorenzo Stoakes",
      date: "2023-05",
      says: "refuses what is for long and for writing, and nothing else: v6.5 does that much",
      source: "cover.1683067198",
    },
  ],
  edits: [
    before<{ readonly at: Vpn; readonly flags: number; ret: number }>("__get_user_pages", "retry:", [
      given(
        (k, f) => (f.flags & FOLL.WRITE) !== 0 && needs_dirty_tracking(k, f.at),
        [leave(() => -ERRNO.EOPNOTSUPP)],
      ),
    ]),
    after<{ readonly page: Pfn; readonly write: number }>("gup_pte_range", "pte_val(pte) == pte_val(*ptep)", [
      given(
        (_, f) => (f.write & FOLL.WRITE) !== 0,
        [check("fast_write_allowed", (k, f) => fast_write_allowed(k, f.page), "put")],
      ),
    ]),
  ],
};
