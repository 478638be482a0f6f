/**
 * RDMA takes its pages by the fast walk, without mmap_sem.
 *
 * Source: drivers/infiniband/core/umem.c (ib_umem_get), two commits of the series that brought pin_user_pages (v5.6): "IB/umem: use get_user_pages_fast() to pin DMA pages" and
 * "IB/{core,hw,umem}: set FOLL_PIN via pin_user_pages*(), fix up ODP"; their ids could not be found. A registration of pages whose PTEs are writable calls neither the
 * filesystem nor looks at a VMA: what a VMA forbids must be found out from the page alone (longterm-fast-gate).
 */
import { call, local } from "../kernel/language.js";
import type { PagesNr, Vpn } from "../kernel/types.js";
import { remove, replace } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { pin_user_pages_api, pin_user_pages_fast } from "./pin_user_pages.js";

interface Umem {
  readonly at: Vpn;
  readonly chunk: number;
  readonly pages: PagesNr;
  flags: number;
  got: number;
}

export const umem_pins_fast: Patch = {
  name: "umem-pins-fast",
  title: "IB/umem: use get_user_pages_fast() to pin DMA pages",
  author: "John Hubbard",
  date: "2020-01",
  commit: null,
  uncertain: "its commit, of which there are two",
  help: "RDMA pins by the fast walk, which asks the PTEs alone",
  needs: [pin_user_pages_api],
  edits: [
    remove("ib_umem_get", "down_read(mm->mmap_sem)"),
    replace<Umem>("ib_umem_get", "pin_user_pages", [
      local((_, f) => {
        f.flags |= FOLL_LONGTERM;
      }),
      call<Umem, typeof pin_user_pages_fast.args>(
        () => pin_user_pages_fast,
        { start: "at", nr: "chunk", flags: "flags", pages: "pages" },
        "got",
      ),
    ]),
    remove("ib_umem_get", "up_read(mm->mmap_sem)"),
  ],
};
