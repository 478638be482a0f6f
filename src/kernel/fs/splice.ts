/**
 * vmsplice and tee: a pipe that holds a process's pages, not copies of them.
 *
 * Source: fs/splice.c, fs/pipe.c in v4.20.
 * Acquire: vmsplice_to_pipe, get_user_pages_fast for reading, 16 pages at a time, into buffers of the pipe.
 * tee: link_pipe, get_page of each buffer of the one pipe for the other.
 * Dirty: never.
 * Release: put_page when a reader has emptied the buffer, which may be never. The references have no limit in time, and nobody
 * can tell them from others.
 *
 * Who maps the page last owns it: a process that has given its page to a pipe and unmapped it still reads what the next
 * owner writes (CVE-2020-29374).
 *
 * pipe->mutex is held over get_user_pages and all that goes into the pipe: a reader can make no room in between. Whoever sleeps in
 * pipe_wait gives it back.
 *
 * The pipe is an array of pages; it has room for as many buffers as the machine's arrays have places (Linux: 16). Left out:
 * SPLICE_F_GIFT and stealing, SPLICE_F_NONBLOCK, splicing to files, partial pages, readers and writers that are gone, reads of more than one buffer.
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  down_write,
  given,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  up_write,
  wait,
  when,
} from "../language.js";
import { pipe_mutex } from "../locks.js";
import { get_user_pages_fast } from "../mm/gup.js";
import { get_page } from "../mm/page.js";
import { put_page } from "../mm/swap.js";
import { forget_first_page, move_user_page, page_of, put_user_page, store_page } from "../mm/user_pages.js";
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
    down_write(pipe_mutex, (_, f) => f.pipe),
    label("wait_for_space"),
    when("wait_for_space", (k, f) => !has_space(k, f.pipe), [
      up_write(pipe_mutex, (_, f) => f.pipe),
      wait("pipe_wait", (k, f) => has_space(k, f.pipe)),
      down_write(pipe_mutex, (_, f) => f.pipe),
      goto("wait_for_space"),
    ]),
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
        given(
          (_, f) => f.chunk <= 0,
          [
            local((k, f) => {
              if (f.ret === 0) f.ret = f.chunk === 0 ? 0 : k.refused("vmsplice", f.chunk, NONE);
            }),
            goto("out"),
          ],
        ),
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
        given((_, f) => f.at === 1, [goto("out")]),
      ],
    ),
    label("out"),
    local((_, f) => {
      f.at = 0;
      f.chunk = 0;
    }),
    up_write(pipe_mutex, (_, f) => f.pipe),
  ],
);

/** read() of one buffer of a pipe: sleeps for one, copies it, and drops its page. Gives the generation of its first part. */
export const pipe_read = path(
  "pipe_read",
  { source: "fs/pipe.c v4.20", args: { pipe: pages_nr }, locals: { page: pfn }, returns: int },
  [
    down_write(pipe_mutex, (_, f) => f.pipe),
    label("again"),
    when("pipe->nrbufs", (k, f) => k.user_pages.nr[f.pipe] === 0, [
      up_write(pipe_mutex, (_, f) => f.pipe),
      wait("pipe_wait", (k, f) => k.user_pages.nr[f.pipe] > 0),
      down_write(pipe_mutex, (_, f) => f.pipe),
      goto("again"),
    ]),
    local((k, f) => {
      f.page = page_of(k, f.pipe, 0);
    }),
    step("copy_page_to_iter", (k, f) => {
      f.ret = k.content.version[f.page * k.geometry.parts];
    }),
    step("page_cache_pipe_buf_release", (k, f) => {
      put_page(k, forget_first_page(k, f.pipe));
      f.page = NONE;
    }),
    up_write(pipe_mutex, (_, f) => f.pipe),
  ],
);

/**
 * tee() of a whole pipe to another one: both hold its pages afterwards. Waits until the first has a buffer and the second has room; gives how many
 * buffers were linked, or -EINVAL for one pipe twice.
 */
export const tee = path(
  "do_tee",
  {
    source: "fs/splice.c v4.20",
    args: { ipipe: pages_nr, opipe: pages_nr },
    locals: { first: pages_nr, second: pages_nr, i: int, page: pfn },
    returns: int,
  },
  [
    given((_, f) => f.ipipe === f.opipe, [leave(() => -ERRNO.EINVAL)]),
    wait("ipipe_prep", (k, f) => k.user_pages.nr[f.ipipe] > 0),
    wait("opipe_prep", (k, f) => has_space(k, f.opipe)),
    local((_, f) => {
      f.first = Math.min(f.ipipe, f.opipe);
      f.second = Math.max(f.ipipe, f.opipe);
    }),
    // pipe_double_lock: one order for all.
    down_write(pipe_mutex, (_, f) => f.first),
    down_write(pipe_mutex, (_, f) => f.second),
    repeat(
      (k, f) => f.i < k.user_pages.nr[f.ipipe] && has_space(k, f.opipe),
      [
        local((k, f) => {
          f.page = page_of(k, f.ipipe, f.i);
        }),
        step("generic_pipe_buf_get", (k, f) => {
          get_page(k, f.page);
          store_page(k, f.opipe, f.page);
          f.i++;
          f.ret++;
          f.page = NONE;
        }),
      ],
    ),
    up_write(pipe_mutex, (_, f) => f.second),
    up_write(pipe_mutex, (_, f) => f.first),
  ],
);
