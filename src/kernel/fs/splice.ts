/**
 * vmsplice: a pipe that holds a process's pages, not copies of them.
 *
 * Source: fs/splice.c, fs/pipe.c in v4.20.
 * Acquire: vmsplice_to_pipe, get_user_pages_fast for reading, 16 pages at a time, into buffers of the pipe.
 * Dirty: never.
 * Release: put_page when a reader has emptied the buffer, which may be never. The references have no limit in time, and nobody
 * can tell them from others.
 *
 * Who maps the page last owns it: a process that has given its page to a pipe and unmapped it still reads what the next
 * owner writes (CVE-2020-29374).
 *
 * The pipe is an array of pages; it has room for as many buffers as the machine's arrays have places (Linux: 16). Left out:
 * SPLICE_F_GIFT and stealing, SPLICE_F_NONBLOCK, splicing to files, partial pages, pipe_lock (each change of the pipe is one step).
 */
import type { Kernel } from "../kernel.js";
import { call, given, leave, local, path, repeat, step, wait } from "../language.js";
import { get_user_pages_fast } from "../mm/gup.js";
import { move_user_page, page_of, put_first_page, put_user_page } from "../mm/user_pages.js";
import { int, NONE, type PagesNr, pages_nr, pfn, vpn } from "../types.js";

/** Pages that iter_to_pipe takes at a time. */
export const SPLICE_PAGES = 16;

const has_space = (k: Kernel, pipe: PagesNr): boolean => k.user_pages.nr[pipe] < k.geometry.dioPages;

/**
 * vmsplice() of `nr` pages from a virtual address into a pipe. `pages` is the array on the stack in between. Waits until the pipe
 * has room; gives how many pages went in, or an error when none did.
 */
export const vmsplice_to_pipe = path(
  "vmsplice_to_pipe",
  {
    source: "fs/splice.c v4.20",
    args: { start: vpn, nr: int, pages: pages_nr, pipe: pages_nr },
    locals: { at: vpn, chunk: int, got: int, i: int, page: pfn },
    returns: int,
  },
  [
    wait("wait_for_space", (k, f) => has_space(k, f.pipe)),
    repeat(
      (_, f) => f.ret < f.nr,
      [
        local((k, f) => {
          f.at = f.start + f.ret;
          f.chunk = Math.min(SPLICE_PAGES, k.geometry.dioPages, f.nr - f.ret);
        }),
        call(() => get_user_pages_fast, { start: "at", nr: "chunk", write: 0, pages: "pages" }, "got"),
        local((_, f) => {
          f.chunk = f.got;
          f.got = 0;
        }),
        given((_, f) => f.chunk <= 0, [leave((_, f) => (f.ret > 0 ? f.ret : f.chunk))]),
        // A page for which there is no room any more is put, and so are all after it.
        local((_, f) => {
          f.at = 0;
        }),
        repeat(
          (_, f) => f.i < f.chunk,
          [
            local((k, f) => {
              f.page = page_of(k, f.pages, f.i);
            }),
            step("add_to_pipe", (k, f) => {
              if (f.at === 0 && has_space(k, f.pipe)) {
                move_user_page(k, f.pages, f.i, f.pipe);
                f.ret++;
              } else {
                put_user_page(k, f.pages, f.i);
                f.at = 1;
              }
              f.i++;
              f.page = NONE;
            }),
          ],
        ),
        local((k, f) => {
          k.user_pages.nr[f.pages] = 0;
          f.i = 0;
          f.chunk = 0;
        }),
        given((_, f) => f.at === 1, [leave()]),
      ],
    ),
  ],
);

/** read() of one buffer of a pipe: sleeps for one, copies it, and drops its page. Gives the generation of its first part. */
export const pipe_read = path(
  "pipe_read",
  { source: "fs/pipe.c v4.20", args: { pipe: pages_nr }, locals: { page: pfn }, returns: int },
  [
    wait(
      "pipe_wait",
      (k, f) => k.user_pages.nr[f.pipe] > 0,
      (k, f) => {
        f.page = page_of(k, f.pipe, 0);
      },
    ),
    step("copy_page_to_iter", (k, f) => {
      f.ret = k.content.version[f.page * k.geometry.parts];
    }),
    step("anon_pipe_buf_release", (k, f) => {
      put_first_page(k, f.pipe);
      f.page = NONE;
    }),
  ],
);
