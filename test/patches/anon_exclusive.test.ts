/**
 * PG_anon_exclusive and unsharing (v5.19): where the flag is set and cleared, whom it keeps away, and what holds in
 * every order.
 */
import { describe, expect, it } from "vitest";
import { old_anonymous } from "../../src/kernel/boot.js";
import { ib_umem_get } from "../../src/kernel/drivers/infiniband.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { call, down_read, path, up_read } from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { FOLL, get_user_pages, get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { mm_of, page_behind, pte_pfn, pte_present, pte_write } from "../../src/kernel/mm/memory.js";
import { get_page } from "../../src/kernel/mm/page.js";
import { is_migration_entry, is_swap_entry } from "../../src/kernel/mm/swapops.js";
import { page_of } from "../../src/kernel/mm/user_pages.js";
import { FS } from "../../src/kernel/operations.js";
import { isAnon, VM_WRITE } from "../../src/kernel/structs.js";
import { int, NONE, pages_nr, vpn } from "../../src/kernel/types.js";
import { explore } from "../../src/lab/explore.js";
import { pageView } from "../../src/lab/views.js";
import { PageAnonExclusive } from "../../src/patches/anon_exclusive.js";
import { FOLL_PIN } from "../../src/patches/pin_user_pages.js";
import { naiveSearch } from "../explore/naive.js";
import { disk, load, reclaim, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { type Actor, Hand, type Small, small } from "../kernel/harness.js";
import { migrateOne } from "../kernel/movers.js";
import { anonymous, childs, exit, fork, mprotect } from "../kernel/processes.js";
import { Invariants } from "../lab/invariants.js";

const PIN = { source: "a test", args: { at: vpn, flags: int, pages: pages_nr } } as const;
const slow = path("slow", PIN, [
  down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
  call(() => get_user_pages, { start: "at", nr: 1, flags: "flags", pages: "pages" }),
  up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
]);
const fast = path("fast", PIN, [
  call(() => get_user_pages_fast, { start: "at", nr: 1, write: "flags", pages: "pages" }),
]);
const pins = (how: typeof slow, flags: number, pages = 0): Actor => ({
  path: how,
  args: [0, flags, pages],
  ends: true,
});

/** A process with a page of anonymous memory, and the child that fork makes. */
const machine = (options: Small = {}, more: Readonly<Record<string, Actor>> = {}) =>
  new Hand(
    small(
      { kernel: "v5.19", ...anonymous(1, { pages: 6, dios: 2, config: ["swap", "migration"] }), ...options },
      {
        store: store(0),
        again: store(0),
        load: load(0),
        fork: fork(),
        child: childs(1, 1),
        look: childs(1, 0),
        exits: exit(1),
        protect: mprotect(0, 1, 0),
        unprotect: mprotect(0, 1, 1),
        pin: pins(slow, FOLL_PIN),
        fast: pins(fast, FOLL_PIN),
        register: ask(ib_umem_get, [0, 1, 1, 1]),
        out: reclaim(1),
        gone: reclaim(1),
        disk,
        move: migrateOne(0),
        ...more,
      },
    ),
  );
const old: Small = {
  prepare: (k) => {
    old_anonymous(k, 0);
  },
};

const exclusive = (h: Hand, at = 0): boolean => PageAnonExclusive(h.k, page_behind(h.k, at));
const page_at = (h: Hand, at = 0): number => page_behind(h.k, at);

describe("a page is marked", () => {
  it("when it is new, and not before v5.19", () => {
    expect(exclusive(machine().go("store"))).toBe(true);
    expect(machine({ kernel: "v5.18" }).go("store").has("anon_exclusive")).toBe(false);
  });

  it("when the machine starts with it", () => {
    expect(exclusive(machine(old))).toBe(true);
  });

  it("when it is a copy: of a file's page, of a page that was shared", () => {
    const file = small(
      { kernel: "v5.19", fs: FS.tmpfs, pages: 4, vmas: [VM_WRITE] },
      { load: load(0), store: store(0), first: store(0) },
    );
    expect(exclusive(new Hand(file).go("load").go("store"))).toBe(true);
    const h = machine().go("store").go("fork").go("again");
    expect([page_at(h), exclusive(h)]).toEqual([1, true]);
  });

  it("when do_wp_page finds that nobody else has it", () => {
    const h = machine().go("store").go("fork").go("exits");
    expect(exclusive(h)).toBe(false);
    h.go("again");
    expect([page_at(h), exclusive(h), h.pte()]).toEqual([0, true, "rwdy"]);
  });

  it("and a reader of the page's flags sees it by its name", () => {
    const h = machine().go("store");
    expect(h.flags()).toContain("anon_exclusive");
    expect(pageView(h.world, 0).flags).toContain("anon_exclusive");
  });
});

describe("F72 a write to a marked page is in place, whoever refers to it", () => {
  it.each([
    ["v5.7", 0],
    ["v5.9", 1],
    ["v5.18", 1],
    ["v5.19", 0],
  ])("%s: a reference, mprotect and a store leave page %i", (kernel, page) => {
    const h = machine({ kernel }).go("store");
    get_page(h.k, 0);
    h.go("protect").go("unprotect").go("again");
    expect(page_at(h)).toBe(page);
  });
});

describe("fork (page_try_dup_anon_rmap)", () => {
  it("takes the mark of a page that it shares", () => {
    const h = machine().go("store").go("fork");
    expect([page_at(h), page_at(h, 1), exclusive(h), h.pte()]).toEqual([0, 0, false, "rdy"]);
  });

  it("F73 copies a page that may be pinned, and leaves the parent's as it is; the copy is marked", () => {
    const h = machine().go("store").go("register").go("fork");
    expect([page_at(h), exclusive(h), h.pte()]).toEqual([0, true, "rwdy"]);
    expect([page_at(h, 1), exclusive(h, 1), h.pte(1)]).toEqual([1, true, "rwd"]);
  });

  it("shares a page that was shared before, whoever pins the other one", () => {
    const h = machine().go("store").go("fork").go("pin");
    // The pin was of a copy.
    expect([page_at(h), page_at(h, 1), exclusive(h), exclusive(h, 1)]).toEqual([1, 0, true, false]);
  });

  it("takes the mark from an entry of swap, in parent and child", () => {
    const h = machine(old).go("out").go("disk").go("gone");
    const entry = h.k.pte.entry[0];
    expect(is_swap_entry(entry)).toBe(true);
    h.go("fork");
    expect(h.k.pte.entry[1]).toBe(h.k.pte.entry[0]);
    expect(h.k.pte.entry[0]).not.toBe(entry);
    h.go("load").go("disk").go("load");
    expect([h.finished("load"), exclusive(h)]).toEqual([true, false]);
  });
});

describe("reclaim (page_try_share_anon_rmap)", () => {
  const home = (h: Hand): Hand => h.go("load").go("disk").go("load");

  it("an entry of swap remembers that its page was one process's", () => {
    const h = home(machine(old).go("out").go("disk").go("gone"));
    expect([h.finished("load"), exclusive(h), h.pte()]).toEqual([true, true, "ry"]);
  });

  it("a page whose entry forgot is counted: the only reference makes it exclusive", () => {
    const h = machine(old).go("out").go("disk").go("gone").go("fork").go("exits");
    h.go("again").go("disk").go("again");
    expect([h.finished("again"), exclusive(h), h.pte()]).toEqual([true, true, "rwdy"]);
  });

  it("a page that is read back while it is being written is not marked on a disk that needs it to be stable", () => {
    const at = (stable_writes: boolean) => {
      const swap = { pages: 4, stable_writes };
      const on = anonymous(1, { pages: 6, dios: 2, swap, config: ["swap", "migration"] });
      const h = machine({ ...on, ...old }).go("out");
      expect(h.has("writeback")).toBe(true);
      return exclusive(h.go("load"));
    };
    expect([at(false), at(true)]).toEqual([true, false]);
  });

  it("a page that is pinned between the question and its unmapping keeps its PTE and its mark", () => {
    const seen = (kernel: string) => {
      const h = machine({ ...old, kernel })
        .until("out", "ptep_clear_flush")
        .go("register")
        .go("out");
      expect(page_of(h.k, 1, 0)).toBe(0);
      return [pte_present(h.k.pte.entry[0]), h.k.page.mapcount[0]];
    };
    expect(seen("v5.18")).toEqual([false, 0]);
    expect(seen("v5.19")).toEqual([true, 1]);
  });

  it("the window is v5.18's alone to be stale in: v5.11 counts PTEs when the page comes back, v5.19 does not let it go", () => {
    const outcomes = (kernel: string) =>
      explore("swap-pinned,holder=rdma,touch=writes,slots=1", { kernel, maxStates: 400_000 }).outcomes;
    expect(outcomes("v5.11")).not.toContain("STALE");
    expect(outcomes("v5.18")).toContain("STALE");
    expect(outcomes("v5.19")).not.toContain("STALE");
  });
});

describe("migration", () => {
  const moved = (h: Hand): Hand => h.go("move");

  it("a page that is moved is as exclusive as before, writable or not", () => {
    const h = moved(machine().go("store"));
    expect([page_at(h), exclusive(h), h.has("anon_exclusive", 0)]).toEqual([1, true, false]);
    const readable = moved(machine().go("store").go("protect"));
    expect([page_at(readable), exclusive(readable), readable.pte()]).toEqual([1, true, "r"]);
  });

  it("a page that was shared is not marked by its move", () => {
    const h = moved(machine().go("store").go("fork"));
    expect([page_at(h), page_at(h, 1), exclusive(h)]).toEqual([1, 1, false]);
  });

  it("a pinned page keeps its PTE: nothing is unmapped and put back", () => {
    const h = machine().go("store").go("register").go("move");
    expect([page_at(h), exclusive(h), h.pte()]).toEqual([0, true, "rwdy"]);
    // Up to v5.18 the PTE comes back clean and old.
    expect(machine({ kernel: "v5.18" }).go("store").go("register").go("move").pte()).toBe("rw");
  });

  it("the page becomes dirty before it is asked whether it is pinned, and keeps its PTE and the PTE's reference", () => {
    const h = machine();
    const invariants = new Invariants(h.world);
    const steps: string[] = [];
    for (const task of ["store", "register", "move"])
      while (h.enabled(task)) {
        steps.push(`${task}: ${h.next(task)}`);
        h.step(task);
        // The page stays isolated when the move is over.
        if (!h.finished("move")) expect(invariants.violated()).toBeNull();
      }
    expect(steps).toContain("move: TestSetPageDirty");
    expect([h.has("dirty"), h.pte(), h.k.page.mapcount[0]]).toEqual([true, "rwdy", 1]);
  });

  it("mprotect of a page that is under way leaves it exclusive", () => {
    const h = machine().go("store").until("move", "migrate_page_move_mapping");
    expect(is_migration_entry(h.k.pte.entry[0])).toBe(true);
    h.go("protect").go("move");
    expect([page_at(h), exclusive(h), h.pte()]).toEqual([1, true, "r"]);
  });

  it("fork of a page that is under way takes the mark", () => {
    const h = machine().go("store").until("move", "migrate_page_move_mapping").go("fork").go("move");
    expect([page_at(h), page_at(h, 1), exclusive(h)]).toEqual([1, 1, false]);
  });
});

describe("a pin for reading (gup_must_unshare; 3.2 G6, 3.3 Q7)", () => {
  /** Whether a task goes through the fault that unshares. */
  const unshares = (h: Hand, task: string): boolean => {
    let found = false;
    while (h.enabled(task)) {
      found ||= h.path(task) === "do_wp_page_unshare";
      h.step(task);
    }
    return found;
  };

  it.each(["pin", "fast"])(
    "%s: of a shared page is of a copy, which is clean and read-only, as nobody has written it",
    (how) => {
      const h = machine().go("store").go("fork");
      expect(unshares(h, how)).toBe(true);
      expect([page_of(h.k, 0, 0), page_at(h), h.pte()]).toEqual([1, 1, "ry"]);
      expect([h.k.content.version[1], exclusive(h), h.k.page.mapcount[0]]).toEqual([1, true, 1]);
    },
  );

  it("of a page that was shared marks it, and copies nothing", () => {
    const h = machine().go("store").go("fork").go("exits");
    expect(unshares(h, "pin")).toBe(true);
    expect([page_of(h.k, 0, 0), exclusive(h), h.pte()]).toEqual([0, true, "rdy"]);
  });

  it("of an exclusive page is taken at once, by the fast walk too", () => {
    const h = machine().go("store").go("protect");
    expect(h.trace("fast", () => h.go("fast"))).toContain("SetPageReferenced");
    expect(page_of(h.k, 0, 0)).toBe(0);
  });

  it("the fast walk has pinned a shared page by the time it looks, and drops it", () => {
    const h = machine().go("store").go("fork");
    const refs = h.refs();
    h.past("fast", "!gup_must_unshare");
    expect(h.refs()).toBe(refs + 1024);
    h.past("fast", "put_compound_head");
    expect(h.refs()).toBe(refs);
  });

  it("a PTE that has changed by the time of the fault is left alone, and looked at again", () => {
    const h = machine().go("store").go("fork").until("pin", "do_wp_page").go("again").go("pin");
    expect([page_of(h.k, 0, 0), page_at(h), h.pte()]).toEqual([1, 1, "rwdy"]);
  });

  it("a plain reference takes the shared page, as ever", () => {
    const h = machine({}, { plain: pins(slow, 0, 1) })
      .go("store")
      .go("fork");
    expect(unshares(h, "plain")).toBe(false);
    expect(page_of(h.k, 1, 0)).toBe(0);
  });

  it("a forced write of a page that the process may not write still ends with FOLL_COW", () => {
    const forced = pins(slow, FOLL.WRITE | FOLL.FORCE | FOLL_PIN, 1);
    const h = machine({}, { forced }).go("store").go("fork").go("protect").go("forced");
    expect([page_of(h.k, 1, 0), page_at(h), exclusive(h), h.pte()]).toEqual([1, 1, true, "rdy"]);
  });
});

/** What must hold in every state: what the flag says is so, and pins have pages that their process sees. */
function violated(k: Kernel, taken: boolean): string | null {
  const pinned = taken ? page_of(k, 0, 0) : NONE;
  if (pinned !== NONE && page_behind(k, 0) !== pinned) return "a pin of a page that its process does not see";
  // Or it is on its way through migration, which will find the pin.
  if (pinned !== NONE && pte_present(k.pte.entry[0]) && !PageAnonExclusive(k, pinned))
    return "a pin of a page that may be shared";
  for (const [at, entry] of k.pte.entry.entries()) {
    if (!pte_present(entry)) continue;
    const page = pte_pfn(entry);
    if (page >= k.geometry.pages || !isAnon(k.page.mapping[page])) continue;
    if (pte_write(entry) && !PageAnonExclusive(k, page))
      return `writable PTE ${at} of a page that may be shared`;
  }
  for (let page = 0; page < k.geometry.pages; page++)
    if (PageAnonExclusive(k, page) && k.page.mapcount[page] > 1)
      return `exclusive page ${page} is mapped twice`;
  return null;
}

describe("in every order (v5.19)", () => {
  const search = (h: Hand): string[] => {
    const found = new Set<string>();
    naiveSearch(h.world, undefined, ({ k }) => {
      // What the fast walk has not handed out it may still drop.
      const what = violated(k, h.finished("pin"));
      if (what !== null) found.add(what);
    });
    return [...found];
  };
  const threads = (more: Readonly<Record<string, Actor>>, kernel = "v5.19"): Hand =>
    new Hand(
      small(
        { kernel, ...anonymous(1, { pages: 5, dios: 1, config: ["migration"] }) },
        { first: store(0), ...more },
      ),
    ).go("first");

  it.each([
    ["slow", slow, FOLL_PIN],
    ["fast", fast, FOLL_PIN],
    ["fast, for writing", fast, FOLL_PIN | FOLL.WRITE],
  ])("a pin (%s), a fork, a child that writes, a store", (_, how, flags) => {
    const actors = { pin: pins(how, flags), fork: fork(), child: childs(1, 1), store: store(0) };
    expect(search(threads(actors))).toEqual([]);
  });

  it.each([
    ["slow", slow],
    ["fast", fast],
  ])("a pin (%s), a migration, mprotect, a store", (_, how) => {
    const actors = {
      pin: pins(how, FOLL_PIN),
      move: migrateOne(0),
      protect: mprotect(0, 1, 0),
      store: store(0),
    };
    expect(search(threads(actors))).toEqual([]);
  });

  it("v5.18 has no such promise: the process parts from its pin", () => {
    const actors = { pin: pins(slow, FOLL_PIN), fork: fork(), store: store(0) };
    expect(search(threads(actors, "v5.18"))).toContain("a pin of a page that its process does not see");
  });
});
