/**
 * kara-2018: the article's crash, as Jan Kara described it in January 2018 (linux-fsdevel), and its controls.
 *
 * A process maps file1 MAP_SHARED and reads file2 with O_DIRECT into it: the disk of file2 writes into file1's page
 * cache while kswapd and the flusher do their work. The article: "the page buffers can be stripped off while the page
 * is pinned and undergoing I/O".
 */

import { disk_daemon } from "../kernel/block/disk.js";
import { cache_file } from "../kernel/boot.js";
import { dma_engine, do_blockdev_direct_IO } from "../kernel/fs/direct_io.js";
import { wb_workfn } from "../kernel/fs/fs_writeback.js";
import type { GeometryOptions } from "../kernel/geometry.js";
import type { Kernel } from "../kernel/kernel.js";
import { call, local, path, pause, repeat, step } from "../kernel/language.js";
import { kswapd } from "../kernel/mm/kswapd.js";
import { PagePrivate } from "../kernel/mm/page.js";
import { FS } from "../kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../kernel/structs.js";
import { dio_nr, int, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import {
  choice,
  type Scenario,
  type Setup,
  scenario,
  type TaskPlan,
  type ValuesOf,
  whole,
} from "./scenario.js";
import { firstPageOf, pagesTaken } from "./workloads/sizes.js";

const FILE1 = 1;
/** The disk of file1. */
const DISK = 0;

/** pread(file2, O_DIRECT) into the mapping, then a look at the first `looks` pages. */
const reader = path(
  "pread",
  {
    source: "a process",
    args: { at: vpn, nr: int, dio: dio_nr, looks: int },
    locals: { next: vpn, done: int },
  },
  [
    call(() => do_blockdev_direct_IO, { at: "at", nr: "nr", dio: "dio" }),
    local((_, f) => {
      f.next = f.at;
    }),
    // It looks at what it read some time later.
    pause("looks away"),
    repeat(
      (_, f) => f.done < f.looks,
      [
        call(() => cpu_access, { at: "next", write: 0 }),
        local((_, f) => {
          f.done++;
          f.next++;
        }),
      ],
    ),
  ],
);

/** Whether reclaim has taken the buffers of a page that a device still holds. */
function strippedWhilePinned(k: Kernel): boolean {
  for (let page = 0; page < k.geometry.pages; page++) {
    if (k.page.mapping[page] === FILE1 && k.page.pins[page] > 0 && !PagePrivate(k, page)) return true;
  }
  return false;
}

/** Another thread of the process: stores one byte into the mapping. */
const toucher = path("touch", { source: "a process", args: { at: vpn } }, [
  step("begin", () => {}),
  call(() => cpu_access, { at: "at", write: 1 }),
]);

interface Variant {
  readonly name: string;
  readonly help: string;
  readonly story: string;
  readonly fs: number;
  readonly shared: boolean;
  readonly reclaim: boolean;
  /** Whether the process looks at what it read. */
  readonly looks: boolean;
}

const PARTS = whole("parts in which a page is transferred", 1, 1, 8);

const PARAMETERS = {
  pages: whole("pages of each read", 1, 1, 64),
  drivers: whole("processes that read", 1, 1, 8),
  buffer: choice("where they read to", {
    own: "each into its own part of file1",
    shared: "all into the same pages: threads of one program, with one buffer",
  }),
  parts: PARTS,
};

function setup(variant: Variant, values: ValuesOf<typeof PARAMETERS>): Setup {
  const { pages: nr, drivers, parts } = values;
  const filePages = pagesTaken(values);
  const geometry: GeometryOptions = {
    // A private mapping copies every page that it writes.
    pages: variant.shared ? filePages : 2 * filePages,
    parts,
    files: [{ pages: filePages, fs: variant.fs, disk: DISK }],
    vmas: [{ pages: filePages, file: FILE1, flags: VM_WRITE | (variant.shared ? VM_SHARED : 0) }],
    dios: drivers,
    dioPages: nr,
  };
  const suffix = (driver: number) => (drivers === 1 ? "" : String(driver + 1));
  const letter = (base: string, driver: number) =>
    base + (drivers === 1 ? "" : String.fromCharCode(97 + driver));
  const tasks: TaskPlan[] = [];
  for (let driver = 0; driver < drivers; driver++) {
    tasks.push({
      name: `reader${suffix(driver)}`,
      letter: letter("r", driver),
      path: reader,
      args: [firstPageOf(driver, values), nr, driver, variant.looks ? nr : 0],
      daemon: false,
    });
  }
  if (variant.reclaim) tasks.push({ name: "kswapd", letter: "k", path: kswapd, args: [], daemon: true });
  tasks.push({ name: "flusher", letter: "f", path: wb_workfn, args: [], daemon: true });
  tasks.push({ name: "disk", letter: "d", path: disk_daemon, args: [DISK], daemon: true });
  for (let driver = 0; driver < drivers; driver++) {
    tasks.push({
      name: `dma${suffix(driver)}`,
      letter: letter("m", driver),
      path: dma_engine,
      args: [driver],
      daemon: true,
    });
  }
  return {
    geometry,
    tasks,
    // A slow disk under file2, and memory pressure: the read outlasts several wakings of the daemons, and the process
    // looks at its data some time later.
    pace: {
      kswapd: 100,
      flusher: 150,
      disk: 20,
      ...Object.fromEntries(tasks.filter((task) => task.path === reader).map((task) => [task.name, 300])),
      ...Object.fromEntries(
        tasks.filter((task) => task.path === dma_engine).map((task) => [task.name, 1200]),
      ),
    },
    prepare: (k) => cache_file(k, FILE1),
  };
}

const variation = (variant: Variant): Scenario =>
  scenario({
    name: variant.name,
    help: variant.help,
    story: variant.story,
    parameters: PARAMETERS,
    // A seed whose run tells the article's story: it is the flusher that dies.
    seed: 4,
    setup: (values) => setup(variant, values),
  });

const CRASH: Variant = {
  name: "kara-2018",
  help: "O_DIRECT read into a shared mapping of an ext4 file, with kswapd and a flusher: crashes",
  story:
    "A process maps file1 (ext4, MAP_SHARED) and reads file2 with O_DIRECT into it. The write fault attaches buffers; the flusher " +
    "writes and cleans the page while the read is in flight; kswapd meets a clean page, unmaps it, frees its buffers, and only then " +
    "finds the reference. The read completes, the page is marked dirty without buffers, and the next writeback dies in page_buffers().",
  fs: FS.ext4,
  shared: true,
  reclaim: true,
  looks: true,
};

export const kara2018 = variation(CRASH);

export const kara2018Quiet = variation({
  ...CRASH,
  name: "kara-2018-quiet",
  help: "the same with kswapd kept away: safe",
  story:
    "As kara-2018, without kswapd. The article: if reclaim stays out of the way, everything works just fine.",
  reclaim: false,
});

export const kara2018Tmpfs = variation({
  ...CRASH,
  name: "kara-2018-tmpfs",
  help: "the same into a tmpfs file: safe",
  story:
    "As kara-2018, but file1 is on tmpfs: no buffers, no writeback, and (without swap) no reclaim of its pages. The article: the " +
    "trouble is with pages backed by a non-RAM-based filesystem.",
  fs: FS.tmpfs,
});

export const kara2018Private = variation({
  ...CRASH,
  name: "kara-2018-private",
  help: "the same into a MAP_PRIVATE mapping: safe",
  story:
    "As kara-2018, but MAP_PRIVATE: the write fault gives the process an anonymous copy, and the device writes into that.",
  shared: false,
});

/**
 * A CPU store between the strip and the completion's dirtying runs page_mkwrite again, which puts the buffers back.
 * Reclaim is over once it has stripped a page, and the reader waits for the store before it dirties. (A store between
 * the completion's dirtying and its writeback heals the page too, but then ext4 has warned already.)
 */
export const kara2018Touch: Scenario = scenario({
  name: "kara-2018-touch",
  help: "the same, but a CPU store follows the strip before the read completes: safe",
  story:
    "As kara-2018, but another thread stores a byte into the page after its buffers went and before the read completes: its write fault " +
    "runs page_mkwrite, which attaches buffers again. Memory pressure ends with the strip, so the page is not stripped twice.",
  parameters: { parts: PARTS },
  setup: (values) => {
    const base = setup({ ...CRASH, looks: false }, { ...values, pages: 1, drivers: 1, buffer: "own" });
    const touch: TaskPlan = {
      name: "toucher",
      letter: "t",
      path: toucher,
      args: [0],
      // It waits for a strip that may never come: nobody waits for it.
      daemon: true,
      heldBack: ({ k, step }) => step("toucher") === "begin" && !strippedWhilePinned(k),
    };
    const held: Record<string, TaskPlan["heldBack"]> = {
      // Not in the middle of a pass, where it may hold a page lock.
      kswapd: ({ k, step }) =>
        step("kswapd") === "get_scan_count" && (strippedWhilePinned(k) || step("toucher") !== "begin"),
      // The bytes may arrive, but the reader does not say so before the store.
      reader: ({ k, step }) =>
        strippedWhilePinned(k) && ["dio_await_completion", "lock_page"].includes(step("reader")),
    };
    return {
      ...base,
      tasks: [...base.tasks.map((task) => ({ ...task, heldBack: held[task.name] })), touch],
    };
  },
});
