/** The slow path's tests, flags and errors (3.1, 3.2), and who holds mmap_sem. */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import {
  __get_user_pages_fast,
  FOLL,
  get_dump_page,
  get_user_pages,
  get_user_pages_fast,
  get_user_pages_longterm,
  get_user_pages_unlocked,
} from "../../../src/kernel/mm/gup.js";
import { VM_IO, VM_PFNMAP, VM_READ, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { flusher, load, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const { EFAULT } = ERRNO;

/** A file of two pages; the second VMA may have other flags. */
function world(
  actors: (answers: number[]) => Record<string, Actor>,
  second = VM_SHARED | VM_WRITE,
  without = 0,
) {
  const answers: number[] = [];
  const h = new Hand(
    small(
      {
        filePages: 2,
        pages: 6,
        geometry: {
          vmas: [
            { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
            { pages: 1, file: FILE, pgoff: 1, flags: second, without },
            { pages: 1, flags: VM_WRITE },
          ],
          dios: 8,
          dioPages: 3,
        },
      },
      actors(answers),
    ),
  );
  return { h, answers };
}

describe("partial results: an error only when nothing was taken (3.2)", () => {
  for (const [name, path] of [
    ["get_user_pages", get_user_pages],
    ["get_user_pages_unlocked", get_user_pages_unlocked],
    ["get_user_pages_fast", get_user_pages_fast],
  ] as const) {
    it(`${name}: the first page can be had, the second not: 1, and the caller owns it`, () => {
      const { h, answers } = world((a) => ({ gup: ask(path, [0, 2, FOLL.WRITE, 0], a) }), VM_SHARED);
      h.go("gup");
      expect([answers, [...h.k.page.pins]].flat().slice(0, 3)).toEqual([1, 1, 0]);
      expect(h.k.user_pages.nr[0]).toBe(1);
    });

    it(`${name}: not even the first: -EFAULT`, () => {
      const { h, answers } = world((a) => ({ gup: ask(path, [1, 1, FOLL.WRITE, 0], a) }), VM_SHARED);
      h.go("gup");
      expect([answers, h.k.page.pins.some((pins) => pins > 0)]).toEqual([[-EFAULT], false]);
    });
  }

  it("a slow error after fast success gives the fast count (3.2)", () => {
    const { h, answers } = world(
      (a) => ({ store: store(0), gup: ask(get_user_pages_fast, [0, 2, 1, 0], a) }),
      VM_SHARED,
    );
    h.go("store");
    const steps = h.trace("gup", () => h.go("gup"));
    expect([answers, steps.includes("SetPageReferenced"), steps.includes("handle_pte_fault")]).toEqual([
      [1],
      true,
      false,
    ]);
  });

  it("__get_user_pages_fast never faults and never fails: what is not there is not counted", () => {
    const { h, answers } = world((a) => ({
      store: store(0),
      gup: ask(__get_user_pages_fast, [0, 2, 1, 0], a),
    }));
    const steps = h.go("store").trace("gup", () => h.go("gup"));
    expect([answers, steps.includes("handle_pte_fault")]).toEqual([[1], false]);
  });

  it("no pages asked for: 0", () => {
    const { h, answers } = world((a) => ({ gup: ask(get_user_pages, [0, 0, FOLL.WRITE, 0], a) }));
    h.go("gup");
    expect(answers).toEqual([0]);
  });
});

describe("FOLL_FORCE: a debugger's write (3.1; F72's Dirty COW as v4.20 closed it)", () => {
  it("to a read-only private mapping: a copy, its PTE dirty and read-only; the file's page is not touched", () => {
    const { h, answers } = world(
      (a) => ({ load: load(1), gup: ask(get_user_pages, [1, 1, FOLL.WRITE | FOLL.FORCE, 0], a) }),
      VM_READ,
    );
    const file = h.go("load").k.xa_slot.page[1] - 1;
    h.go("gup");
    const taken = h.k.user_page.page[0] - 1;
    expect(answers).toEqual([1]);
    expect(taken).not.toBe(file);
    expect([h.pte(1), h.k.page.pins[file], h.has("swapbacked", taken)]).toEqual(["rdy", 0, true]);
  });

  it("looks, faults for the copy, faults for VM_FAULT_WRITE, and takes the page by the dirty PTE", () => {
    const { h } = world(
      (a) => ({ gup: ask(get_user_pages, [1, 1, FOLL.WRITE | FOLL.FORCE, 0], a) }),
      VM_READ,
    );
    const steps = h.trace("gup", () => h.go("gup"));
    expect(steps.filter((step) => step === "follow_page_pte").length).toBe(
      steps.filter((step) => step === "handle_pte_fault").length + 1,
    );
    expect(steps.filter((step) => step === "handle_pte_fault").length).toBe(2);
  });

  it("a dirty, read-only PTE without FOLL_COW is not enough: a page of the file is never taken", () => {
    const { h } = world(
      (a) => ({ load: load(1), gup: ask(get_user_pages, [1, 1, FOLL.WRITE | FOLL.FORCE, 0], a) }),
      VM_READ,
    );
    const file = h.go("load").k.xa_slot.page[1] - 1;
    h.k.pte.entry[1] |= PTE_BIT.dirty;
    h.go("gup");
    expect(h.k.page.pins[file]).toBe(0);
  });

  it("to a read-only shared mapping: -EFAULT", () => {
    const { h, answers } = world(
      (a) => ({ gup: ask(get_user_pages, [1, 1, FOLL.WRITE | FOLL.FORCE, 0], a) }),
      VM_SHARED,
    );
    h.go("gup");
    expect(answers).toEqual([-EFAULT]);
  });
});

describe("VMAs that have no pages to give", () => {
  for (const [name, flag] of [
    ["VM_IO", VM_IO],
    ["VM_PFNMAP", VM_PFNMAP],
  ] as const) {
    it(`${name}: -EFAULT, whatever is asked`, () => {
      const { h, answers } = world(
        (a) => ({ gup: ask(get_user_pages, [1, 1, FOLL.FORCE, 0], a) }),
        VM_SHARED | VM_WRITE | flag,
      );
      h.go("gup");
      expect(answers).toEqual([-EFAULT]);
    });
  }

  it("FOLL_ANON on a file: -EFAULT; on anonymous memory: the page", () => {
    const { h, answers } = world((a) => ({
      file: ask(get_user_pages, [0, 1, FOLL.ANON, 0], a),
      anon: ask(get_user_pages, [2, 1, FOLL.ANON | FOLL.WRITE, 1], a),
    }));
    h.go("file").go("anon");
    expect(answers).toEqual([-EFAULT, 1]);
  });
});

describe("FOLL_DUMP: a core dump leaves holes", () => {
  it("untouched anonymous memory gives no page, and is not filled in", () => {
    const { h, answers } = world((a) => ({ dump: ask(get_dump_page, [2, 0], a) }));
    h.go("dump");
    expect([answers, h.pte(2)]).toEqual([[0], "none"]);
  });

  it("nor does the zero page; a file's page is faulted in", () => {
    const { h, answers } = world((a) => ({
      load: load(2),
      zero: ask(get_dump_page, [2, 0], a),
      file: ask(get_dump_page, [0, 1], a),
    }));
    h.go("load").go("zero").go("file");
    expect(answers).toEqual([0, 1]);
  });
});

describe("the zero page", () => {
  it("a read of untouched anonymous memory takes it, by the slow path: gup-fast stops at a special PTE", () => {
    const { h, answers } = world((a) => ({
      load: load(2),
      fast: ask(__get_user_pages_fast, [2, 1, 0, 0], a),
      slow: ask(get_user_pages_fast, [2, 1, 0, 1], a),
    }));
    h.go("load").go("fast").go("slow");
    expect([answers, h.k.page.pins[h.k.geometry.pages]]).toEqual([[0, 1], 1]);
  });
});

describe("get_user_pages_longterm (3.6, E1)", () => {
  it("is get_user_pages where no file is on fsdax: files with writeback are taken for as long as anybody likes", () => {
    const { h, answers } = world((a) => ({
      gup: ask(get_user_pages_longterm, [0, 2, FOLL.WRITE, 0], a),
      flusher,
    }));
    h.go("gup").go("flusher");
    expect([answers, h.k.page.pins[0], h.pte(0)]).toEqual([[2], 1, "ry"]);
  });
});
