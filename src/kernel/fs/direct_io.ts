/**
 * O_DIRECT reads and writes: a driver of references that needs no special hardware.
 *
 * Source: fs/direct-io.c in v4.20 (what ext4 uses). A synchronous read takes pages with get_user_pages_fast, submits
 * them, sleeps, and dirties them only when the bytes are there: set_page_dirty_lock at completion, by the reader
 * itself. In the time between, nothing says that the pages will be dirty again. A write takes the pages for reading, as the
 * device only reads memory, and dirties nothing.
 *
 * An asynchronous read (io_submit) dirties at submission and has its completion look again, in interrupt context: see
 * block/bio.ts.
 *
 * The transient references of do_direct_IO (one while a page is current, one for the bio, then gup's own is dropped)
 * end where they began: one reference per page, held by the bio. They are one step here. Left out: errors of the device in an asynchronous
 * read (its pages are treated alike), partial pages, file2's own page cache and blocks, more than one bio, the zero page that a write puts in the place of pages that
 * gup refuses, the event that io_getevents sees.
 */
import type { FrameOf, Node } from "../../machine/path.js";
import { bio_check_pages_dirty, bio_release_pages, bio_set_pages_dirty, dirty_page } from "../block/bio.js";
import { check_guards, make_guards } from "../block/dio_integrity.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { call, given, leave, local, path, pause, repeat, step, under, wait } from "../language.js";
import { irq } from "../locks.js";
import { get_user_pages_fast } from "../mm/gup.js";
import { dma_write, is_submitted, PAGES, page_of, put_pages, reads_memory } from "../mm/user_pages.js";
import { dio_nr, int, NONE, pages_nr, pfn, vpn } from "../types.js";

export const DIO_PAGES = 64;

/** Completion of a synchronous read, in the reader: dirty each page, then drop the reference. A read that failed is no exception. */
export const dio_bio_complete = path(
  "dio_bio_complete",
  { source: "fs/direct-io.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  // The array is the reader's alone by now: its disk waits for the next submission.
  [...put_pages(dirty_page())],
);

const DIRECT_IO = {
  source: "fs/direct-io.c v4.20" as string,
  args: { at: vpn, nr: int, dio: dio_nr },
  returns: int,
} as const;

/** What a direct I/O gives that has no pages. */
export const refused_io = (k: Kernel, error: number): number =>
  error === 0 ? 0 : k.refused("O_DIRECT", error, NONE);

const submit_bio = step<FrameOf<typeof DIRECT_IO>>("submit_bio", (k, f) => {
  k.user_pages.state[f.dio] = PAGES.submitted;
});

const dio_await_completion = wait<FrameOf<typeof DIRECT_IO>>(
  "dio_await_completion",
  (k, f) => k.user_pages.state[f.dio] === PAGES.done || k.user_pages.state[f.dio] === PAGES.failed,
  (k, f) => {
    if (k.user_pages.state[f.dio] === PAGES.failed) f.ret = -ERRNO.EIO;
  },
);

/** pread() of an O_DIRECT file into `nr` pages at a virtual address. Gives how many pages were read, or an error. */
export const do_blockdev_direct_IO = path("do_blockdev_direct_IO", DIRECT_IO, [
  call(() => get_user_pages_fast, { start: "at", nr: "nr", write: 1, pages: "dio" }, "ret"),
  given((_, f) => f.ret <= 0, [leave((k, f) => refused_io(k, f.ret))]),
  submit_bio,
  dio_await_completion,
  call(() => dio_bio_complete, { pages: "dio" }),
]);

/** pwrite() of an O_DIRECT file from `nr` pages at a virtual address: the device reads memory. */
export const direct_write = path("do_blockdev_direct_IO", DIRECT_IO, [
  call(() => get_user_pages_fast, { start: "at", nr: "nr", write: 0, pages: "dio" }, "ret"),
  given((_, f) => f.ret <= 0, [leave((k, f) => refused_io(k, f.ret))]),
  step("submit_bio", (k, f) => {
    make_guards(k, f.dio);
    k.user_pages.state[f.dio] = PAGES.submitted_write;
  }),
  dio_await_completion,
  call(() => dio_bio_release, { pages: "dio" }),
]);

/** Completion of a write: the references alone. */
const dio_bio_release = path(
  "dio_bio_complete",
  { source: "fs/direct-io.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [...put_pages([])],
);

/**
 * io_submit() of a read of an O_DIRECT file: returns when the bio is on its way. Its pages are dirty by then, whatever the
 * device does later. The array must be free: bios come from a pool.
 */
export const io_submit_read = path("io_submit_read", { ...DIRECT_IO, source: "fs/aio.c v4.20" }, [
  wait("bio_alloc", (k, f) => k.user_pages.state[f.dio] === PAGES.idle),
  call(() => get_user_pages_fast, { start: "at", nr: "nr", write: 1, pages: "dio" }, "ret"),
  given((_, f) => f.ret <= 0, [leave((k, f) => refused_io(k, f.ret))]),
  call(() => bio_set_pages_dirty, { pages: "dio" }),
  submit_bio,
]);

const ENGINE = {
  source: "block/blk-core.c, fs/direct-io.c v4.20",
  args: { pages: pages_nr },
  locals: { at: int, part: int, page: pfn },
} as const;
type Engine = FrameOf<typeof ENGINE>;

/** A disk that moves the parts of an array's pages one after the other, and then completes the bio. */
const engine = (
  name: string,
  transfer: Node<Kernel, Engine>,
  complete: readonly Node<Kernel, Engine>[],
): Node<Kernel, Engine>[] => [
  repeat<Engine>(
    () => true,
    [
      pause<Engine>(`${name} latency`),
      wait<Engine>("blk_peek_request", (k, f) => is_submitted(k, f.pages)),
      repeat<Engine>(
        (k, f) => f.at < k.user_pages.nr[f.pages],
        [
          local<Engine>((k, f) => {
            f.page = page_of(k, f.pages, f.at);
          }),
          transfer,
          given<Engine>(
            (k, f) => f.part === k.geometry.parts,
            [
              local<Engine>((_, f) => {
                f.part = 0;
                f.at++;
              }),
            ],
          ),
        ],
      ),
      ...complete,
    ],
  ),
];

/** No lock, no PTE, no flag: memory changes. In the other direction memory is read, and nothing in it does. */
const dma = step<Engine>("DMA", (k, f) => {
  if (reads_memory(k, f.pages)) check_guards(k, f.pages, f.at, f.part);
  else dma_write(k, f.pages, f.at, f.part);
  f.part++;
});

const dio_bio_end_io = step<Engine>("dio_bio_end_io", (k, f) => {
  k.user_pages.state[f.pages] = PAGES.done;
  f.at = 0;
  f.page = NONE;
});

/** The interrupt takes the bio from its submitter: of a read it looks at the pages, of a write it lets go of them. */
const bio_endio = (name: string): Node<Kernel, Engine>[] => {
  const take = step<Engine>(name, (k, f) => {
    k.user_pages.state[f.pages] = PAGES.checking;
    f.at = 0;
    f.page = NONE;
  });
  return [
    given<Engine>(
      (k, f) => reads_memory(k, f.pages),
      [under<Engine>(irq, [take]), call(() => bio_release_pages, { pages: "pages" })],
      [under<Engine>(irq, [take]), call(() => bio_check_pages_dirty, { pages: "pages" })],
    ),
  ];
};

/** The disk of the O_DIRECT file: writes into the pages by DMA, or reads them, then completes the bio in interrupt context. */
export const dma_engine = path("dma", ENGINE, engine("DMA", dma, [dio_bio_end_io]));

/** The same for asynchronous reads, whose completion is the interrupt's own affair. */
export const dma_engine_aio = path("dma_aio", ENGINE, engine("DMA", dma, bio_endio("dio_bio_end_aio")));

/**
 * The same for a read through iomap, synchronous or not: the waiter is woken first, then the interrupt looks at the
 * pages. A read that has returned may still hold them.
 */
export const dma_engine_iomap = path(
  "dma_iomap",
  { ...ENGINE, source: "block/blk-core.c, fs/iomap.c v4.20" },
  engine("DMA", dma, bio_endio("iomap_dio_bio_end_io")),
);
