/**
 * How a pin is held: each user of get_user_pages as a task of a scenario, with the device that writes meanwhile.
 *
 * Every holder is a process that takes the pages of a mapping, lets a device (or the kernel's own copy) write into them, and
 * lets go in its own way. The differences that matter are in src/kernel/drivers: when the pages are marked dirty, by which call,
 * and whether anybody does so at all.
 */
import { bio_dirty_fn } from "../../kernel/block/bio.js";
import type { Config } from "../../kernel/config.js";
import {
  amdgpu_gem_object_free,
  amdgpu_gem_userptr_ioctl,
  amdgpu_submit,
} from "../../kernel/drivers/amdgpu_ttm.js";
import { device } from "../../kernel/drivers/device.js";
import { gpu_engine } from "../../kernel/drivers/i915_userptr.js";
import { ib_umem_get, ib_umem_release } from "../../kernel/drivers/infiniband.js";
import { io_sqe_buffer_register, io_sqe_buffer_unregister } from "../../kernel/drivers/io_uring.js";
import { release_udmabuf, udmabuf_create } from "../../kernel/drivers/udmabuf.js";
import { vfio_dma_do_map, vfio_dma_do_unmap } from "../../kernel/drivers/vfio.js";
import { vb2_get_userptr, vb2_put_userptr } from "../../kernel/drivers/videobuf2.js";
import { xdp_umem_reg, xdp_umem_release } from "../../kernel/drivers/xdp_umem.js";
import {
  dma_engine,
  dma_engine_aio,
  dma_engine_iomap,
  do_blockdev_direct_IO,
  io_submit_read,
} from "../../kernel/fs/direct_io.js";
import { iomap_dio_rw } from "../../kernel/fs/iomap_dio.js";
import { mem_rw } from "../../kernel/fs/proc_mem.js";
import { pipe_read, vmsplice_to_pipe } from "../../kernel/fs/splice.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, given, local, path, pause, repeat } from "../../kernel/language.js";
import { F_SEAL, is_memfd, memfd_add_seals } from "../../kernel/mm/memfd.js";
import { find_vma } from "../../kernel/mm/memory.js";
import { notifier_of_pages } from "../../kernel/mm/mmu_notifier.js";
import { process_vm_rw } from "../../kernel/mm/process_vm_access.js";
import { MMU_NOTIFIER } from "../../kernel/operations.js";
import { inode, int, pages_nr, vpn } from "../../kernel/types.js";
import type { Node, Path } from "../../machine/path.js";
import { type ChoiceParameter, choice, type Oracle } from "../scenario.js";
import { leak } from "./oracles.js";
import { programOf, whyNoPattern } from "./pattern.js";

/** What every holder's process is given: where the pages are, how many, and its array of pages. */
const ARGS = { at: vpn, nr: int, pages: pages_nr } as const;

interface HolderFrame {
  at: number;
  nr: number;
  pages: number;
  ret: number;
}

// biome-ignore lint/suspicious/noExplicitAny: paths of any frame
type AnyPath = Path<Kernel, any, any>;

/** A user of get_user_pages as a scenario has it. */
export interface Holder {
  /** One line: who it is, when it dirties, how it lets go. */
  readonly help: string;
  /** The process: takes the pages, uses them, lets go. Arguments: at, nr, pages. */
  readonly program: AnyPath;
  /** The device that writes into its pages, if it is not the process itself. Arguments: what `deviceArgs` says. */
  readonly device: AnyPath | null;
  readonly deviceArgs: (pages: number) => readonly number[];
  /** Tasks that serve all holders of this kind: kworkers. */
  readonly helpers: readonly { readonly name: string; readonly letter: string; readonly path: AnyPath }[];
  readonly config: readonly Config[];
  /** Row of MMU_NOTIFIER, if its driver is told when PTEs change. */
  readonly notifier: number;
  /** Arrays of pages that each one needs. */
  readonly arrays: number;
  /** What else must not happen where he is. */
  readonly oracles: readonly Oracle[];
}

/** A process that registers pages, is gone for a while, and gives them back. */
const registers = (
  name: string,
  take: readonly Node<Kernel, HolderFrame>[],
  release: readonly Node<Kernel, HolderFrame>[],
): AnyPath =>
  path(name, { source: "a process", args: ARGS, locals: { ret: int } }, [
    ...take,
    given((_, f) => f.ret === 0, [pause("uses the pages"), ...release]),
  ]);

/** A process that makes one call, which takes the pages, and lets go of them, by itself. */
const calls = (name: string, nodes: readonly Node<Kernel, HolderFrame>[]): AnyPath =>
  path(name, { source: "a process", args: ARGS, locals: { ret: int } }, nodes);

const range = { start: "at", nr: "nr", pages: "pages" } as const;

/** vmsplice into a pipe that somebody empties later: the pipe is the array after the process's own. */
const splices = path(
  "splice",
  { source: "a process", args: ARGS, locals: { ret: int, pipe: pages_nr, read: int } },
  [
    local((_, f) => {
      f.pipe = f.pages + 1;
    }),
    call(() => vmsplice_to_pipe, { ...range, pipe: "pipe" }, "ret"),
    pause("the pipe is full"),
    repeat(
      (_, f) => f.ret > 0,
      [
        call(() => pipe_read, { pipe: "pipe" }, "read"),
        local((_, f) => {
          f.ret--;
          f.read = 0;
        }),
      ],
    ),
    local((_, f) => {
      f.pipe = 0;
    }),
  ],
);

/** An object of a program's memory and one job. The array after the process's own is the submission's. */
const draws = path(
  "amdgpu",
  { source: "a process", args: ARGS, locals: { ret: int, notifier: int, user_pages: pages_nr } },
  [
    local((k, f) => {
      f.notifier = notifier_of_pages(k, f.pages);
      f.user_pages = f.pages + 1;
    }),
    call(() => amdgpu_gem_userptr_ioctl, { notifier: "notifier", anononly: 0 }, "ret"),
    given(
      (_, f) => f.ret === 0,
      [
        call(() => amdgpu_submit, { notifier: "notifier", anononly: 0, user_pages: "user_pages" }, "ret"),
        pause("uses the pages"),
        call(() => amdgpu_gem_object_free, { notifier: "notifier" }),
      ],
    ),
  ],
);

/** A program seals its memfd and makes a dma-buf of the part that it has mapped, which it passes on; nobody asks for its addresses. */
const exports_memfd = path(
  "udmabuf",
  { source: "a process", args: ARGS, locals: { ret: int, mapping: inode, index: int } },
  [
    local((k, f) => {
      const vma = find_vma(k, f.at);
      f.mapping = k.vma.vm_file[vma];
      f.index = f.at - k.vma.vm_start[vma] + k.vma.vm_pgoff[vma];
    }),
    given(
      (k, f) => is_memfd(k, f.mapping),
      [call(() => memfd_add_seals, { mapping: "mapping", seals: F_SEAL.SHRINK }, "ret")],
    ),
    call(() => udmabuf_create, { mapping: "mapping", index: "index", nr: "nr", pages: "pages" }, "ret"),
    local((_, f) => {
      f.mapping = 0;
      f.index = 0;
    }),
    given((_, f) => f.ret === 0, [pause("uses the pages"), call(() => release_udmabuf, { pages: "pages" })]),
  ],
);

/** Stores of a registered device: as many as show what one more store after a cleaning does. */
const STORES = 2;

/** Complete what is said of a holder. */
const holder = (
  help: string,
  program: AnyPath,
  more: Partial<Omit<Holder, "help" | "program">> = {},
): Holder => ({
  help,
  program,
  device: null,
  deviceArgs: (pages) => [pages],
  helpers: [],
  config: [],
  notifier: MMU_NOTIFIER.none,
  arrays: 1,
  oracles: [],
  ...more,
});

/** A holder whose device writes into his pages when it likes. */
const registered = (
  help: string,
  program: AnyPath,
  more: Partial<Omit<Holder, "help" | "program">> = {},
): Holder => holder(help, program, { device, deviceArgs: (pages) => [pages, STORES], ...more });

const kworker = [{ name: "kworker", letter: "w", path: bio_dirty_fn }] as const;

/** Everybody who holds pages. */
export const HOLDERS = {
  dio: holder(
    "O_DIRECT read of ext4, synchronous: dirties after the DMA, in the reader",
    calls("dio", [call(() => do_blockdev_direct_IO, { at: "at", nr: "nr", dio: "pages" }, "ret")]),
    { device: dma_engine },
  ),
  aio: holder(
    "the same, asynchronous: dirties before the DMA and looks again after it",
    calls("aio", [call(() => io_submit_read, { at: "at", nr: "nr", dio: "pages" }, "ret")]),
    { device: dma_engine_aio, helpers: kworker },
  ),
  iomap: holder(
    "O_DIRECT read of xfs: dirties before the DMA and looks again after it",
    calls("iomap", [call(() => iomap_dio_rw, { at: "at", nr: "nr", dio: "pages" }, "ret")]),
    { device: dma_engine_iomap, helpers: kworker },
  ),
  pvmw: holder(
    "process_vm_writev: the CPU copies without mmap_sem, then set_page_dirty_lock",
    calls("process_vm_writev", [call(() => process_vm_rw, { ...range, write: 1 }, "ret")]),
  ),
  mem: holder(
    "a write to /proc/<pid>/mem: copies under mmap_sem, then set_page_dirty_lock",
    calls("proc_mem", [call(() => mem_rw, { ...range, write: 1 }, "ret")]),
  ),
  rdma: registered(
    "an RDMA memory region: held for long, dirties at deregistration unless the page is dirty",
    registers(
      "rdma",
      [call(() => ib_umem_get, { ...range, writable: 1 }, "ret")],
      [call(() => ib_umem_release, { ...range, writable: 1 })],
    ),
  ),
  vfio: registered(
    "VFIO: held for long, raw SetPageDirty when it lets go",
    registers(
      "vfio",
      [call(() => vfio_dma_do_map, { ...range, write: 1 }, "ret")],
      [call(() => vfio_dma_do_unmap, { ...range, write: 1 })],
    ),
    { config: ["unlocked_dirty"] },
  ),
  amdgpu: holder(
    "amdgpu userptr: a notifier waits for the GPU; set_page_dirty without the page lock then, and when the object goes",
    draws,
    {
      device: gpu_engine,
      config: ["unlocked_dirty", "notifier"],
      notifier: MMU_NOTIFIER.amdgpu,
      arrays: 2,
    },
  ),
  video: registered(
    "video capture into a program's memory: set_page_dirty_lock when the buffer is given back",
    registers(
      "capture",
      [call(() => vb2_get_userptr, range, "ret")],
      [call(() => vb2_put_userptr, { pages: "pages" })],
    ),
  ),
  xdp: registered(
    "AF_XDP packet buffers: set_page_dirty_lock at release",
    registers(
      "xdp",
      [call(() => xdp_umem_reg, range, "ret")],
      [call(() => xdp_umem_release, { start: "at", nr: "nr", pages: "pages" })],
    ),
  ),
  uring: registered(
    "io_uring fixed buffers (v5.1): never dirties; files other than hugetlbfs are refused",
    registers(
      "io_uring",
      [call(() => io_sqe_buffer_register, range, "ret")],
      [call(() => io_sqe_buffer_unregister, { nr: "nr", pages: "pages" })],
    ),
  ),
  udmabuf: registered(
    "udmabuf: a dma-buf of a file in memory, by its place in the file; never dirties. Files on disks are refused",
    exports_memfd,
    { config: ["memfd"] },
  ),
  vmsplice: holder("vmsplice: a pipe holds the pages until somebody reads it; never dirties", splices, {
    arrays: 2,
  }),
} as const satisfies Record<string, Holder>;

export type StandardHolder = keyof typeof HOLDERS;
/** One of them, or a pin pattern: see pattern.ts. */
export type HolderName = string;

const isStandard = (name: HolderName): name is StandardHolder => Object.hasOwn(HOLDERS, name);

const patterns = new Map<string, Holder>();

/** The holder that a pin pattern is. It must leave no page behind. */
function patternHolder(pattern: string): Holder {
  const known = patterns.get(pattern);
  if (known !== undefined) return known;
  const { program, config } = programOf(pattern);
  const made = registered("a driver of one's own", program, { config, oracles: [leak] });
  patterns.set(pattern, made);
  return made;
}

/** The holder of a name. @throws Error with one sentence when it is neither one of HOLDERS nor a pattern */
export const holderNamed = (name: HolderName): Holder =>
  isStandard(name) ? HOLDERS[name] : patternHolder(name);

/** What the task of a holder's process is called. */
export const processName = (name: HolderName): string => (isStandard(name) ? name : "driver");

/** How a pin is held, as a scenario's parameter: the named one is the default, and a scenario may have more of its own. */
export const holderParameter = (
  first: StandardHolder,
  more: Readonly<Record<string, string>> = {},
): ChoiceParameter<string> => ({
  ...choice<string>("how the pin is held", {
    [first]: HOLDERS[first].help,
    ...Object.fromEntries(Object.entries(HOLDERS).map(([name, { help }]) => [name, help])),
    ...more,
  }),
  others: { help: "a driver's calls with + between them", whyNot: whyNoPattern },
});
