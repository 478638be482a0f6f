/**
 * Pages of a file, mapped and pinned: what most of the standard workloads have in common. Processes that hold pins on
 * their parts of a shared mapping, devices that write into them, somebody who cleans the pages, somebody who strips them.
 */
import { disk_daemon } from "../../kernel/block/disk.js";
import { cache_file } from "../../kernel/boot.js";
import type { Config } from "../../kernel/config.js";
import { btrfs_writepage_fixup_worker } from "../../kernel/fs/btrfs.js";
import { dax_allocate_file } from "../../kernel/fs/dax.js";
import { wb_workfn } from "../../kernel/fs/fs_writeback.js";
import { kjournald2 } from "../../kernel/fs/jbd2.js";
import type { GeometryOptions, Mount } from "../../kernel/geometry.js";
import type { Kernel } from "../../kernel/kernel.js";
import { kswapd } from "../../kernel/mm/kswapd.js";
import { FS, is_dax_fs, MMU_NOTIFIER } from "../../kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../kernel/structs.js";
import type { Oracle, Setup, TaskPlan } from "../scenario.js";
import { type HolderName, holderNamed, processName } from "./holders.js";
import { firstPageOf, pagesTaken } from "./sizes.js";

/** The mapped file. */
export const FILE = 1;

/** What a pinned-page scenario is made of. */
export interface Pinned {
  readonly holder: HolderName;
  /** Pages that each holder takes. */
  readonly pages: number;
  /** Holders. */
  readonly drivers: number;
  /** Whether each has its own part of the file, or all have the same pages. */
  readonly buffer: "own" | "shared";
  readonly parts: number;
  /** Row of FS. */
  readonly fs: number;
  /** How ext4 is mounted, on a disk with blocks and a journal; default on neither. */
  readonly mount?: Mount;
  /** VM_* bits of the mapping; default shared and writable. */
  readonly vm_flags?: number;
  /** Whether the flusher runs; default true. */
  readonly flusher?: boolean;
  /** Whether kswapd runs; default false. */
  readonly kswapd?: boolean;
  /** Other tasks. */
  readonly tasks?: readonly TaskPlan[];
  readonly config?: readonly Config[];
  /** What else the machine has, or has otherwise. */
  readonly geometry?: Partial<GeometryOptions>;
  readonly prepare?: (k: Kernel) => void;
  readonly oracles?: readonly Oracle[];
}

/** The tasks of the holders: a process and a device each, and the helpers that all share. */
export function holderTasks(
  kind: HolderName,
  sizes: Pick<Pinned, "pages" | "drivers" | "buffer">,
): TaskPlan[] {
  const { pages, drivers } = sizes;
  const { program, device, deviceArgs, helpers, arrays } = holderNamed(kind);
  const suffix = (driver: number) => (drivers === 1 ? "" : String(driver + 1));
  const letter = (base: string, driver: number) =>
    base + (drivers === 1 ? "" : String.fromCharCode(97 + driver));
  const each = Array.from({ length: drivers }, (_, driver) => driver);
  return [
    ...each.map((driver) => ({
      name: `${processName(kind)}${suffix(driver)}`,
      letter: letter("p", driver),
      path: program,
      args: [firstPageOf(driver, sizes), pages, driver * arrays],
      daemon: false,
    })),
    ...each
      .filter(() => device !== null)
      .map((driver) => ({
        name: `device${suffix(driver)}`,
        letter: letter("m", driver),
        path: device as NonNullable<typeof device>,
        args: deviceArgs(driver * arrays),
        daemon: true,
      })),
    ...helpers.map((helper) => ({ ...helper, args: [], daemon: true })),
  ];
}

/** The objects of holders whose driver is told when PTEs change, one each. */
export function holderNotifiers(
  kind: HolderName,
  sizes: Pick<Pinned, "pages" | "drivers" | "buffer">,
): GeometryOptions["notifiers"] {
  const { pages, drivers } = sizes;
  const { arrays, notifier } = holderNamed(kind);
  return Array.from({ length: notifier === MMU_NOTIFIER.none ? 0 : drivers }, (_, driver) => ({
    driver: notifier,
    start: firstPageOf(driver, sizes),
    nr: pages,
    pages: driver * arrays,
  }));
}

/** The machine and the tasks of a pinned-page scenario. */
export function pinned(spec: Pinned): Setup {
  const { holder, pages, drivers, buffer, parts, fs, mount, config = [], geometry = {} } = spec;
  const filePages = pagesTaken({ pages, drivers, buffer });
  const { arrays, config: needs, oracles } = holderNamed(holder);
  const tasks: TaskPlan[] = [
    ...holderTasks(holder, spec),
    ...(spec.kswapd === true ? [{ name: "kswapd", letter: "k", path: kswapd, args: [], daemon: true }] : []),
    ...(spec.flusher === false
      ? []
      : [{ name: "flusher", letter: "f", path: wb_workfn, args: [], daemon: true }]),
    { name: "disk", letter: "d", path: disk_daemon, args: [0], daemon: true },
    ...(mount === undefined
      ? []
      : [{ name: "jbd2", letter: "j", path: kjournald2, args: [0], daemon: true }]),
    // A page of btrfs that was dirtied without page_mkwrite is its affair.
    ...(fs === FS.btrfs
      ? [{ name: "fixup", letter: "u", path: btrfs_writepage_fixup_worker, args: [], daemon: true }]
      : []),
    ...(spec.tasks ?? []),
  ];
  const slow = (names: (task: TaskPlan) => boolean, ticks: number) =>
    Object.fromEntries(tasks.filter(names).map(({ name }) => [name, ticks]));
  return {
    geometry: {
      pages: filePages,
      parts,
      files: [{ pages: filePages, fs, extents: mount && new Array(filePages).fill("hole") }],
      mount,
      vmas: [{ pages: filePages, file: FILE, flags: spec.vm_flags ?? VM_WRITE | VM_SHARED }],
      dios: drivers * arrays,
      dioPages: pages,
      notifiers: holderNotifiers(holder, spec),
      ...geometry,
      config: [
        ...new Set<Config>([
          ...needs,
          ...config,
          ...(mount === undefined ? [] : (["blocks", "journal"] as const)),
          ...(geometry.config ?? []),
        ]),
      ],
    },
    tasks,
    // Slow devices and memory pressure: a pin outlasts several wakings of the daemons.
    pace: {
      kswapd: 100,
      flusher: 150,
      disk: 20,
      jbd2: 200,
      ...slow(({ name }) => name.startsWith(processName(holder)), 1500),
      ...slow(({ name }) => name.startsWith("device"), 600),
    },
    prepare: (k) => {
      if (is_dax_fs(fs)) dax_allocate_file(k, FILE);
      else cache_file(k, FILE);
      spec.prepare?.(k);
    },
    oracles: [...(spec.oracles ?? []), ...oracles],
  };
}
