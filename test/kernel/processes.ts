/** Tasks and machines for the tests of processes: what a task does to its address space, one call each. */
import { do_exit } from "../../src/kernel/exit.js";
import { fork as fork_path, ret_from_fork } from "../../src/kernel/fork.js";
import type { GeometryOptions } from "../../src/kernel/geometry.js";
import { call, path, step } from "../../src/kernel/language.js";
import { madvise as madvise_path } from "../../src/kernel/mm/madvise.js";
import { mlock as mlock_path, munlock as munlock_path } from "../../src/kernel/mm/mlock.js";
import { mmap as mmap_path, munmap as munmap_path } from "../../src/kernel/mm/mmap.js";
import { mprotect as mprotect_path } from "../../src/kernel/mm/mprotect.js";
import { VM_WRITE } from "../../src/kernel/structs.js";
import { int, vpn } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import type { Actor, Small } from "./harness.js";

const ends = (of: Actor["path"], ...args: number[]): Actor => ({ path: of, args, ends: true });

export const fork = (mm = 0, child = 1): Actor => ends(fork_path, mm, child);
export const exit = (mm: number): Actor => ends(do_exit, mm);
export const mmap = (area: number): Actor => ends(mmap_path, area);
export const munmap = (start: number, nr = 1): Actor => ends(munmap_path, start, nr);
export const mprotect = (start: number, nr: number, write: 0 | 1): Actor =>
  ends(mprotect_path, start, nr, write);
export const madvise = (start: number, nr: number, behavior: number): Actor =>
  ends(madvise_path, start, nr, behavior);
export const mlock = (start: number, nr = 1): Actor => ends(mlock_path, start, nr);
export const munlock = (start: number, nr = 1): Actor => ends(munlock_path, start, nr);

const child_access = path("child", { source: "a test", args: { mm: int, at: vpn, write: int } }, [
  call(() => ret_from_fork, { mm: "mm" }),
  call(() => cpu_access, { at: "at", write: "write" }),
]);

const child_exit = path("child", { source: "a test", args: { mm: int } }, [
  call(() => ret_from_fork, { mm: "mm" }),
  call(() => do_exit, { mm: "mm" }),
]);

const forks_and_stores = path("parent", { source: "a test", args: { at: vpn } }, [
  call(() => cpu_access, { at: "at", write: 1 }),
  call(() => fork_path, { mm: 0, child: 1 }),
  call(() => cpu_access, { at: "at", write: 1 }),
]);

const begins_with = (name: string, of: Actor["path"]): Actor["path"] => {
  const args = { start: vpn, nr: int };
  return path(name, { source: "a test", args }, [
    step("begin", () => {}),
    call(() => of, { start: "start", nr: "nr" }),
  ]);
};
const later = begins_with("later", munmap_path);

/** A child's access, once there is a child. */
export const childs = (at: number, write: 0 | 1, mm = 1): Actor => ends(child_access, mm, at, write);
export const child_exits = (mm = 1): Actor => ends(child_exit, mm);
/** A parent that stores, forks, and stores again. */
export const parent = (at = 0): Actor => ends(forks_and_stores, at);
/** munmap with a step before it. */
export const munmap_later = (start: number, nr = 1): Actor => ends(later, start, nr);

/** A machine of one process with `pages` of anonymous memory, and a child that fork makes. */
export function anonymous(pages = 1, geometry: Partial<GeometryOptions> = {}): Small {
  return {
    cached: false,
    geometry: {
      pages: 4 * pages,
      files: [],
      vmas: [
        { pages, flags: VM_WRITE },
        { pages, flags: 0, mm: 1, forked: 0 },
      ],
      mms: 2,
      dioPages: pages,
      ...geometry,
      config: ["mmap", ...(geometry.config ?? [])],
    },
  };
}
