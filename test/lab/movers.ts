/** Tasks that isolate and move one page, for tests. */
import { call, local, path, step } from "../../src/kernel/language.js";
import { MIGRATE, unmap_and_move } from "../../src/kernel/mm/migrate.js";
import { ClearPageLRU, get_page } from "../../src/kernel/mm/page.js";
import { del_page_from_lru_list, lru_add_drain, page_lru } from "../../src/kernel/mm/swap.js";
import { int, pfn } from "../../src/kernel/types.js";
import type { Actor } from "../kernel/harness.js";

const isolate = step<{ readonly page: number }>("isolate_lru_page", (k, f) => {
  lru_add_drain(k);
  get_page(k, f.page);
  del_page_from_lru_list(k, f.page, page_lru(k, f.page));
  ClearPageLRU(k, f.page);
});

const isolate_one = path("isolate_one", { source: "a test", args: { page: pfn } }, [isolate]);
const migrate_one = path("migrate_one", { source: "a test", args: { page: pfn }, locals: { rc: int } }, [
  isolate,
  call(() => unmap_and_move, { page: "page", force: 1, mode: MIGRATE.SYNC }, "rc"),
  local((_, f) => {
    f.rc = 0;
  }),
]);

export const isolateOne = (page: number): Actor => ({ path: isolate_one, args: [page], ends: true });
export const migrateOne = (page: number): Actor => ({ path: migrate_one, args: [page], ends: true });
