/**
 * Writeback of a pinned page writes a copy: the disk sees bytes that nobody changes, and the sum that goes with them fits.
 *
 * kara-bounce-2018: Matthew Wilcox, 9 July 2018, for fsync: copy the page and write the copy; Jan Kara, 10 July: that is what block/bounce.c does, a bio says that it needs it where the storage needs stable pages. Background
 * writeback skips pinned pages (kara-skip-2018).
 *
 * Kara was not decided whether the page should be dirty for as long as it is pinned. kara-bounce-2018 leaves it clean, as any page that was written. kara-bounce-dirty-2018 marks it dirty again before it gives the page lock away, whatever
 * the storage, so that reclaim leaves the filesystem's buffers alone and fsync always finds it. In February 2023 he proposed that to Christoph Hellwig; Dave Chinner: copy-on-write filesystems must see a page go from clean to dirty, as they
 * reserve its next block then. hellwig-bounce-reserve-2023 is Hellwig's answer to that: the page is dirtied with the reservation that page_mkwrite would make. Here for btrfs, by its own means: the fixup worker, which waits for the block that is
 * being written and reserves the next. (xfs and ext4 need no second reservation in this model: once a page has a block of its own it keeps it.)
 *
 * kara-bounce-2023: patches 4/5 and 5/5 of "Writeback handling of pinned pages", Jan Kara, 9 February 2023. iomap marks a bio (BIO_NEED_PIN_BOUNCE) where the filesystem needs stable pages and the page is pinned while it is added; the block layer
 * copies those pages of it that are pinned when it is submitted. Only filesystems that write through iomap: xfs. With patch 3/5 (kara-skip-2023).
 *
 * What they leave: the copy is made while the device writes, so that it can be a mix of old and new bytes, with a sum that fits; what is written after the copy is on no disk before somebody dirties the page again. A page that was clean when it was pinned for long loses what the device
 * writes as before. Reclaim, invalidation and truncation strip as before.
 *
 * Left out: the memory of the copy (mempool_alloc: it never fails, and waits), pages of one bio of which some are pinned.
 */

import { btrfs_fixup } from "../../kernel/fs/btrfs.js";
import type { Kernel, Table } from "../../kernel/kernel.js";
import { call, given, held, local, path, repeat, step, when } from "../../kernel/language.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { get_page, SetPageChecked } from "../../kernel/mm/page.js";
import { set_page_dirty } from "../../kernel/mm/page_writeback.js";
import { int, type Pfn, pfn } from "../../kernel/types.js";
import { struct, u8, u16 } from "../../machine/memory.js";
import { around, before, type Edit } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import type { Cost, Proposal } from "./proposal.js";
import { kara_skip_2018, kara_skip_2023 } from "./skip_pinned.js";
import { page_dma_pinned } from "./tracking.js";

interface HasPage {
  readonly page: Pfn;
}

/** The bio of a page that is being written. */
export const bounce_bio = struct("bounce_bio", {
  BIO_NEED_PIN_BOUNCE: u8("1 while the bio is marked: its pages are copied if they are pinned"),
  BIO_BOUNCED: u8("1 while the page is written from a copy"),
});
const bounce_page = struct("bounce_page", {
  version: u16("of the copy of a part of a page"),
});

const tables: readonly Table[] = [
  { struct: bounce_bio, rows: (g) => g.pages },
  { struct: bounce_page, rows: (g) => g.pages * g.parts },
];

/** Copy a page that is under writeback, part by part, as a CPU does while a device writes. */
const __blk_queue_bounce = path(
  "__blk_queue_bounce",
  { source: "block/bounce.c v4.20", args: { page: pfn }, locals: { part: int } },
  [
    repeat(
      (k, f) => f.part < k.geometry.parts,
      [
        step("memcpy", (k, f) => {
          const at = f.page * k.geometry.parts + f.part;
          k.of(bounce_page).version[at] = k.content.version[at];
          f.part++;
        }),
      ],
    ),
    local((k, f) => {
      k.of(bounce_bio).BIO_BOUNCED[f.page] = 1;
      f.part = 0;
    }),
  ],
);

/** Exchange what is in a page with what is in its copy. */
function exchange(k: Kernel, page: Pfn): void {
  const { version } = k.of(bounce_page);
  for (let at = page * k.geometry.parts; at < (page + 1) * k.geometry.parts; at++) {
    const now = k.content.version[at];
    k.content.version[at] = version[at];
    version[at] = now;
  }
}

/** A step that looks at the bio's bytes looks at the copy, if there is one. */
const sees_copy = (name: string, anchor: string): Edit =>
  around<HasPage>(name, anchor, "bounce", (act) => (k: Kernel, f) => {
    const { page } = f;
    if (k.of(bounce_bio).BIO_BOUNCED[page] === 0) {
      act(k, f);
      return;
    }
    exchange(k, page);
    act(k, f);
    exchange(k, page);
  });

/** Where each filesystem submits a page that it writes, and where it gives the page lock away before. */
const SUBMIT = {
  ext4: { path: "ext4_bio_write_page", submit: "ext4_io_submit", unlock: "unlock_page" },
  xfs: { path: "xfs_do_writepage", submit: "xfs_submit_ioend", unlock: "unlock_page#2" },
  btrfs: { path: "__extent_writepage", submit: "submit_extent_page", unlock: "unlock_page#3" },
} as const;
type Fs = keyof typeof SUBMIT;

const copy = (): Node<Kernel, HasPage> => call(() => __blk_queue_bounce, { page: "page" });

/** The disk reads the copy, and forgets it. */
const on_disk: readonly Edit[] = [
  sees_copy("disk", "transfer"),
  before<HasPage>("disk", "bi_end_io", [
    given(
      (k, f) => k.of(bounce_bio).BIO_BOUNCED[f.page] === 1,
      [
        step("bounce_end_io_write", (k, f) => {
          const { parts } = k.geometry;
          k.of(bounce_bio).BIO_BOUNCED[f.page] = 0;
          k.of(bounce_page).version.fill(0, f.page * parts, (f.page + 1) * parts);
        }),
      ],
    ),
  ]),
];

const stable_writes = (k: Kernel, { page }: HasPage): boolean =>
  k.inode.stable_writes[page_mapping(k, page)] === 1;

/** A filesystem's page is copied when it is submitted, if its storage needs stable pages and it is pinned then. */
const bounces = (fs: Fs): readonly Edit[] => {
  const { path: name, submit } = SUBMIT[fs];
  return [
    before<HasPage>(name, submit, [
      given(stable_writes, [when("PageDmaPinned", (k, f) => page_dma_pinned(k, f.page), [copy()])]),
    ]),
    sees_copy(name, submit),
  ];
};

const ALL: readonly Fs[] = ["ext4", "xfs", "btrfs"];

const costs: readonly Cost[] = [
  {
    step: "__blk_queue_bounce/memcpy",
    ns: 779,
    source:
      "Christoph Hellwig, 26 January 2026: O_DIRECT writes of 4 KiB, 882 MiB/s without and 750 MiB/s with a copy (reads: 645 ns)",
  },
];

const needs_stable = {
  who: "Jan Kara",
  date: "2018-07",
  says: "it looks appealing now that waiting has such troubles; a bio needs a flag for it",
  source: "20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz",
} as const;

export const kara_bounce_2018: Proposal = {
  name: "kara-bounce-2018",
  ideas: ["A12"],
  title: "mm/fs: put_user_page() proposal",
  author: "Jan Kara",
  date: "2018-07",
  commit: null,
  source: "20180709200049.GA5335@bombadil.infradead.org, 20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz",
  help: "fsync writes a copy of a pinned page where the disk needs pages to be stable; background writeback skips it",
  needs: [kara_skip_2018],
  remarks: [
    {
      who: "Matthew Wilcox",
      date: "2018-07",
      says: "copy what is in the page now and write that; it is fine as long as the page is dirtied again when the pin is dropped",
      source: "20180709200049.GA5335@bombadil.infradead.org",
    },
    needs_stable,
  ],
  costs,
  tables,
  edits: [...ALL.flatMap(bounces), ...on_disk],
};

/** A pinned page that is about to be written is dirty again before its lock is given away. */
const stays_dirty = (fs: Fs, more: readonly Node<Kernel, HasPage>[] = []): Edit =>
  before<HasPage>(SUBMIT[fs].path, SUBMIT[fs].unlock, [
    when("PageDmaPinned", (k, f) => page_dma_pinned(k, f.page), [
      call(() => set_page_dirty, { page: "page" }),
      ...more,
    ]),
  ]);

export const kara_bounce_dirty_2018: Proposal = {
  name: "kara-bounce-dirty-2018",
  ideas: ["A12"],
  title: "mm/fs: put_user_page() proposal",
  author: "Jan Kara",
  date: "2018-07",
  commit: null,
  source: "20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz",
  help: "a page is dirty for as long as it is pinned, although fsync has written it",
  needs: [kara_bounce_2018],
  remarks: [
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "then reclaim does not free what the filesystem keeps on the page, and nobody is surprised when it is unpinned; but fsync always writes it, and the flusher always looks at it",
      source: "20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz",
    },
    {
      who: "Dave Chinner",
      date: "2023-02",
      says: "copy-on-write and delayed allocation need the change from clean to dirty: they reserve space then",
      source: "20230215045952.GF2825702@dread.disaster.area",
    },
  ],
  edits: ALL.map((fs) => stays_dirty(fs)),
};

export const hellwig_bounce_reserve_2023: Proposal = {
  name: "hellwig-bounce-reserve-2023",
  ideas: ["A12"],
  title: "Re: [PATCH 4/5] block: Add support for bouncing pinned pages",
  author: "Christoph Hellwig",
  date: "2023-02",
  commit: null,
  source: "Y+x6oQkLex8PbfgL@infradead.org",
  help: "a pinned page that fsync writes is dirty again at once, with the reservation that page_mkwrite would have made",
  needs: [kara_bounce_2018],
  remarks: [
    {
      who: "Christoph Hellwig",
      date: "2023-02",
      says: "the page can be dirtied again with the steps that reserve space, but that is new code",
      source: "Y+x6oQkLex8PbfgL@infradead.org",
    },
  ],
  edits: [
    stays_dirty("ext4"),
    stays_dirty("xfs"),
    stays_dirty("btrfs", [
      held(
        step("btrfs_queue_work", (k, f) => {
          const { queued } = k.of(btrfs_fixup);
          if (queued[f.page] === 1) return;
          SetPageChecked(k, f.page);
          get_page(k, f.page);
          queued[f.page] = 1;
        }),
      ),
    ]),
  ],
};

export const kara_bounce_2023: Proposal = {
  name: "kara-bounce-2023",
  ideas: ["A12"],
  title: "block: Add support for bouncing pinned pages; iomap: Bounce pinned pages during writeback",
  author: "Jan Kara",
  date: "2023-02",
  commit: null,
  source: "20230209123206.3548-4-jack@suse.cz, 20230209123206.3548-5-jack@suse.cz",
  help: "iomap asks the block layer to copy pinned pages that it writes, where the filesystem needs pages to be stable",
  needs: [kara_skip_2023],
  remarks: [
    {
      who: "Christoph Hellwig",
      date: "2023-02",
      says: "the block layer should lose its bounce buffers and not gain users, and a copy there passes the filesystem's accounting by",
      source: "Y+oKAB/epmJNyDbQ@infradead.org",
    },
    {
      who: "Dave Chinner",
      date: "2023-02",
      says: "each write of a copy-on-write filesystem needs space that was reserved when the page went from clean to dirty",
      source: "20230215045952.GF2825702@dread.disaster.area",
    },
  ],
  costs,
  tables,
  edits: [
    before<HasPage>(SUBMIT.xfs.path, SUBMIT.xfs.unlock, [
      given(stable_writes, [
        step("BIO_NEED_PIN_BOUNCE", (k, f) => {
          if (page_dma_pinned(k, f.page)) k.of(bounce_bio).BIO_NEED_PIN_BOUNCE[f.page] = 1;
        }),
      ]),
    ]),
    before<HasPage>(SUBMIT.xfs.path, SUBMIT.xfs.submit, [
      given(
        (k, f) => k.of(bounce_bio).BIO_NEED_PIN_BOUNCE[f.page] === 1,
        [
          local((k, f) => {
            k.of(bounce_bio).BIO_NEED_PIN_BOUNCE[f.page] = 0;
          }),
          when("page_maybe_dma_pinned", (k, f) => page_dma_pinned(k, f.page), [copy()]),
        ],
      ),
    ]),
    sees_copy(SUBMIT.xfs.path, SUBMIT.xfs.submit),
    ...on_disk,
  ],
};
