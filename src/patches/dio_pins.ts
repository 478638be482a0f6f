/**
 * O_DIRECT pins its user's pages.
 *
 * Source: block/bio.c, commit 920756a3306a (v6.3): bio_iov_iter_get_pages, which iomap and block devices use, extracts the pages, which pins those of a
 * user, and the bio remembers it (BIO_PAGE_PINNED). fs/direct-io.c, commit 1ccf164ec866 (v6.5), does the same.
 *
 * With reclaim that asks (keep-private-of-pinned) this ends the article's crash for O_DIRECT.
 */

import type { Kernel } from "../kernel/kernel.js";
import { call, local, path, step } from "../kernel/language.js";
import { get_user_pages_fast } from "../kernel/mm/gup.js";
import { put_page } from "../kernel/mm/swap.js";
import { forget_user_page } from "../kernel/mm/user_pages.js";
import { int, NONE, type PagesNr, type Pfn, pages_nr, vpn } from "../kernel/types.js";
import { struct, u8 } from "../machine/memory.js";
import { type Edit, recall, replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";
import { track_foll_pin, unpin } from "./track_foll_pin.js";

export const bio_flags = struct(
  "bio_flags",
  { BIO_PAGE_PINNED: u8("1 while the bio's pages are pinned") },
  pages_nr.kind,
);

const FAST = {
  source: "mm/gup.c v6.3",
  args: { start: vpn, nr: int, write: int, pages: pages_nr },
  locals: { gup_flags: int },
  returns: int,
} as const;

/** pin_user_pages_fast for a bio, which is marked. */
const pin_user_pages_fast = path("pin_user_pages_fast", FAST, [
  local((k, f) => {
    f.gup_flags = f.write | FOLL_PIN;
    k.of(bio_flags).BIO_PAGE_PINNED[f.pages] = 1;
  }),
  call(() => get_user_pages_fast, { start: "start", nr: "nr", write: "gup_flags", pages: "pages" }, "ret"),
  local((_, f) => {
    f.gup_flags = 0;
  }),
]);

/** bio_release_page: the last page takes the mark with it. */
function bio_release_page(k: Kernel, pages: PagesNr, at: number): void {
  const page = forget_user_page(k, pages, at);
  const { BIO_PAGE_PINNED } = k.of(bio_flags);
  if (BIO_PAGE_PINNED[pages] === 0) put_page(k, page);
  else unpin(k, page);
  if (at === k.user_pages.nr[pages] - 1) BIO_PAGE_PINNED[pages] = 0;
}

interface Walk {
  readonly pages: PagesNr;
  at: number;
  page: Pfn;
}

/** A completion gives pages back as they were taken. */
const releases = (name: string): Edit =>
  replace<Walk>(name, "put_page", [
    step("bio_release_page", (k, f) => {
      bio_release_page(k, f.pages, f.at);
      f.at++;
      f.page = NONE;
    }),
  ]);

export const iomap_dio_pins: Patch = {
  name: "iomap-dio-pins",
  title: "block: Convert bio_iov_iter_get_pages to use iov_iter_extract_pages",
  author: "David Howells",
  date: "2023-01",
  commit: "920756a3306a",
  help: "O_DIRECT through iomap pins its pages and gives them back as such",
  needs: [track_foll_pin],
  tables: [{ struct: bio_flags, rows: (g) => g.dios }],
  edits: [
    recall("iomap_dio_rw", "get_user_pages_fast", () => pin_user_pages_fast),
    // ext4's asynchronous reads go through iomap by now (ext4-iomap-dio).
    recall("io_submit_read", "get_user_pages_fast", () => pin_user_pages_fast),
    releases("bio_check_pages_dirty"),
    releases("bio_dirty_fn"),
    releases("bio_release_pages"),
  ],
};

export const blockdev_dio_pins: Patch = {
  name: "blockdev-dio-pins",
  title: "block: Use iov_iter_extract_pages() and page pinning in direct-io.c",
  author: "David Howells",
  date: "2023-05",
  commit: "1ccf164ec866",
  help: "O_DIRECT through fs/direct-io.c pins its pages, too: no filesystem that is modelled uses it by then",
  needs: [iomap_dio_pins],
  edits: [
    recall("do_blockdev_direct_IO", "get_user_pages_fast", () => pin_user_pages_fast),
    releases("dio_bio_complete"),
  ],
};
