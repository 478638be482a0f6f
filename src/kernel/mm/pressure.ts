/**
 * Processes that make memory short: what stands for the rest of a busy machine.
 *
 * No kernel code corresponds to this file; what the processes do goes through faults and read(2) like everything else. One
 * fills memory with anonymous pages, which without swap cannot be reclaimed. The other reads a large file, whose pages
 * push everything else down the lists. Both stop when the kernel refuses them memory.
 */

import { generic_file_buffered_read } from "../fs/read_write.js";
import { call, given, goto, label, leave, local, path, pause } from "../language.js";
import { inode, int, vpn } from "../types.js";
import { cpu_access } from "../user.js";

/**
 * Store into `pages` virtual pages from `start` on, one after the other. Gives 0, or the VM_FAULT_ERROR bits of the store that
 * failed: the process is killed then.
 */
export const memory_hog = path(
  "memory_hog",
  { source: "a process", args: { start: vpn, nr: int }, locals: { at: vpn, done: int }, returns: int },
  [
    label("next"),
    given((_, f) => f.done === f.nr, [leave(() => 0)]),
    local((_, f) => {
      f.at = f.start + f.done;
    }),
    pause("thinks"),
    call(() => cpu_access, { at: "at", write: 1 }, "ret"),
    given((_, f) => f.ret !== 0, [leave()]),
    local((_, f) => {
      f.done++;
    }),
    goto("next"),
  ],
);

/** read(2) the first `pages` pages of a file, `rounds` times. Gives 0, or the error that ended it. */
export const cache_hog = path(
  "cache_hog",
  {
    source: "a process",
    args: { mapping: inode, pages: int, rounds: int },
    locals: { index: int, round: int },
    returns: int,
  },
  [
    label("next"),
    given(
      (_, f) => f.index === f.pages,
      [
        local((_, f) => {
          f.index = 0;
          f.round++;
        }),
      ],
    ),
    given((_, f) => f.round === f.rounds, [leave(() => 0)]),
    pause("thinks"),
    call(() => generic_file_buffered_read, { mapping: "mapping", index: "index" }, "ret"),
    given((_, f) => f.ret < 0, [leave()]),
    local((_, f) => {
      f.index++;
    }),
    goto("next"),
  ],
);
