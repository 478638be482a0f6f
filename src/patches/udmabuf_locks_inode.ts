/**
 * udmabuf asks for the seals and takes the pages with the inode locked, so that nobody seals the file in between.
 *
 * Source: drivers/dma-buf/udmabuf.c (udmabuf_create), commit 9cb189a88273 (v6.13, and stable kernels back to v6.12). memfd_add_seals has the lock for writing. Before, F_SEAL_WRITE
 * could be set after the question and before the first pin: it found nobody who holds a page, and a device went on to write a file that nobody can write.
 *
 * It also keeps FALLOC_FL_PUNCH_HOLE, which has the same lock, from taking a page out of the file between the lookup and the pin.
 */
import { down_read, up_read } from "../kernel/language.js";
import { i_rwsem } from "../kernel/locks.js";
import type { InodeNr } from "../kernel/types.js";
import { after, before } from "../machine/patch.js";
import { memfd_pin_folios_of_udmabuf } from "./memfd_pin_folios.js";
import type { Patch } from "./patch.js";

interface Create {
  readonly mapping: InodeNr;
}

export const udmabuf_locks_inode: Patch = {
  name: "udmabuf-locks-inode",
  title: "udmabuf: fix racy memfd sealing check",
  author: "Jann Horn",
  date: "2024-12",
  commit: "9cb189a88273",
  needs: [memfd_pin_folios_of_udmabuf],
  help: "udmabuf asks for the seals and pins with the inode locked: no file is sealed against writing in between",
  edits: [
    before<Create>("udmabuf_create", "check_memfd_seals", [down_read(i_rwsem, (_, f) => f.mapping)]),
    after<Create>("udmabuf_create", "out:", [up_read(i_rwsem, (_, f) => f.mapping)]),
  ],
};
