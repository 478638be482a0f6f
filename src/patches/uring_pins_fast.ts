/**
 * io_uring takes the pages of a buffer by the fast walk, without mmap_lock.
 *
 * Source: io_uring/memmap.c (io_pin_pages), commit 1943f96b3816 (v6.10): there were two functions of that purpose, and the one that remained used
 * pin_user_pages_fast.
 */
import { call } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import type { PagesNr, Vpn } from "../kernel/types.js";
import { remove, replace } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { pin_user_pages_api, pin_user_pages_fast } from "./pin_user_pages.js";

interface Register {
  readonly start: Vpn;
  readonly nr: number;
  readonly pages: PagesNr;
  ret: number;
}

export const uring_pins_fast: Patch = {
  name: "uring-pins-fast",
  title: "io_uring: unify io_pin_pages()",
  author: "Jens Axboe",
  date: "2024-03",
  commit: "1943f96b3816",
  help: "io_uring pins buffers by the fast walk",
  needs: [pin_user_pages_api],
  edits: [
    remove("io_sqe_buffer_register", "down_read(mm->mmap_sem)"),
    replace<Register>("io_sqe_buffer_register", "pin_user_pages", [
      call<Register, typeof pin_user_pages_fast.args>(
        () => pin_user_pages_fast,
        { start: "start", nr: "nr", flags: FOLL.WRITE | FOLL_LONGTERM, pages: "pages" },
        "ret",
      ),
    ]),
    remove("io_sqe_buffer_register", "up_read(mm->mmap_sem)"),
  ],
};
