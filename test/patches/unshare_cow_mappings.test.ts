/** Long-term pins for reading of private mappings (v6.2), and the zero page (v6.5). */

import { describe, expect, it } from "vitest";
import { runLine, runScript, statements } from "../../src/cli/shell.js";
import { ib_umem_get } from "../../src/kernel/drivers/infiniband.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { call, down_read, path, up_read } from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { FOLL, get_user_pages, get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { mm_of, page_behind } from "../../src/kernel/mm/memory.js";
import { page_of } from "../../src/kernel/mm/user_pages.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { int, NONE, pages_nr, pfn, vpn } from "../../src/kernel/types.js";
import { Desk } from "../../src/lab/desk.js";
import { countersOf } from "../../src/lab/run.js";
import { FOLL_LONGTERM } from "../../src/patches/longterm_flag.js";
import { FOLL_PIN, unpin_user_page } from "../../src/patches/pin_user_pages.js";
import { naiveSearch } from "../explore/naive.js";
import { load, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { type Actor, Hand, type Small, small } from "../kernel/harness.js";
import { stubHost } from "../lab/stub_host.js";

const PIN = { source: "a test", args: { at: vpn, flags: int, pages: pages_nr } } as const;
const slow = path("slow", PIN, [
  down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
  call(() => get_user_pages, { start: "at", nr: 1, flags: "flags", pages: "pages" }),
  up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
]);
const fast = path("fast", PIN, [
  call(() => get_user_pages_fast, { start: "at", nr: 1, write: "flags", pages: "pages" }),
]);
const unpins = path("unpins", { source: "a test", args: { page: pfn } }, [
  call(() => unpin_user_page, { page: "page" }),
]);
const ends = (of: Actor["path"], ...args: number[]): Actor => ({ path: of, args, ends: true });

const LONGTERM = FOLL_PIN | FOLL_LONGTERM;

/** A process that maps one page: a file's on tmpfs, if `more` says nothing else. */
const machine = (kernel: string, vma: number, more: Partial<Small> = {}): Small => ({
  kernel,
  fs: FS.tmpfs,
  vmas: [vma],
  ...more,
  geometry: { pages: 4, dios: 2, config: ["mmap"], ...more.geometry },
});
const mapping = (
  kernel: string,
  vma: number,
  more: Partial<Small> = {},
  actors: Readonly<Record<string, Actor>> = {},
): Hand =>
  new Hand(
    small(machine(kernel, vma, more), {
      load: load(0),
      store: store(0),
      pin: ends(slow, 0, LONGTERM, 0),
      fast: ends(fast, 0, LONGTERM, 0),
      short_fast: ends(fast, 0, FOLL_PIN, 1),
      ...actors,
    }),
  );
/** Anonymous memory: the zero page, as long as nobody has written. */
const ZERO: Partial<Small> = {
  cached: false,
  geometry: { files: [], vmas: [{ pages: 1, flags: VM_WRITE }] },
};

const stale = (k: Kernel, pages = 0): boolean =>
  page_of(k, pages, 0) !== NONE && page_of(k, pages, 0) !== page_behind(k, 0);

describe("a long-term pin for reading of a private mapping, and a store (W12)", () => {
  const some = (kernel: string, pin: string, more?: Partial<Small>): boolean => {
    const pages = pin.startsWith("short") ? 1 : 0;
    const flags = pages === 1 ? FOLL_PIN : LONGTERM;
    const actors = { pin: ends(pin.endsWith("fast") ? fast : slow, 0, flags, pages), store: store(0) };
    const world = small(machine(kernel, VM_WRITE, more), actors);
    let found = false;
    naiveSearch(world, undefined, ({ k }) => {
      found ||= stale(k, pages);
    });
    return found;
  };

  it.each(["pin", "fast"])(
    "%s: parts from its process in some order up to v6.1, in none from v6.2 on",
    (pin) => {
      for (const more of [{}, ZERO])
        expect([some("v6.1", pin, more), some("v6.2", pin, more)]).toEqual([true, false]);
    },
  );

  it.each(["short", "short_fast"])("%s: one that is not for long takes what it finds, as before", (pin) => {
    expect(some("v6.2", pin)).toBe(true);
  });
});

describe("what it is of (84209e87c696)", () => {
  it("a copy, which the process has from then on, read-only; the file's page is left alone", () => {
    const h = mapping("v6.2", VM_WRITE).go("load");
    const of_file = page_behind(h.k, 0);
    h.go("pin");
    const pinned = page_of(h.k, 0, 0);
    expect([pinned === of_file, page_behind(h.k, 0) === pinned, h.pte()]).toEqual([false, true, "ry"]);
    expect([h.has("anon_exclusive", pinned), h.k.page.mapcount[of_file]]).toEqual([true, 0]);
    h.go("store");
    expect([stale(h.k), h.k.content.version[of_file]]).toEqual([false, 0]);
  });

  it("zeroes of its own, where the process saw the zero page", () => {
    const h = mapping("v6.2", VM_WRITE, ZERO).go("load").go("pin");
    expect([page_of(h.k, 0, 0), h.pte(), h.k.content.version[0]]).toEqual([0, "ry", 0]);
  });

  it("the fast walk leaves every page of a file to the slow path, that of a shared mapping, too", () => {
    const h = mapping("v6.2", VM_WRITE).go("load");
    const steps = h.trace("fast", () => h.go("fast"));
    expect(steps.filter((step) => step === "put_compound_head" || step === "do_wp_page")).toEqual([
      "put_compound_head",
      "do_wp_page",
    ]);
    expect(page_of(h.k, 0, 0)).toBe(page_behind(h.k, 0));
    const shared = mapping("v6.2", VM_SHARED, { fs: FS.ext4 }).go("load");
    const slowly = shared.trace("fast", () => shared.go("fast"));
    expect([slowly.includes("put_compound_head"), slowly.includes("do_wp_page")]).toEqual([true, false]);
    expect(page_of(shared.k, 0, 0)).toBe(page_behind(shared.k, 0));
  });

  it("a short pin is taken by the fast walk", () => {
    const h = mapping("v6.2", VM_WRITE).go("load");
    expect(h.trace("short_fast", () => h.go("short_fast"))).toContain("SetPageReferenced");
  });

  it("a patch that needs another one says so", () => {
    expect(() => mapping("v5.18+unshare-cow-mappings", VM_WRITE)).toThrow(
      "unshare-cow-mappings needs anon-exclusive and unshare-anon: say v5.18+anon-exclusive+unshare-anon+unshare-cow-mappings",
    );
  });
});

describe("a memory region that the card may not write (b40656aa7d55)", () => {
  const register = (kernel: string, vma: number, without = 0) => {
    const answers: number[] = [];
    const geometry = { vmas: [{ pages: 1, file: 1, flags: vma, without }] };
    const h = mapping(
      kernel,
      vma,
      { fs: FS.ext4, geometry },
      { register: ask(ib_umem_get, [0, 1, 0, 0], answers) },
    );
    h.go("register");
    return [answers[0], h];
  };

  it.each(["v6.1", "v6.2"])("%s: of a private mapping is of a copy", (kernel) => {
    const [answer, h] = register(kernel, VM_WRITE) as [number, Hand];
    const page = page_of(h.k, 0, 0);
    expect([answer, page === page_behind(h.k, 0), h.k.page.mapping[page] >= 0x8000]).toEqual([0, true, true]);
  });

  it("of a shared mapping that is read-only: refused up to v6.1, had from v6.2 on", () => {
    expect(register("v6.1", VM_SHARED, VM_MAYWRITE)[0]).toBe(-14);
    expect(register("v6.2", VM_SHARED, VM_MAYWRITE)[0]).toBe(0);
  });
});

describe("F33 the zero page (c8070b787519)", () => {
  const zero = (h: Hand): number => h.k.geometry.pages;
  const seen = (kernel: string, flags: number): number[] => {
    const actors = { get: ends(slow, 0, flags, 1), unpin: ends(unpins, 4) };
    const h = mapping(kernel, VM_WRITE, ZERO, actors).go("load").go("get");
    expect(page_of(h.k, 1, 0)).toBe(zero(h));
    const { nr_foll_pin_acquired } = countersOf(h.world);
    const refs = h.refs(zero(h));
    if (flags === FOLL_PIN) h.go("unpin");
    return [refs, nr_foll_pin_acquired, h.refs(zero(h)), countersOf(h.world).nr_foll_pin_released];
  };

  it.each([
    ["v6.4", FOLL_PIN, [1025, 1, 1, 1]],
    ["v6.5", FOLL_PIN, [1, 0, 1, 0]],
    // A reference is one.
    ["v6.5", 0, [2, 0, 2, 0]],
  ])(
    "on %s with flags %i: references, acquired, references after the unpin, released: %j",
    (kernel, flags, expected) => {
      expect(seen(kernel, flags)).toEqual(expected);
    },
  );

  it("another page is counted as before", () => {
    const h = mapping("v6.5", VM_WRITE, ZERO, {
      unpin: ends(unpins, 0),
      pinned: ends(slow, 0, FOLL.WRITE | FOLL_PIN, 1),
    });
    const refs = h.go("store").refs(0);
    expect([h.go("pinned").refs(0) - refs, h.go("unpin").refs(0) - refs]).toEqual([1024, 0]);
  });

  it.each([
    ["v6.4", [1, 1]],
    ["v6.5", [0, 0]],
  ])(
    "O_DIRECT that writes zeroes from memory which nobody has touched, on %s: acquired and released %j",
    async (kernel, expected) => {
      const desk = new Desk({
        ...stubHost,
        script: runScript,
      });
      desk.start("sandbox", kernel);
      for (const statement of statements("load 4; pwrite 4 1; step dmaA 9")) await runLine(desk, statement);
      const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(desk.world);
      expect([nr_foll_pin_acquired, nr_foll_pin_released]).toEqual(expected);
      expect(desk.world.k.page._refcount[desk.world.k.geometry.pages]).toBe(1);
    },
  );
});
