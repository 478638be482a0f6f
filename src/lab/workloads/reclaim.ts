/**
 * W1, W2, W4: a pin on file pages while somebody cleans them and somebody strips them of their buffers.
 */
import type { Config } from "../../kernel/config.js";
import { call, path, pause } from "../../kernel/language.js";
import { generic_file_write_direct } from "../../kernel/mm/direct_write.js";
import { fadvise_dontneed } from "../../kernel/mm/fadvise.js";
import { inode, int } from "../../kernel/types.js";
import { choice, scenario, type TaskPlan } from "../scenario.js";
import { holderParameter } from "./holders.js";
import { FILE, type Pinned, pinned } from "./pinned.js";
import { MOUNTS, mountOf, pagesTaken, SIZES } from "./sizes.js";

const RANGE = { mapping: inode, start: int, end: int } as const;

/** Somebody advises the kernel that the file is not needed any more. */
const dropper = path("fadvise", { source: "a process", args: RANGE, locals: { ret: int } }, [
  pause("waits"),
  call(() => fadvise_dontneed, { mapping: "mapping", offset: 0, len: 0 }, "ret"),
]);

/** Somebody writes the file with O_DIRECT, once. */
export const direct_writer = path(
  "direct_write",
  { source: "a process", args: RANGE, locals: { ret: int } },
  [
    pause("writes"),
    call(() => generic_file_write_direct, { mapping: "mapping", start: "start", end: "end" }, "ret"),
  ],
);

/** Who takes the buffers of pages away. */
const STRIPPERS = {
  kswapd: "reclaim: unmaps a clean page, frees its buffers, then finds the reference",
  drop: "POSIX_FADV_DONTNEED: frees the buffers of unmapped clean pages before it looks at references",
  diowrite: "an O_DIRECT write of the file invalidates its cached pages, whoever holds them",
  none: "nobody",
} as const;

type Stripper = keyof typeof STRIPPERS;

function stripper(kind: Stripper, filePages: number): Pick<Pinned, "kswapd" | "tasks" | "config"> {
  const task = (name: string, taskPath: TaskPlan["path"]): TaskPlan => ({
    name,
    letter: "s",
    path: taskPath,
    args: [FILE, 0, filePages - 1],
    daemon: false,
  });
  const config: readonly Config[] = ["truncate"];
  switch (kind) {
    case "kswapd":
      return { kswapd: true };
    case "drop":
      return { tasks: [task("dropper", dropper)], config };
    case "diowrite":
      return { tasks: [task("writer", direct_writer)], config };
    case "none":
      return {};
  }
}

const BUILT = {
  fs: choice("the file's filesystem", MOUNTS),
  ...SIZES,
};

export const dioReclaim = scenario({
  name: "dio-reclaim",
  aliases: ["W1"],
  help: "a pin on mapped file pages, a flusher, and somebody who strips their buffers",
  story:
    "Kara's first race (January 2018): a device holds pages of a mapped ext4 file through get_user_pages. Writeback cleans them, " +
    "reclaim takes their buffers and finds the reference too late, the device writes, its driver marks the pages dirty, and the next writeback asks for buffers. " +
    "Choose who holds the pin, and who strips.",
  parameters: {
    holder: holderParameter("dio"),
    strip: choice("who strips", STRIPPERS),
    ...BUILT,
  },
  setup: ({ holder, strip, fs, ...sizes }) =>
    pinned({ holder, ...mountOf(fs), ...sizes, ...stripper(strip, pagesTaken(sizes)) }),
});

export const dioFlusher = scenario({
  name: "dio-flusher",
  aliases: ["W2"],
  help: "a pin on mapped file pages and ordinary writeback, nobody strips",
  story:
    "Kara's second race (January 2018): writeback cleans and write-protects a page while a device holds it. Its buffers stay, so nothing crashes; but the " +
    "filesystem was not asked before the page became dirty again.",
  parameters: { holder: holderParameter("dio"), ...BUILT },
  setup: ({ holder, fs, ...sizes }) => pinned({ holder, ...mountOf(fs), ...sizes }),
});

export const rdmaLong = scenario({
  name: "rdma-long",
  aliases: ["W4"],
  help: "a memory region registered for long, with a device that goes on writing",
  story:
    "Shared memory of an ext4 file is registered for as long as a program likes. The device writes again and again, the flusher comes by, memory is short. " +
    "Nobody marks a page dirty before the region is given back.",
  parameters: { holder: holderParameter("rdma"), ...BUILT },
  setup: ({ holder, fs, ...sizes }) => pinned({ holder, ...mountOf(fs), ...sizes, kswapd: true }),
});
