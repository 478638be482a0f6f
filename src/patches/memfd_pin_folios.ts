/**
 * udmabuf pins its pages, for long, and takes hugetlbfs as well.
 *
 * Source: mm/gup.c (memfd_pin_folios), mm/memfd.c (memfd_alloc_folio), commit 89c1905d9c14, and drivers/dma-buf/udmabuf.c, commits c6a3194c05e7 and 0c8b91ef5100, all of
 * v6.11. A page is looked up in the file's cache, made where there is none, and pinned as with FOLL_PIN | FOLL_LONGTERM: its count says that a device has it,
 * nr_foll_pin_acquired counts it, and one of ZONE_MOVABLE moves out of the zone first. A page that cannot be moved makes the call fail (-ENOMEM).
 *
 * What it does not change: nobody marks the pages dirty; the file's inode is not locked, so that a page may be punched out of the file
 * between the lookup and the pin.
 *
 * Of hugetlbfs the huge page is pinned, once, whatever part of it is asked for; the device here writes its first page frame.
 *
 * Left out: batches (a page is looked up, pinned, and the lookup's reference put, one after the other; the kernel does fifteen or more at a time); huge pages that are not in the
 * cache (alloc_hugetlb_folio_reserve: -ENOMEM here) or that are of ZONE_MOVABLE; PF_MEMALLOC_PIN, by which a page that is made here is of another zone at once.
 */
import { dma_map } from "../kernel/drivers/device.js";
import { check_seals, release_udmabuf, UDMABUF_CREATE, udmabuf_create } from "../kernel/drivers/udmabuf.js";
import { ERRNO } from "../kernel/errno.js";
import { shmem_read_mapping_page } from "../kernel/fs/tmpfs.js";
import type { Kernel } from "../kernel/kernel.js";
import {
  call,
  config,
  given,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  when,
} from "../kernel/language.js";
import { find_get_page, i_size_pages } from "../kernel/mm/filemap.js";
import { pages_per_huge_page } from "../kernel/mm/hugetlb.js";
import { is_memfd } from "../kernel/mm/memfd.js";
import { put_page } from "../kernel/mm/swap.js";
import { forget_user_page, store_page } from "../kernel/mm/user_pages.js";
import { FS } from "../kernel/operations.js";
import { type InodeNr, inode, int, NONE, type PagesNr, type Pfn, pages_nr, pfn } from "../kernel/types.js";
import { becomes, replace } from "../machine/patch.js";
import { check_and_migrate_movable_pages } from "./longterm_migrates_movable.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";
import { put_grabbed, try_grab_page } from "./track_foll_pin.js";

/** Indices that one folio of a file covers. */
const folio_nr_pages = (k: Kernel, mapping: InodeNr): number =>
  k.inode.fs[mapping] === FS.hugetlbfs ? pages_per_huge_page(k) : 1;

/** Drop the last pin of an array. */
const unpin_last = step<{ readonly pages: PagesNr }>("unpin_folios", (k, f) => {
  const at = k.user_pages.nr[f.pages] - 1;
  put_grabbed(k, forget_user_page(k, f.pages, at), FOLL_PIN);
  k.user_pages.nr[f.pages] = at;
});

/** The page of a file at an index, with a reference, in the argument `folio`. Gives 0 or an error. */
const memfd_alloc_folio = path(
  "memfd_alloc_folio",
  { source: "mm/memfd.c v6.11", args: { mapping: inode, index: int, folio: pfn }, returns: int },
  [
    given((k, f) => k.inode.fs[f.mapping] === FS.hugetlbfs, [leave(() => -ERRNO.ENOMEM)]),
    call(() => shmem_read_mapping_page, { mapping: "mapping", index: "index", page: "folio" }, "ret"),
  ],
);

/**
 * Pin the folios of a file that cover `nr` pages from an index on, all or none. Gives how many, or -EINVAL behind the end of the file, -ENOMEM where a
 * page cannot be had or not be moved.
 */
export const memfd_pin_folios = path(
  "memfd_pin_folios",
  {
    source: "mm/gup.c v6.11",
    args: { mapping: inode, start: int, nr: int, pages: pages_nr },
    locals: { at: int, nr_folios: int, found: pfn, folio: pfn },
    returns: int,
  },
  [
    when("i_size_read", (k, f) => f.start + f.nr > i_size_pages(k, f.mapping), [leave(() => -ERRNO.EINVAL)]),
    label("pin"),
    local((k, f) => {
      f.at = f.start - (f.start % folio_nr_pages(k, f.mapping));
    }),
    repeat(
      (_, f) => f.at < f.start + f.nr,
      [
        step("filemap_get_folios_contig", (k, f) => {
          f.found = find_get_page(k, f.mapping, f.at);
        }),
        // What memfd_alloc_folio has made is in the cache by now.
        given(
          (_, f) => f.folio !== NONE,
          [
            step("folio_put", (k, f) => {
              put_page(k, f.folio);
              f.folio = NONE;
            }),
          ],
        ),
        given(
          (_, f) => f.found !== NONE,
          [
            step("try_grab_folio", (k, f) => {
              if (try_grab_page(k, f.found, FOLL_PIN)) store_page(k, f.pages, f.found);
              else f.ret = -ERRNO.EINVAL;
            }),
            step("folio_batch_release", (k, f) => {
              put_page(k, f.found);
              f.found = NONE;
            }),
            given((_, f) => f.ret < 0, [goto("err")]),
            local((k, f) => {
              f.at += folio_nr_pages(k, f.mapping);
              f.nr_folios++;
            }),
          ],
          [
            call(() => memfd_alloc_folio, { mapping: "mapping", index: "at", folio: "folio" }, "ret"),
            given((_, f) => f.ret < 0, [goto("err")]),
          ],
        ),
      ],
    ),
    local((_, f) => {
      f.at = 0;
      f.ret = f.nr_folios;
      f.nr_folios = 0;
    }),
    config("migration", [
      given(
        (k) => k.geometry.movable.pages > 0,
        [
          call(() => check_and_migrate_movable_pages, { pages: "pages", nr: "ret", flags: FOLL_PIN }, "at"),
          local((_, f) => {
            f.ret = f.at;
            f.at = 0;
          }),
          given((_, f) => f.ret === 0, [goto("pin")]),
        ],
      ),
    ]),
    leave((_, f) => f.ret),
    label("err"),
    local((_, f) => {
      f.at = 0;
    }),
    repeat(
      (_, f) => f.nr_folios > 0,
      [
        unpin_last,
        local((_, f) => {
          f.nr_folios--;
        }),
      ],
    ),
  ],
);

const pins_folios = path(
  "udmabuf_create",
  { source: "drivers/dma-buf/udmabuf.c v6.11", args: UDMABUF_CREATE, returns: int },
  [
    given(
      (k, f) => !is_memfd(k, f.mapping),
      [leave((k) => k.refused("UDMABUF_CREATE", -ERRNO.EBADFD, NONE))],
    ),
    step("check_memfd_seals", (k, f) => {
      f.ret = check_seals(k, f.mapping);
    }),
    given((_, f) => f.ret !== 0, [goto("out")]),
    call(() => memfd_pin_folios, { mapping: "mapping", start: "index", nr: "nr", pages: "pages" }, "ret"),
    label("out"),
    given((_, f) => f.ret < 0, [leave((k, f) => k.refused("UDMABUF_CREATE", f.ret, NONE))]),
    step("map_udmabuf", (k, f) => dma_map(k, f.pages, true)),
    leave(() => 0),
  ],
);

export const memfd_pin_folios_of_udmabuf: Patch = {
  name: "memfd-pin-folios",
  title: "udmabuf: pin the pages using memfd_pin_folios() API",
  author: "Vivek Kasireddy",
  date: "2024-06",
  commit: "c6a3194c05e7",
  help: "udmabuf pins its pages for long, which moves them out of ZONE_MOVABLE; hugetlbfs is taken as well",
  edits: [
    becomes(udmabuf_create, pins_folios),
    replace<{ readonly pages: PagesNr; at: number; page: Pfn }>(release_udmabuf, "put_page", [
      step("unpin_folio", (k, f) => {
        put_grabbed(k, forget_user_page(k, f.pages, f.at), FOLL_PIN);
        f.at++;
        f.page = NONE;
      }),
    ]),
  ],
};
