/**
 * A memory region that the card only reads is pinned for reading.
 *
 * Source: drivers/infiniband/core/umem.c, commit b40656aa7d55 (v6.2). FOLL_FORCE and FOLL_WRITE were there to make
 * the copy of a private mapping before the pin; gup does so itself now (unshare-cow-mappings). A read-only shared
 * mapping of a file can be registered since: FOLL_FORCE never writes one.
 */

import { local } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import { after } from "../machine/patch.js";
import type { Patch } from "./patch.js";

export const umem_no_force: Patch = {
  name: "umem-no-force",
  title: "RDMA/umem: remove FOLL_FORCE usage",
  author: "David Hildenbrand",
  date: "2022-11",
  commit: "b40656aa7d55",
  help: "a memory region that the card may not write is pinned for reading, and needs no mapping that may be written",
  edits: [
    after<{ readonly writable: number; flags: number }>("ib_umem_get", "sg_alloc_table:", [
      local((_, f) => {
        f.flags = f.writable === 1 ? FOLL.WRITE : 0;
      }),
    ]),
  ],
};
