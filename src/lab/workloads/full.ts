/**
 * W13: a device writes into a pinned page that needs a block, and the file system has none left.
 */
import { cache_file } from "../../kernel/boot.js";
import { ERRNO } from "../../kernel/errno.js";
import type { FileSpec } from "../../kernel/geometry.js";
import { call, local, path, pause, repeat } from "../../kernel/language.js";
import { last_wb_err } from "../../kernel/mm/mapping_error.js";
import { VM_SHARED, VM_WRITE } from "../../kernel/structs.js";
import { int, NONE, vpn } from "../../kernel/types.js";
import { cpu_access } from "../../kernel/user.js";
import { choice, type Oracle, scenario, type TaskPlan, type View } from "../scenario.js";
import { holderParameter, processName } from "./holders.js";
import { FILE, pinned } from "./pinned.js";
import { fsOf, pagesTaken, SIZES } from "./sizes.js";

/** The file of whoever fills the file system up. */
const FILLED = 2;

/** A process that stores into `nr` pages of a mapping, one after the other. */
const stores = (name: string) =>
  path(name, { source: "a process", args: { at: vpn, nr: int }, locals: { made: int, ret: int, to: vpn } }, [
    pause("waits"),
    repeat(
      (_, f) => f.made < f.nr,
      [
        local((_, f) => {
          f.to = f.at + f.made;
        }),
        call(() => cpu_access, { at: "to", write: 1 }, "ret"),
        local((_, f) => {
          f.ret = 0;
          f.made++;
        }),
      ],
    ),
  ]);
const filler = stores("filler");
const writer = stores("writer");

/** Writeback has found no space for bytes that the file system had taken: a write that nobody can be refused any more. */
const lateENOSPC: Oracle = {
  kind: "ENOSPC",
  help: "a page was dirtied, and the file system finds that it has no space for it: only fsync can tell",
  when: "always",
  check: ({ k }: View) =>
    last_wb_err(k, FILE) === -ERRNO.ENOSPC
      ? { page: NONE, message: "the mapping has got -ENOSPC: the page is dirty already, and has no block" }
      : null,
};

const BLOCKS = {
  hole: "a hole",
  delalloc: "a block that is promised: it was stored into before",
  shared: "a block that another file has as well",
} as const;
type Blocks = keyof typeof BLOCKS;

/** Which file systems can have such blocks. */
const POSSIBLE: Readonly<Record<Blocks, readonly string[]>> = {
  hole: ["ext4", "xfs", "btrfs"],
  delalloc: ["ext4", "xfs", "btrfs"],
  shared: ["xfs", "btrfs"],
};

export const holeFull = scenario({
  name: "hole-full",
  aliases: ["W13"],
  help: "a pinned page that needs a block, on a file system that gets full",
  story:
    "A process pins pages whose bytes have no block of their own yet, and somebody else takes the last free block. Who comes too late is refused while he can be: page_mkwrite reserves space, and gives SIGBUS " +
    "where there is none. A device that writes once the page has been cleaned makes it dirty without page_mkwrite, and nobody has reserved anything.",
  parameters: {
    holder: holderParameter("rdma"),
    fs: choice("the file's file system", {
      ext4: "blocks are chosen once and kept",
      xfs: "shared blocks are copied",
      btrfs: "every write needs a new block",
    }),
    what: choice("what the pages have on the disk", BLOCKS),
    ...SIZES,
  },
  setup: ({ holder, fs, what, ...sizes }) => {
    if (!POSSIBLE[what].includes(fs))
      throw new Error(`hole-full: what=${what} is for fs=${POSSIBLE[what].join(" or fs=")}`);
    const filePages = pagesTaken(sizes);
    const empty = what === "hole" || what === "delalloc";
    const file = (spec: Partial<FileSpec>): FileSpec => ({ pages: filePages, fs: fsOf(fs), ...spec });
    const holes = Array.from({ length: filePages }, () => "hole" as const);
    const task = (name: string, letter: string, of: TaskPlan["path"], args: readonly number[]): TaskPlan => ({
      name,
      letter,
      path: of,
      args,
      daemon: false,
    });
    const first = task("writer", "w", writer, [0, filePages]);
    const base = pinned({
      holder,
      fs: fsOf(fs),
      ...sizes,
      config: ["blocks", "io_errors"],
      oracles: [lateENOSPC],
      geometry: {
        pages: filePages + 1,
        files: [
          file({ extents: empty ? holes : [] }),
          file({ pages: 1, extents: ["hole"] }),
          ...(what === "shared" ? [file({ reflink: FILE })] : []),
        ],
        vmas: [
          { pages: filePages, file: FILE, flags: VM_WRITE | VM_SHARED },
          { pages: 1, file: FILLED, flags: VM_WRITE | VM_SHARED },
        ],
        // As many are free as the pinned pages need.
        blocks: empty ? filePages : 2 * filePages,
      },
      prepare: (k) => cache_file(k, FILLED),
      tasks: [...(what === "delalloc" ? [first] : []), task("filler", "x", filler, [filePages, 1])],
    });
    if (what !== "delalloc") return base;
    const after = (plan: TaskPlan): TaskPlan =>
      plan.name === "filler" || plan.name.startsWith(processName(holder))
        ? { ...plan, heldBack: ({ finished }: View) => !finished("writer") }
        : plan;
    return { ...base, tasks: base.tasks.map(after) };
  },
});
