/**
 * Long-term pins for writing of files whose filesystem tracks dirty pages are refused.
 *
 * Source: mm/gup.c (check_vma_flags, writable_file_mapping_allowed), commit 8ac268436e6d (v6.5): -EFAULT for a shared mapping whose VMA needs dirty tracking, if the caller
 * asks for FOLL_PIN, FOLL_LONGTERM and FOLL_WRITE. The fast walk has a gate of its own (longterm-fast-gate). Memory of tmpfs and hugetlbfs and
 * anonymous memory can be registered as before.
 *
 * What it breaks: virtual machines whose memory is a file on a disk, with VFIO.
 */
import { ERRNO } from "../kernel/errno.js";
import type { Kernel } from "../kernel/kernel.js";
import { given, leave } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import { find_vma } from "../kernel/mm/memory.js";
import { mapping_cap_account_dirty } from "../kernel/operations.js";
import { VM_SHARED } from "../kernel/structs.js";
import { NONE, type Vpn } from "../kernel/types.js";
import { before } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN, pin_user_pages_api } from "./pin_user_pages.js";

/** writable_file_mapping_allowed, with vma_needs_dirty_tracking. */
function writable_file_mapping_allowed(k: Kernel, at: Vpn, flags: number): boolean {
  const all = FOLL_PIN | FOLL_LONGTERM | FOLL.WRITE;
  if ((flags & all) !== all) return true;
  const vma = find_vma(k, at);
  if (vma === NONE) return true;
  const file = k.vma.vm_file[vma];
  if (file === 0 || (k.vma.vm_flags[vma] & VM_SHARED) === 0) return true;
  return !mapping_cap_account_dirty(k, file);
}

export const refuse_longterm_file_write: Patch = {
  name: "refuse-longterm-file-write",
  title: "mm/gup: disallow FOLL_LONGTERM GUP-nonfast writing to file-backed mappings",
  author: "Lorenzo Stoakes",
  date: "2023-05",
  commit: "8ac268436e6d",
  help: "a long-term pin for writing of a file that tracks dirty pages gives -EFAULT",
  needs: [pin_user_pages_api],
  edits: [
    before<{ readonly at: Vpn; readonly flags: number; ret: number }>("__get_user_pages", "retry:", [
      given((k, f) => !writable_file_mapping_allowed(k, f.at, f.flags), [leave(() => -ERRNO.EFAULT)]),
    ]),
  ],
};
