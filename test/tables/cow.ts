/**
 * The cases of the kernel's selftest cow.c (tools/testing/selftests/mm/cow.c), one page each: a process and a child
 * that fork makes, moved by hand in the order in which the test makes them wait for each other.
 */
import { old_anonymous } from "../../src/kernel/boot.js";
import { io_sqe_buffer_register } from "../../src/kernel/drivers/io_uring.js";
import { vmsplice_to_pipe } from "../../src/kernel/fs/splice.js";
import { call, down_read, path, up_read } from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { get_user_pages, get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { mm_of, page_behind } from "../../src/kernel/mm/memory.js";
import { page_of } from "../../src/kernel/mm/user_pages.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_WRITE } from "../../src/kernel/structs.js";
import { int, NONE, pages_nr, vpn } from "../../src/kernel/types.js";
import { findKernel } from "../../src/patches/kernels.js";
import { FOLL_LONGTERM } from "../../src/patches/longterm_flag.js";
import { FOLL_PIN } from "../../src/patches/pin_user_pages.js";
import { disk, load, reclaim, store } from "../kernel/actors.js";
import { type Actor, Hand, type Small, small } from "../kernel/harness.js";
import { anonymous, exit, fork, mprotect, munmap } from "../kernel/processes.js";

const PIN = { args: { at: vpn, flags: int, pages: pages_nr }, source: "a test" } as const;

/** PIN_LONGTERM_TEST_START without FLAG_USE_FAST, and with it: a pin for reading. */
const pin_user_pages = path("pin_user_pages", PIN, [
  down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
  call(() => get_user_pages, { start: "at", nr: 1, flags: "flags", pages: "pages" }),
  up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
]);
const pin_user_pages_fast = path("pin_user_pages_fast", PIN, [
  call(() => get_user_pages_fast, { start: "at", nr: 1, write: "flags", pages: "pages" }),
]);

const ends = (of: Actor["path"], ...args: number[]): Actor => ({ path: of, args, ends: true });

/** Where the page comes from. */
export type Backing = "base page" | "swapped-out base page" | "zeropage" | "memfd" | "tmpfile";

/** The parent's address and its child's; arrays of pages: vmsplice's stack and pipe, a pin. */
const PARENT = 0;
const CHILD = 1;
const STACK = 0;
const PIPE = 1;

const machines: Readonly<Record<Backing, Small>> = {
  "base page": anonymous(1, { pages: 8, dios: 2, config: ["swap"] }),
  "swapped-out base page": {
    ...anonymous(1, { pages: 8, dios: 2, config: ["swap"] }),
    prepare: (k) => {
      old_anonymous(k, PARENT);
    },
  },
  zeropage: anonymous(1, { pages: 8, dios: 2 }),
  memfd: { fs: FS.tmpfs, pages: 8, vmas: [VM_WRITE], geometry: { pages: 8, dios: 2, config: ["mmap"] } },
  tmpfile: { fs: FS.ext4, pages: 8, vmas: [VM_WRITE], geometry: { pages: 8, dios: 2, config: ["mmap"] } },
};

const longterm = (kernel: string): number =>
  findKernel(kernel).patches.some(({ name }) => name === "pin-user-pages") ? FOLL_PIN | FOLL_LONGTERM : 0;

/** One case under way. */
export class Cow {
  readonly h: Hand;

  /** @param flags of the pins; default a long-term pin, where the kernel has such */
  constructor(kernel: string, backing: Backing, flags = longterm(kernel)) {
    const anon = !["memfd", "tmpfile"].includes(backing);
    this.h = new Hand(
      small(
        { ...machines[backing], kernel },
        {
          populate: backing === "base page" ? store(PARENT) : load(PARENT),
          write: store(PARENT),
          protect: mprotect(PARENT, 1, 0),
          unprotect: mprotect(PARENT, 1, 1),
          register: ends(io_sqe_buffer_register, PARENT, 1, STACK),
          pin: ends(pin_user_pages, PARENT, flags, STACK),
          pin_fast: ends(pin_user_pages_fast, PARENT, flags, STACK),
          splice: ends(vmsplice_to_pipe, PARENT, 1, STACK, PIPE),
          unmap: munmap(PARENT, 1),
          disk,
          out: reclaim(1),
          gone: reclaim(1),
          ...(anon
            ? {
                fork: fork(),
                child_reads: load(CHILD),
                child_writes: store(CHILD),
                child_splices: ends(vmsplice_to_pipe, CHILD, 1, STACK, PIPE),
                child_unmaps: munmap(CHILD, 1),
                child_exits: exit(1),
              }
            : {}),
        },
      ),
    );
    if (backing !== "swapped-out base page") this.does("populate");
    else {
      for (const task of ["out", "disk", "gone"]) this.h.go(task);
      if (page_behind(this.h.k, PARENT) !== NONE) throw new Error("the page is not in swap");
    }
  }

  /** Tasks, each to its end; the disk serves them. */
  does(...tasks: readonly string[]): this {
    for (const task of tasks) {
      for (let turns = 0; !this.h.finished(task); turns++) {
        if (turns > 20) throw new Error(`${task} waits: ${this.h.next(task)}`);
        this.h.go(task);
        if (!this.h.finished(task)) this.h.go("disk");
      }
    }
    return this;
  }

  /** The paths in which a task is on its way to its end. */
  paths(task: string): Set<string> {
    const found = new Set<string>();
    while (this.h.enabled(task)) {
      found.add(this.h.path(task));
      this.h.step(task);
    }
    return found;
  }

  /** The bytes that somebody sees, by their generation. */
  private bytes(page: number): number {
    if (page === NONE) throw new Error("no page");
    return this.h.k.content.version[page];
  }
  get child(): number {
    return this.bytes(page_behind(this.h.k, CHILD));
  }
  get pipe(): number {
    return this.bytes(page_of(this.h.k, PIPE, 0));
  }
  /** Whether what has been pinned is what the process sees. */
  get reliable(): boolean {
    const page = page_of(this.h.k, STACK, 0);
    if (page === NONE) throw new Error("nothing is pinned");
    return page === page_behind(this.h.k, PARENT);
  }
}
