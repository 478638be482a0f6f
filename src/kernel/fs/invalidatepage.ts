/**
 * What truncation does to a page's buffers before it takes the page out of the file.
 *
 * Source: fs/buffer.c in v4.20 (block_invalidatepage, discard_buffer). The buffers are cleaned whatever they were, and the blocks under
 * them forgotten, so that nothing of the page can be written any more; then they are released. Whether somebody holds the page
 * is not asked. A page whose buffers cannot be released (a journal has them) leaves the file all the same, with its buffers.
 *
 * One buffer a page: a part of a page is never a whole block. Left out: the buffer lock, for which discard_buffer waits.
 */
import { call, given, held, leave, path, step, under, when } from "../language.js";
import { private_lock } from "../locks.js";
import { page_has_private } from "../mm/page.js";
import { try_to_release_page } from "../mm/vmscan.js";
import { BH } from "../structs.js";
import { int, pfn } from "../types.js";
import { try_to_free_buffers, write_buffer } from "./buffer.js";

/** Bits of a buffer that go: what it knows of its block, and that it has to be written. */
const BUFFER_FLAGS_DISCARD = BH.dirty | BH.mapped | BH.delay | BH.unwritten;

/** Invalidate `length` parts of a locked page from `offset` on. */
export const block_invalidatepage = path(
  "block_invalidatepage",
  {
    source: "fs/buffer.c v4.20",
    args: { page: pfn, offset: int, length: int },
    locals: { released: int },
  },
  [
    held(when("!page_has_buffers", (k, f) => !page_has_private(k, f.page), [leave()])),
    given(
      (k, f) => f.offset === 0 && f.length === k.geometry.parts,
      [
        step("discard_buffer", (k, f) => write_buffer(k, f.page, 0, BUFFER_FLAGS_DISCARD)),
        call(() => try_to_release_page, { page: "page" }, "released"),
      ],
    ),
  ],
);

/** try_to_free_buffers as a path: what try_to_release_page calls for a page without a mapping. */
export const free_buffers = path(
  "try_to_free_buffers",
  { source: "fs/buffer.c v4.20", args: { page: pfn }, returns: int },
  [
    under(private_lock, [
      step("drop_buffers", (k, f) => {
        f.ret = try_to_free_buffers(k, f.page) ? 1 : 0;
      }),
    ]),
  ],
);
