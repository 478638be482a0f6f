/**
 * W7, W8, W9: somebody shortens a file whose pages a device holds, in the page cache and on persistent memory.
 */
import { ext4_dax_setattr } from "../../kernel/fs/dax.js";
import { ext4_punch_hole, ext4_setattr } from "../../kernel/fs/ext4/truncate.js";
import { shmem_punch_hole, shmem_setattr } from "../../kernel/fs/shmem_truncate.js";
import { xfs_dax_setattr } from "../../kernel/fs/xfs_dax.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, given, local, path, pause } from "../../kernel/language.js";
import { inode, int } from "../../kernel/types.js";
import type { Node, Path } from "../../machine/path.js";
import { choice, scenario } from "../scenario.js";
import { holderParameter } from "./holders.js";
import { FILE, pinned } from "./pinned.js";
import { fsOf, pagesTaken, SIZES } from "./sizes.js";

/** ftruncate and fallocate of a filesystem with a page cache. */
interface Cuts {
  /** Arguments: mapping, size in parts. */
  readonly setattr: Path<Kernel, { mapping: typeof inode; size: typeof int }>;
  readonly punches: readonly Node<Kernel, { mapping: number; size: number; pages: number; ret: number }>[];
}

const CUTS = {
  tmpfs: {
    setattr: shmem_setattr,
    punches: [call(() => shmem_punch_hole, { mapping: "mapping", lstart: 0, lend: "size" }, "ret")],
  },
  ext4: {
    setattr: ext4_setattr,
    punches: [call(() => ext4_punch_hole, { mapping: "mapping", start: 0, end: "pages" }, "ret")],
  },
} as const satisfies Record<string, Cuts>;

/** ftruncate to nothing, and to the old size again, unless the first fails. `keep` 1: a hole is punched instead. */
const truncator = ({ setattr, punches }: Cuts) =>
  path(
    "truncator",
    {
      source: "a process",
      args: { mapping: inode, size: int, keep: int },
      locals: { pages: int, ret: int },
    },
    [
      pause("waits"),
      given(
        (_, f) => f.keep === 1,
        [
          local((k, f) => {
            f.pages = f.size / k.geometry.parts;
          }),
          ...punches,
          local((_, f) => {
            f.pages = 0;
          }),
        ],
        [
          call(() => setattr, { mapping: "mapping", size: 0 }, "ret"),
          given((_, f) => f.ret === 0, [call(() => setattr, { mapping: "mapping", size: "size" }, "ret")]),
        ],
      ),
      local((_, f) => {
        f.ret = 0;
      }),
    ],
  );
const TRUNCATORS = { tmpfs: truncator(CUTS.tmpfs), ext4: truncator(CUTS.ext4) } as const;

export const truncCache = scenario({
  name: "trunc-cache",
  aliases: ["W7"],
  help: "a file is truncated or punched while a device holds its cached pages",
  story:
    "Truncation looks at no reference: it takes the page out of the file, and the device goes on writing into a page that nobody sees any more. Memory is safe, the data is not. " +
    "When the file is extended again there are two pages for one offset. A memfd that udmabuf has taken is sealed: it is not truncated, but punched all the same (holder=udmabuf, cut=punch).",
  parameters: {
    holder: holderParameter("rdma"),
    cut: choice("how the file is cut", {
      truncate: "to nothing, then to its old size",
      punch: "a hole over all of it",
    }),
    fs: choice("the file's filesystem", { tmpfs: "memory", ext4: "buffers" }),
    ...SIZES,
  },
  setup: ({ holder, cut, fs, ...sizes }) => {
    const filePages = pagesTaken(sizes);
    return pinned({
      holder,
      fs: fsOf(fs),
      ...sizes,
      config: ["truncate"],
      geometry: { pages: 2 * filePages },
      tasks: [
        {
          name: "truncator",
          letter: "t",
          path: TRUNCATORS[fs],
          args: [FILE, filePages * sizes.parts, cut === "punch" ? 1 : 0],
          daemon: false,
        },
      ],
    });
  },
});

const DAX_FILESYSTEMS = {
  ext4_dax: "ext4 on persistent memory",
  xfs_dax: "xfs on persistent memory",
} as const;
const DAX_SETATTR = { ext4_dax: ext4_dax_setattr, xfs_dax: xfs_dax_setattr } as const;

export const truncDax = scenario({
  name: "trunc-dax",
  aliases: ["W8"],
  help: "a DAX file is truncated while a device writes into its blocks",
  story:
    "The pages of a DAX file are its blocks: were they freed under a device, it would write into another file. v4.20 waits in break_layouts until nobody holds a page, " +
    "however long that is.",
  parameters: {
    holder: holderParameter("dio"),
    fs: choice("the file's filesystem", DAX_FILESYSTEMS),
    ...SIZES,
  },
  setup: ({ holder, fs, ...sizes }) =>
    pinned({
      holder,
      fs: fsOf(fs),
      ...sizes,
      config: ["dax", "truncate"],
      flusher: false,
      tasks: [{ name: "truncator", letter: "t", path: DAX_SETATTR[fs], args: [FILE, 0, 0], daemon: false }],
    }),
});

export const regDax = scenario({
  name: "reg-dax",
  aliases: ["W9"],
  help: "long-term registration of DAX memory: refused",
  story:
    "A truncation would have to wait for a registration for ever, so get_user_pages_longterm takes the pages, looks at their VMAs, and gives them back with EOPNOTSUPP where one is of a DAX file. " +
    "For a moment they were held.",
  parameters: {
    holder: holderParameter("rdma"),
    fs: choice("the file's filesystem", DAX_FILESYSTEMS),
    ...SIZES,
  },
  setup: ({ holder, fs, ...sizes }) =>
    pinned({ holder, fs: fsOf(fs), ...sizes, config: ["dax"], flusher: false }),
});
