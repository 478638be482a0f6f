/**
 * A program that stores into the buffer of its own O_DIRECT write: the bytes that the device fetches are not those that its sum was made of.
 *
 * xfstests has such a program (dio-writeback-race), and mailing lists have years of it: virtual machines whose disk is a file of btrfs, RAID 1 mirrors that
 * differ. Who is at fault is disputed there; what each kernel makes of it is computed here.
 */
import { disk_daemon } from "../kernel/block/disk.js";
import { btrfs_writepage_fixup_worker } from "../kernel/fs/btrfs.js";
import { dma_engine, dma_engine_iomap } from "../kernel/fs/direct_io.js";
import { btrfs_direct_IO, ext4_direct_IO, xfs_file_dio_aio_write } from "../kernel/fs/iomap_dio.js";
import { call, path, pause } from "../kernel/language.js";
import { FS } from "../kernel/operations.js";
import { VM_WRITE } from "../kernel/structs.js";
import { dio_nr, inode, int, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import { choice, scenario, whole } from "./scenario.js";

const FILE = 1;

/** write(2) with O_DIRECT, by the filesystem of the file. */
const DIRECT_WRITES = { ext4: ext4_direct_IO, xfs: xfs_file_dio_aio_write, btrfs: btrfs_direct_IO } as const;

/** A program that fills a buffer and writes it to a file. */
const writer = (fs: keyof typeof DIRECT_WRITES) =>
  path(
    "writer",
    { source: "a process", args: { mapping: inode, at: vpn, nr: int, dio: dio_nr }, locals: { ret: int } },
    [
      call(() => cpu_access, { at: "at", write: 1 }),
      call(() => DIRECT_WRITES[fs], { mapping: "mapping", at: "at", nr: "nr", dio: "dio" }, "ret"),
    ],
  );

/** Its other thread, which does not wait for the write before it uses the buffer again. */
const toucher = path("toucher", { source: "a process", args: { at: vpn } }, [
  pause("does something else"),
  call(() => cpu_access, { at: "at", write: 1 }),
]);

export const dioWriteRace = scenario({
  name: "dio-write-race",
  help: "a program stores into the buffer of its own O_DIRECT write, on a disk that checks sums",
  story:
    "The device gets a sum with each page and checks it against the bytes that it fetches. Of pages in the page cache the kernel makes sure that nobody changes them meanwhile; the buffer of an " +
    "O_DIRECT write is the program's own memory, and another thread of it stores into it. btrfs gives such writes to the page cache (v6.15); xfs copies the buffer first (v7.0, 2026).",
  parameters: {
    fs: choice("the file's filesystem", {
      ext4: "buffers",
      xfs: "no buffers",
      btrfs: "copy on write, with sums of its own",
    }),
    parts: whole("parts in which a page is transferred", 1, 1, 8),
  },
  setup: ({ fs, parts }) => ({
    geometry: {
      pages: 3,
      parts,
      files: [{ pages: 1, fs: FS[fs], stable_writes: true }],
      vmas: [{ pages: 1, flags: VM_WRITE }],
      dios: 1,
      dioPages: 1,
      // A kernel that writes through the cache drops the pages afterwards.
      config: ["checksum", ...(fs === "btrfs" ? (["truncate"] as const) : [])],
    },
    tasks: [
      { name: "writer", letter: "w", path: writer(fs), args: [FILE, 0, 1, 0], daemon: false },
      { name: "toucher", letter: "t", path: toucher, args: [0], daemon: false },
      {
        name: "dma",
        letter: "m",
        path: fs === "xfs" ? dma_engine_iomap : dma_engine,
        args: [0],
        daemon: true,
      },
      { name: "disk", letter: "d", path: disk_daemon, args: [0], daemon: true },
      ...(fs === "btrfs"
        ? [{ name: "fixup", letter: "u", path: btrfs_writepage_fixup_worker, args: [], daemon: true }]
        : []),
    ],
    pace: { dma: 60, disk: 20, toucher: 50 },
    prepare: () => {},
  }),
});
