/**
 * /proc/sys/vm/drop_caches: an administrator's stripper.
 *
 * Source: fs/drop_caches.c in v4.20. Every inode's clean, unmapped pages are dropped by invalidate_mapping_pages; pages in a batch of
 * lru_cache_add have a reference too many and stay (later kernels drain the batches first). A page that a device holds loses its
 * buffers and stays: the article's crash is one echo away. Left out: writing 2, which drops inodes and slabs.
 */
import { call, local, path, repeat, step, when } from "../language.js";
import { nrpages } from "../mm/filemap.js";
import { invalidate_mapping_pages } from "../mm/truncate.js";
import { inode, int } from "../types.js";

/** echo 1 > /proc/sys/vm/drop_caches */
export const drop_caches = path(
  "drop_caches_sysctl_handler",
  { source: "fs/drop_caches.c v4.20", locals: { mapping: inode, last: int, dropped: int } },
  [
    step("iterate_supers", (k, f) => {
      f.mapping = 1;
      f.last = k.inode.i_pages[1] === undefined ? 0 : k.inode.i_pages[1] - 1;
    }),
    repeat(
      (k, f) => f.mapping < k.inodes,
      [
        // drop_pagecache_sb passes by inodes without pages.
        when("inode->i_mapping->nrpages", (k, f) => nrpages(k, f.mapping), [
          call(() => invalidate_mapping_pages, { mapping: "mapping", start: 0, end: "last" }, "dropped"),
        ]),
        local((k, f) => {
          f.dropped = 0;
          f.mapping++;
          f.last = f.mapping < k.inodes ? k.inode.i_pages[f.mapping] - 1 : 0;
        }),
      ],
    ),
  ],
);
