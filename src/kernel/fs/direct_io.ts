/**
 * O_DIRECT reads: a driver of pins that needs no special hardware.
 *
 * Source: fs/direct-io.c in v4.20 (what ext4 uses). A synchronous read takes pages with get_user_pages_fast, submits
 * them, sleeps, and dirties them only when the bytes are there: set_page_dirty_lock at completion, by the reader
 * itself. In the time between, nothing says that the pages will be dirty again.
 *
 * The transient references of do_direct_IO (one while a page is current, one for the bio, then gup's own is dropped)
 * end where they began: one reference per page, held by the bio. They are one step here. Left out: errors, partial
 * pages, file2's own page cache and blocks, async I/O, more than one bio.
 */
import type { Kernel } from "../kernel.js";
import { call, given, leave, local, path, pause, repeat, step, wait } from "../language.js";
import { get_user_pages_fast } from "../mm/gup.js";
import { count_pin, lock_page, set_device_wrote, unlock } from "../mm/page.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { put_page } from "../mm/swap.js";
import { DIO_DONE, DIO_IDLE, DIO_SUBMITTED } from "../structs.js";
import { type DioNr, dio_nr, int, NONE, type Pfn, pfn, vpn } from "../types.js";

export const DIO_PAGES = 64;

const page_of = (k: Kernel, dio: DioNr, at: number): Pfn =>
  k.dio_page.page[dio * k.geometry.dioPages + at] - 1;

/** Mark a page dirty that the caller does not have locked. Guards against truncation, not against missing buffers. */
export const set_page_dirty_lock = path(
  "set_page_dirty_lock",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn } },
  [lock_page(), call(() => set_page_dirty, { page: "page" }), unlock()],
);

/** Completion of the read, in the reader: dirty each page, then drop the reference. */
export const dio_bio_complete = path(
  "dio_bio_complete",
  { source: "fs/direct-io.c v4.20", args: { dio: dio_nr }, locals: { at: int, page: pfn } },
  [
    repeat(
      (k, f) => f.at < k.dio.nr[f.dio],
      [
        local((k, f) => {
          f.page = page_of(k, f.dio, f.at);
        }),
        call(() => set_page_dirty_lock, { page: "page" }),
        step("put_page", (k, f) => {
          k.dio_page.page[f.dio * k.geometry.dioPages + f.at] = 0;
          count_pin(k, f.page, -1);
          put_page(k, f.page);
          f.at++;
          f.page = NONE;
        }),
      ],
    ),
    // The dio is the reader's alone by now: its disk waits for the next submission.
    local((k, f) => {
      k.dio.nr[f.dio] = 0;
      k.dio.state[f.dio] = DIO_IDLE;
    }),
  ],
);

/** pread() of an O_DIRECT file into `nr` pages at a virtual address. */
export const do_blockdev_direct_IO = path(
  "do_blockdev_direct_IO",
  { source: "fs/direct-io.c v4.20", args: { at: vpn, nr: int, dio: dio_nr }, locals: { taken: int } },
  [
    call(() => get_user_pages_fast, { start: "at", nr: "nr", write: 1, dio: "dio" }, "taken"),
    given((_, f) => f.taken === 0, [leave()]),
    step("submit_bio", (k, f) => {
      k.dio.state[f.dio] = DIO_SUBMITTED;
    }),
    wait("dio_await_completion", (k, f) => k.dio.state[f.dio] === DIO_DONE),
    call(() => dio_bio_complete, { dio: "dio" }),
  ],
);

/** The disk of the O_DIRECT file: writes into the pages by DMA, then completes the bio in interrupt context. */
export const dma_engine = path(
  "dma",
  {
    source: "block/blk-core.c, fs/direct-io.c v4.20",
    args: { dio: dio_nr },
    locals: { at: int, part: int, page: pfn },
  },
  [
    repeat(
      () => true,
      [
        pause("DMA latency"),
        wait("blk_peek_request", (k, f) => k.dio.state[f.dio] === DIO_SUBMITTED),
        repeat(
          (k, f) => f.at < k.dio.nr[f.dio],
          [
            local((k, f) => {
              f.page = page_of(k, f.dio, f.at);
            }),
            // No lock, no PTE, no flag: memory changes.
            step("DMA", (k, f) => {
              k.content.version[f.page * k.geometry.parts + f.part]++;
              if (k.page.device[f.page] === 0) set_device_wrote(k, f.page, 1);
              f.part++;
            }),
            given(
              (k, f) => f.part === k.geometry.parts,
              [
                local((_, f) => {
                  f.part = 0;
                  f.at++;
                }),
              ],
            ),
          ],
        ),
        step("dio_bio_end_io", (k, f) => {
          k.dio.state[f.dio] = DIO_DONE;
          f.at = 0;
          f.page = NONE;
        }),
      ],
    ),
  ],
);
