/**
 * Long-term pins of pages of the page cache are refused, as v4.20 refuses those of fsdax.
 *
 * Christopher Lameter, 7 February 2019, second point of four: no long-term pins of the page cache, since ordinary filesystems copy on write and do other things that do
 * not go together with them. Jason Gunthorpe, 11 February 2019: the flag says that physical addresses are locked; a filesystem that cannot do that has to fail the call.
 * Linux did so four years later, and for writing only (refuse-longterm-file-write, v6.5): this is the same for kernels before it, for callers of get_user_pages_longterm (FOLL_LONGTERM
 * since v5.2) and for the frame vectors of video capture. Only where a filesystem tracks dirty pages: memory of tmpfs can be registered.
 *
 * -EOPNOTSUPP, as v4.20 gives for fsdax. Before any page is taken: nothing is busy for a moment.
 *
 * What it leaves: everything short, O_DIRECT first of all; callers that hold pages for long and do not say so (AF_XDP, vmsplice).
 */
import { ERRNO } from "../../kernel/errno.js";
import type { Kernel } from "../../kernel/kernel.js";
import { check, given, goto, label, leave, local } from "../../kernel/language.js";
import { FOLL } from "../../kernel/mm/gup.js";
import type { Pfn, Vpn } from "../../kernel/types.js";
import { after, before } from "../../machine/patch.js";
import { FOLL_LONGTERM } from "../longterm_flag.js";
import type { Proposal } from "./proposal.js";
import { fast_write_allowed, needs_dirty_tracking } from "./tso_refuse_2022.js";

const LONGTERM_WRITE = FOLL_LONGTERM | FOLL.WRITE;

interface Range {
  readonly start: Vpn;
  readonly nr: number;
  ret: number;
}

const any_tracked = (k: Kernel, { start, nr }: Range): boolean => {
  for (let at = start; at < start + nr; at++) if (needs_dirty_tracking(k, at)) return true;
  return false;
};

const is_refused = (k: Kernel, f: Range & { readonly flags: number }): boolean =>
  (f.flags & FOLL.WRITE) !== 0 && any_tracked(k, f);

export const lameter_refuse_longterm_2019: Proposal = {
  name: "lameter-refuse-longterm-2019",
  ideas: ["A17", "A24"],
  title: "Discuss least bad options for resolving longterm-GUP usage by RDMA",
  author: "Christopher Lameter",
  date: "2019-02",
  commit: null,
  source: "01000168c8e2de6b-9ab820ed-38ad-469c-b210-60fcff8ea81c-000000@email.amazonses.com",
  help: "a long-term pin for writing of a shared page of a file that tracks dirty pages gives -EOPNOTSUPP on v4.20 too",
  remarks: [
    {
      who: "Ira Weiny",
      date: "2019-02",
      says: "unless the hardware can do without pins (ODP), or something like it",
      source: "reply to Christopher Lameter, linux-rdma, 7 February 2019",
    },
    {
      who: "Jason Gunthorpe",
      date: "2019-02",
      says: "the caller asks that physical addresses be locked, and a filesystem that cannot do that must fail the call",
      source: "reply to John Hubbard, linux-rdma, 11 February 2019",
    },
    {
      who: "David Hildenbrand",
      date: "2023-05",
      says: "virtual machines whose memory is a file on a disk have worked with VFIO, and would do so no more",
      source: "replies to cover.1683067198",
    },
  ],
  edits: [
    before<Range & { readonly flags: number }>("get_user_pages_longterm", "get_user_pages", [
      given((k, f) => is_refused(k, f), [leave(() => -ERRNO.EOPNOTSUPP)]),
    ]),
    // v5.2 and later: a flag, which comes through the fast walk as well.
    before<Range & { readonly flags: number; gup_flags: number }>("__gup_longterm_locked", "get_user_pages", [
      given(
        (k, f) => is_refused(k, f),
        [
          local((_, f) => {
            f.gup_flags = 0;
          }),
          leave(() => -ERRNO.EOPNOTSUPP),
        ],
      ),
    ]),
    after<{ readonly page: Pfn; readonly write: number }>("gup_pte_range", "pte_val(pte) == pte_val(*ptep)", [
      given(
        (_, f) => (f.write & LONGTERM_WRITE) === LONGTERM_WRITE,
        [check("fast_write_allowed", (k, f) => fast_write_allowed(k, f.page), "put")],
      ),
    ]),
    after<Range>("get_vaddr_frames", "down_read(mm->mmap_sem)", [
      given(
        (k, f) => any_tracked(k, f),
        [
          local((_, f) => {
            f.ret = -ERRNO.EOPNOTSUPP;
          }),
          goto("refused"),
        ],
      ),
    ]),
    before<Range>("get_vaddr_frames", "up_read(mm->mmap_sem)", [label("refused")]),
  ],
};
