/**
 * The active lists: which pages are old enough to be looked at by reclaim.
 *
 * Source: mm/vmscan.c (shrink_active_list, move_active_pages_to_lru) in v4.20. With many buffer heads about it strips active pages of
 * them, mapped or held by a device or not.
 */

import { list_del } from "../inserts.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  check,
  config,
  given,
  goto,
  label,
  local,
  lockdep_assert_not_held,
  path,
  repeat,
  step,
  tries,
  under,
  when,
} from "../language.js";
import { lru_lock, PG_locked } from "../locks.js";
import { LRU, VM_EXEC } from "../structs.js";
import { int, NONE, type Pfn, pfn } from "../types.js";
import { mod_isolated, recent_rotated, recent_scanned } from "./mmzone.js";
import {
  ClearPageActive,
  PageActive,
  page_count,
  page_has_private,
  page_is_file_cache,
  SetPageLRU,
  trylock_page,
  unlock,
} from "./page.js";
import { page_referenced, referenced_ptes, referenced_vm_flags } from "./rmap.js";
import {
  add_page_to_lru_list,
  isolate_lru_pages,
  lru_add_drain,
  page_evictable,
  page_lru,
  put_page,
  putback_lru_page,
} from "./swap.js";
import { act, chain_length, try_to_release_page, unlink_first } from "./vmscan.js";
import { note_workingset } from "./workingset.js";

/**
 * buffer_heads_over_limit: more heads than a tenth of memory would hold, at 39 heads of 104 bytes a page. A page has one. The
 * kernel counts them anew now and then, this machine each time.
 */
export function buffer_heads_over_limit(k: Kernel): boolean {
  const max_buffer_heads = Math.floor(k.geometry.pages / 10) * 39;
  let heads = 0;
  for (let page = 0; page < k.geometry.pages; page++) if (page_has_private(k, page)) heads++;
  return heads > max_buffer_heads;
}

/** Take a page out of a chain of isolated pages; gives the chain. */
function unlink(k: Kernel, chain: number, page: Pfn): number {
  list_del(k, page);
  const rest = k.page.lru_next[page];
  k.page.lru_next[page] = 0;
  if (chain === page + 1) return rest;
  let before = chain - 1;
  while (k.page.lru_next[before] !== page + 1) before = k.page.lru_next[before] - 1;
  k.page.lru_next[before] = rest;
  return chain;
}

/**
 * move_active_pages_to_lru, for what stays active and for what does not. Nobody asks again whether a page is evictable: one that
 * was mlocked meanwhile waits on an evictable list until reclaim meets it.
 */
function move_active_pages_to_lru(k: Kernel, chain: number): void {
  for (let first = chain; first !== 0; ) {
    const page = first - 1;
    first = unlink_first(k, first);
    SetPageLRU(k, page);
    add_page_to_lru_list(k, page, page_lru(k, page));
    if (!PageActive(k, page) && page_count(k, page) > 1) k.count("pgdeactivate");
    put_page(k, page);
  }
}

/**
 * Age the active list: everything goes to the inactive one, but for executable pages of files that were used through
 * their PTEs.
 */
const shrink_active = (file: boolean) =>
  path(
    "shrink_active_list",
    {
      source: "mm/vmscan.c v4.20",
      args: { nr_to_scan: int },
      locals: { l_hold: int, rest: int, page: pfn, used: int, nr_taken: int },
    },
    [
      under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
      under(lru_lock, [
        step("isolate_lru_pages", (k, f) => {
          f.l_hold = isolate_lru_pages(k, file ? LRU.active_file : LRU.active_anon, f.nr_to_scan);
          f.rest = f.l_hold;
          f.nr_taken = chain_length(k, f.l_hold);
          mod_isolated(k, file, f.nr_taken);
          recent_scanned(k, file, f.nr_taken);
          k.count("pgrefill", f.nr_taken);
        }),
      ]),
      repeat(
        (_, f) => f.rest !== 0,
        [
          local((k, f) => {
            f.page = f.rest - 1;
            f.rest = k.page.lru_next[f.page];
          }),
          config("mlock", [
            when("!page_evictable", (k, f) => !page_evictable(k, f.page), [
              step("putback_lru_page", (k, f) => {
                f.l_hold = unlink(k, f.l_hold, f.page);
                putback_lru_page(k, f.page);
              }),
              goto("next"),
            ]),
          ]),
          config("buffer_heads_limit", [
            when("page_has_private", (k, f) => page_has_private(k, f.page) && buffer_heads_over_limit(k), [
              tries(
                PG_locked,
                check("trylock_page", (k, f) => trylock_page(k, f.page), "unlocked"),
              ),
              when("page_has_private", (k, f) => page_has_private(k, f.page), [
                call(() => try_to_release_page, { page: "page" }, "used"),
                local((k, f) => {
                  if (f.used === 1) act(k, f.page, "stripped");
                  f.used = 0;
                }),
              ]),
              unlock(),
              label("unlocked"),
            ]),
          ]),
          call(() => page_referenced, { page: "page", is_locked: 0 }, "used"),
          lockdep_assert_not_held(PG_locked),
          local((k, f) => {
            // The kernel adds them up and does this under the lru_lock, at the end.
            if (referenced_ptes(f.used) > 0) recent_rotated(k, file, 1);
          }),
          // A page of a running program is worth more than what is read once.
          given(
            (k, f) => (referenced_vm_flags(f.used) & VM_EXEC) !== 0 && page_is_file_cache(k, f.page),
            [goto("next")],
          ),
          step("ClearPageActive", (k, f) => {
            ClearPageActive(k, f.page);
            note_workingset(k, f.page);
            f.page = NONE;
            f.used = 0;
          }),
          label("next"),
          local((_, f) => {
            f.page = NONE;
            f.used = 0;
          }),
        ],
      ),
      under(lru_lock, [
        step("move_active_pages_to_lru", (k, f) => {
          move_active_pages_to_lru(k, f.l_hold);
          f.l_hold = 0;
          mod_isolated(k, file, -f.nr_taken);
        }),
      ]),
    ],
  );
export const shrink_active_list = shrink_active(true);
export const shrink_active_anon = shrink_active(false);
