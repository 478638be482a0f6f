/**
 * pin_user_pages: the users that write by DMA say so, and give pages back by unpin_user_page.
 *
 * Source: mm/gup.c, commit eddb1c228f79 (v5.6) and its series, which converted process_vm_access, RDMA, io_uring, AF_XDP, VFIO and media.
 * FOLL_PIN is one more flag and unpin_user_page is put_page: nothing counts yet (that is track-foll-pin). Each user can be converted
 * alone, as the flag is chosen where the page is taken.
 *
 * Video capture (frame_vector) followed with commit 55a650c35fea (v5.8).
 *
 * Users that keep plain references: O_DIRECT, vmsplice, /proc/PID/mem, the GPU drivers, ODP's own table.
 */
import { call, local, path, step } from "../kernel/language.js";
import {
  type get_user_pages,
  get_user_pages_fast,
  get_user_pages_locked,
  get_user_pages_longterm,
} from "../kernel/mm/gup.js";
import { put_page } from "../kernel/mm/swap.js";
import { forget_user_page } from "../kernel/mm/user_pages.js";
import { int, NONE, type PagesNr, type Pfn, pages_nr, pfn, vpn } from "../kernel/types.js";
import { type AnyPath, type Edit, recall, replace } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";

/**
 * Not the kernel's number (0x40000 in v5.6): a word of a path's frame has fifteen bits, and this one is of a flag that is not modelled
 * (FOLL_NUMA).
 */
export const FOLL_PIN = 0x200;

const PIN = {
  source: "mm/gup.c v5.6",
  args: { start: vpn, nr: int, flags: int, pages: pages_nr },
  locals: { gup_flags: int },
  returns: int,
} as const;

/** A function of get_user_pages with more flags. */
const pins = (name: string, more: number, get: () => typeof get_user_pages) =>
  path(name, PIN, [
    local((_, f) => {
      f.gup_flags = f.flags | more;
    }),
    call(get, { start: "start", nr: "nr", flags: "gup_flags", pages: "pages" }, "ret"),
    local((_, f) => {
      f.gup_flags = 0;
    }),
  ]);

/** pin_user_pages with FOLL_LONGTERM: mmap_sem is the caller's. */
export const pin_user_pages = pins("pin_user_pages", FOLL_PIN | FOLL_LONGTERM, () => get_user_pages_longterm);
/** Another process's memory; mmap_sem is given back. */
export const pin_user_pages_remote = pins("pin_user_pages_remote", FOLL_PIN, () => get_user_pages_locked);
const pin_user_pages_locked = pins("pin_user_pages_locked", FOLL_PIN, () => get_user_pages_locked);

/** get_user_pages_fast with FOLL_PIN; whether the pin is for long its caller says. */
export const pin_user_pages_fast = path("pin_user_pages_fast", PIN, [
  local((_, f) => {
    f.gup_flags = f.flags | FOLL_PIN;
  }),
  call(() => get_user_pages_fast, { start: "start", nr: "nr", write: "gup_flags", pages: "pages" }, "ret"),
  local((_, f) => {
    f.gup_flags = 0;
  }),
]);

/** The drop of one page of an array: a path, so that a later patch finds it. */
export const unpin_user_page = path("unpin_user_page", { source: "mm/gup.c v5.6", args: { page: pfn } }, [
  step("put_page", (k, f) => put_page(k, f.page)),
]);

/** Let go of the page at a place of an array that is walked. */
interface Walk {
  readonly pages: PagesNr;
  at: number;
  page: Pfn;
}

const forget = local<Walk>((k, f) => {
  f.page = forget_user_page(k, f.pages, f.at);
});
const next = local<Walk>((_, f) => {
  f.at++;
  f.page = NONE;
});

/** A walk over an array that puts each page unpins it. */
const unpins = (in_path: AnyPath | string): Edit =>
  replace<Walk>(in_path, "put_page", [forget, call(() => unpin_user_page, { page: "page" }), next]);

export const pin_user_pages_api: Patch = {
  name: "pin-user-pages",
  title: "mm/gup: introduce pin_user_pages*() and FOLL_PIN",
  author: "John Hubbard",
  date: "2020-01",
  commit: "eddb1c228f79",
  help: "users that write by DMA take pages by pin_user_pages and give them back by unpin_user_page; nothing tells the two kinds apart yet",
  edits: [
    recall("process_vm_rw_single_vec", "get_user_pages_locked", () => pin_user_pages_remote),
    replace<{ readonly pages: PagesNr; chunk: number; page: Pfn }>("process_vm_rw_single_vec", "put_page", [
      local((k, f) => {
        f.chunk--;
        forget_user_page(k, f.pages, f.chunk);
      }),
      call(() => unpin_user_page, { page: "page" }),
      local((_, f) => {
        f.page = NONE;
      }),
    ]),
    recall("ib_umem_get", "get_user_pages_longterm", () => pin_user_pages),
    unpins("__ib_umem_release"),
    recall("io_sqe_buffer_register", "get_user_pages_longterm", () => pin_user_pages),
    unpins("io_release_buffer"),
    recall("xdp_umem_reg", "get_user_pages", () => pin_user_pages),
    unpins("xdp_umem_unpin_pages"),
    recall("vaddr_get_pfn", "get_user_pages_longterm", () => pin_user_pages),
    unpins("put_pfn"),
    unpins("vfio_unpin_pages_remote"),
  ],
};

export const pin_frame_vector: Patch = {
  name: "pin-frame-vector",
  title: "mm/gup: frame_vector: convert get_user_pages() --> pin_user_pages()",
  author: "John Hubbard",
  date: "2020-06",
  commit: "55a650c35fea",
  help: "video capture pins its user's pages, too",
  needs: [pin_user_pages_api],
  edits: [
    recall("get_vaddr_frames", "get_user_pages_locked", () => pin_user_pages_locked),
    unpins("put_vaddr_frames"),
  ],
};
