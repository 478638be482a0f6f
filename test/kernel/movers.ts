/** Tasks that take pages out of a file, unmap them, or move them, for tests: one call of one path each. */
import { call, check, label, local, path, step } from "../../src/kernel/language.js";
import { MIGRATE, unmap_and_move } from "../../src/kernel/mm/migrate.js";
import { lock_page, unlock } from "../../src/kernel/mm/page.js";
import { set_page_dirty } from "../../src/kernel/mm/page_writeback.js";
import { isolate_lru_page, lru_add_drain } from "../../src/kernel/mm/swap.js";
import {
  invalidate_inode_pages2_range,
  invalidate_mapping_pages,
  truncate_pagecache_range,
  truncate_setsize,
} from "../../src/kernel/mm/truncate.js";
import { unmap_mapping_pages } from "../../src/kernel/mm/zap.js";
import { int, pfn } from "../../src/kernel/types.js";
import { type Actor, FILE } from "./harness.js";

/** isolate_lru_page of a page that is on a list. */
const isolate = <F extends { readonly page: number }>() => [
  step<F>("lru_add_drain", (k) => lru_add_drain(k)),
  check<F>("isolate_lru_page", (k, f) => isolate_lru_page(k, f.page), "out"),
];

const isolate_one = path("isolate_one", { source: "a test", args: { page: pfn } }, [
  ...isolate(),
  label("out"),
]);
const migrate_one = path("migrate_one", { source: "a test", args: { page: pfn }, locals: { rc: int } }, [
  ...isolate(),
  call(() => unmap_and_move, { page: "page", force: 1, mode: MIGRATE.SYNC }, "rc"),
  local((_, f) => {
    f.rc = 0;
  }),
  label("out"),
]);

const driver = path("driver", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  call(() => set_page_dirty, { page: "page" }),
  unlock(),
]);

/** set_page_dirty_lock of the first page by a driver, without a fault before it. */
export const dirties: Actor = { path: driver, args: [0], ends: true };
export const isolateOne = (page: number): Actor => ({ path: isolate_one, args: [page], ends: true });
export const migrateOne = (page: number): Actor => ({ path: migrate_one, args: [page], ends: true });

/** ftruncate's mm part: a new size, in parts. */
export const resize = (size: number): Actor => ({ path: truncate_setsize, args: [FILE, size], ends: true });
/** A hole from part to part. */
export const punch = (from: number, to: number): Actor => ({
  path: truncate_pagecache_range,
  args: [FILE, from, to],
  ends: true,
});
/** drop_caches' part: pages `start` to `end` included. */
export const drop = (start = 0, end = 0): Actor => ({
  path: invalidate_mapping_pages,
  args: [FILE, start, end],
  ends: true,
});
/** What an O_DIRECT write does to the pages that it passes by. */
export const invalidate2 = (start = 0, end = 0): Actor => ({
  path: invalidate_inode_pages2_range,
  args: [FILE, start, end],
  ends: true,
});
/** What munmap does to PTEs of the file: pages `start` to before `start + nr`. */
export const unmap = (start = 0, nr = 1, even_cows: 0 | 1 = 0): Actor => ({
  path: unmap_mapping_pages,
  args: [FILE, start, nr, even_cows],
  ends: true,
});
