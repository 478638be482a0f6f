/**
 * A fast walk that meets a fork drops what it has pinned, and leaves it to the slow path.
 *
 * Source: mm/gup.c (lockless_pages_from_mm), mm/memory.c (copy_page_range), commit 57efa1fe5957 (v5.11):
 * mm->write_protect_seq is odd while fork copies the PTEs of a private mapping. A walk for pins does not begin then,
 * and unpins everything if the number has changed by its end. The slow path has mmap_sem for reading, which fork has
 * for writing.
 *
 * What it mends: fork asks of a page whether it is pinned, and write-protects its PTE afterwards, both under the page
 * table's lock; the walk, without any lock, read the PTE before and pinned the page in between. The pin had a page
 * that is shared now, and the next write of either process makes a copy.
 *
 * References without FOLL_PIN do not ask.
 */
import type { Kernel } from "../kernel/kernel.js";
import { call, config, given, goto, local, repeat, step } from "../kernel/language.js";
import { is_cow_mapping, mm_of } from "../kernel/mm/memory.js";
import { forget_user_page } from "../kernel/mm/user_pages.js";
import { int, NONE, type PagesNr, type Pfn, pfn, type Vpn } from "../kernel/types.js";
import { struct, u8 } from "../machine/memory.js";
import { after, before, type Edit, locals } from "../machine/patch.js";
import { copy_pinned_at_fork } from "./copy_pinned_at_fork.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN, unpin_user_page } from "./pin_user_pages.js";

const mm_write_protect = struct("mm_write_protect", {
  write_protect_seq: u8("odd while fork write-protects the process's pages"),
});

/** mm->write_protect_seq of whoever owns a virtual page. */
const seq_of = (k: Kernel, at: Vpn): number => k.of(mm_write_protect).write_protect_seq[mm_of(k, at)];

interface Copy {
  readonly vma: number;
  readonly start: Vpn;
}

const seqcount = (name: string) =>
  config<Copy>("mmap", [
    given(
      (k, f) => is_cow_mapping(k.vma.vm_flags[f.vma]),
      [
        step(name, (k, f) => {
          k.of(mm_write_protect).write_protect_seq[mm_of(k, f.start)]++;
        }),
      ],
    ),
  ]);

interface Fast {
  readonly start: Vpn;
  readonly write: number;
  readonly pages: PagesNr;
  at: Vpn;
  ret: number;
  seq: number;
  page: Pfn;
}

/** What read_seqcount_retry leaves in `seq`: a number that is no sequence. */
const RETRY = -1;

/** Unpin the pages that the walk has put at the end of the array, the last one first. */
const unpin_user_pages_lockless = repeat<Fast>(
  (_, f) => f.ret > 0,
  [
    local((k, f) => {
      f.ret--;
      f.page = forget_user_page(k, f.pages, k.user_pages.nr[f.pages] - 1);
      k.user_pages.nr[f.pages]--;
    }),
    call(() => unpin_user_page, { page: "page" }),
    local((_, f) => {
      f.page = NONE;
    }),
  ],
);

/** lockless_pages_from_mm around the walk of one of its callers. */
const lockless_pages_from_mm = (name: string): Edit[] => [
  locals(name, { seq: int, page: pfn }),
  before<Fast>(name, "local_irq_disable:", [
    config("mmap", [
      given(
        (_, f) => (f.write & FOLL_PIN) !== 0,
        [
          step("raw_read_seqcount", (k, f) => {
            f.seq = seq_of(k, f.start);
          }),
          given((_, f) => (f.seq & 1) !== 0, [goto("local_irq_enable")]),
        ],
      ),
    ]),
  ]),
  after<Fast>(name, "local_irq_enable:", [
    config("mmap", [
      given(
        (_, f) => (f.write & FOLL_PIN) !== 0 && f.ret > 0,
        [
          step("read_seqcount_retry", (k, f) => {
            if (seq_of(k, f.start) !== f.seq) f.seq = RETRY;
          }),
          given(
            (_, f) => f.seq === RETRY,
            [
              unpin_user_pages_lockless,
              local((_, f) => {
                f.at = f.start;
              }),
            ],
          ),
        ],
      ),
      local((_, f) => {
        f.seq = 0;
      }),
    ]),
  ]),
];

export const write_protect_seq: Patch = {
  name: "write-protect-seq",
  title: "mm/gup: prevent gup_fast from racing with COW during fork",
  author: "Jason Gunthorpe",
  date: "2020-12",
  commit: "57efa1fe5957",
  help: "a page that the fast walk pins while its process forks is pinned again by the slow path",
  needs: [copy_pinned_at_fork],
  tables: [{ struct: mm_write_protect, rows: (g) => (g.config.has("mmap") ? g.mms : 0) }],
  edits: [
    before<Copy>("copy_page_range", "copy_p4d_range:", [seqcount("raw_write_seqcount_begin")]),
    after<Copy>("copy_page_range", "copied:", [seqcount("raw_write_seqcount_end")]),
    ...lockless_pages_from_mm("get_user_pages_fast"),
    ...lockless_pages_from_mm("__get_user_pages_fast"),
  ],
};
