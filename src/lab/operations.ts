/**
 * Kernel operations that a person can order in the sandbox: what each is called, what it takes, and the path that does it.
 */
import { do_blockdev_direct_IO } from "../kernel/fs/direct_io.js";
import { __writeback_single_inode } from "../kernel/fs/fs_writeback.js";
import { fsync } from "../kernel/fs/sync.js";
import type { Kernel } from "../kernel/kernel.js";
import { shrink_node } from "../kernel/mm/vmscan.js";
import { cpu_access } from "../kernel/user.js";
import type { Path } from "../machine/path.js";

/** One argument as it is written: a name, what it is for, and its range on a machine. */
interface OperationArgument {
  readonly name: string;
  readonly help: string;
  readonly default?: number;
  /** The largest value. */
  readonly max: (k: Kernel) => number;
  readonly min: number;
}

/** An operation of the sandbox. */
export interface Operation {
  readonly name: string;
  /** One line. */
  readonly help: string;
  readonly details: readonly string[];
  readonly args: readonly OperationArgument[];
  // biome-ignore lint/suspicious/noExplicitAny: paths of any frame
  readonly path: Path<any>;
  /**
   * The path's arguments from the words of an order.
   *
   * @throws Error with one sentence when they do not fit
   */
  readonly read: (k: Kernel, words: readonly string[]) => readonly number[];
}

/** Read the words of an order by the operation's table of arguments. */
function readArguments(
  name: string,
  args: readonly OperationArgument[],
  k: Kernel,
  words: readonly string[],
): number[] {
  if (words.length > args.length)
    throw new Error(
      `${name} takes ${args.length === 1 ? "one number" : `${args.length} numbers`}, not ${words.length}`,
    );
  return args.map(({ name: arg, min, max, default: standard }, at) => {
    const word = words[at];
    if (word === undefined) {
      if (standard === undefined) throw new Error(`${name} needs ${arg}, a number from ${min} to ${max(k)}`);
      return standard;
    }
    const value = Number(word);
    if (!/^\d+$/.test(word) || value < min || value > max(k))
      throw new Error(`${arg} of ${name} is a number from ${min} to ${max(k)}, not ${word}`);
    return value;
  });
}

interface OperationSpec {
  readonly name: string;
  readonly help: string;
  readonly details?: readonly string[];
  readonly args?: readonly OperationArgument[];
  // biome-ignore lint/suspicious/noExplicitAny: paths of any frame
  readonly path: Path<any>;
  /** The path's arguments from what was said; default as said. */
  readonly values?: (said: readonly number[]) => readonly number[];
}

function operation({ values = (said) => said, args = [], details = [], ...spec }: OperationSpec): Operation {
  return {
    ...spec,
    args,
    details,
    read: (k, words) => values(readArguments(spec.name, args, k, words)),
  };
}

const at: OperationArgument = {
  name: "at",
  help: "virtual page",
  default: 0,
  min: 0,
  max: (k) => k.geometry.virtualPages - 1,
};

const inode: OperationArgument = {
  name: "inode",
  help: "the file",
  default: 1,
  min: 1,
  max: (k) => k.geometry.files.length,
};

/** What can be ordered, in the order of help. */
export const OPERATIONS: readonly Operation[] = [
  operation({
    name: "load",
    help: "The CPU reads a virtual page; it faults until it may",
    args: [at],
    path: cpu_access,
    values: ([page]) => [page, 0],
  }),
  operation({
    name: "store",
    help: "The CPU writes a virtual page; it faults until it may",
    details: ["A first write, or the first after the page was cleaned, goes through page_mkwrite."],
    args: [at],
    path: cpu_access,
    values: ([page]) => [page, 1],
  }),
  operation({
    name: "pread",
    help: "Read another file with O_DIRECT into virtual pages: gup, DMA, set_page_dirty_lock, put_page",
    args: [
      at,
      { name: "nr", help: "pages", default: 1, min: 1, max: (k) => k.geometry.dioPages },
      { name: "dio", help: "which direct I/O", default: 0, min: 0, max: (k) => k.geometry.dios - 1 },
    ],
    path: do_blockdev_direct_IO,
  }),
  operation({
    name: "fsync",
    help: "Write a file's dirty pages and wait for them",
    args: [inode],
    path: fsync,
  }),
  operation({
    name: "writeback",
    help: "Write a file's dirty pages, as the flusher does, and do not wait",
    args: [inode],
    path: __writeback_single_inode,
  }),
  operation({ name: "reclaim", help: "One pass of reclaim over the LRU lists", path: shrink_node }),
];
