/**
 * W3, W10, W16, W17, W18: a pin against others who want the same pages or memory, devices that cannot stop, and controls.
 */
import { endless_device } from "../../kernel/drivers/device.js";
import { blk_mq_timeout_work, NVME, nvme_controller } from "../../kernel/drivers/nvme.js";
import { call, path, pause, wait } from "../../kernel/language.js";
import { alloc_contig_range, offline_pages } from "../../kernel/mm/compaction.js";
import { cache_hog } from "../../kernel/mm/pressure.js";
import { PAGES } from "../../kernel/mm/user_pages.js";
import { VM_WRITE } from "../../kernel/structs.js";
import { int, pages_nr, pfn } from "../../kernel/types.js";
import { choice, scenario, whole } from "../scenario.js";
import { holderParameter } from "./holders.js";
import { FILE, pinned } from "./pinned.js";
import { direct_writer } from "./reclaim.js";
import { FILESYSTEMS, fsOf, pagesTaken, SIZES } from "./sizes.js";

export const pvmWritev = scenario({
  name: "pvm-writev",
  aliases: ["W3"],
  help: "process_vm_writev into a mapping of a file that somebody else writes with O_DIRECT",
  story:
    "What syzkaller found in 2022: one process copies into pages that get_user_pages gave it, another one's O_DIRECT write invalidates the cache of the same file. No device, no " +
    "special hardware: any user can do it.",
  parameters: { fs: choice("the file's filesystem", FILESYSTEMS), ...SIZES },
  setup: ({ fs, ...sizes }) =>
    pinned({
      holder: "pvmw",
      fs: fsOf(fs),
      ...sizes,
      config: ["truncate"],
      tasks: [
        {
          name: "sendfile",
          letter: "s",
          path: direct_writer,
          args: [FILE, 0, pagesTaken(sizes) - 1],
          daemon: false,
        },
      ],
    }),
});

const OTHER = 2;

export const pressure = scenario({
  name: "pressure",
  aliases: ["W10"],
  help: "many pages are pinned, and somebody else needs memory",
  story:
    "Most of memory is pinned. Another process reads a file that does not fit into what is left: reclaim must find its pages elsewhere, and looks at the pinned ones " +
    "again and again, unmapping them each time.",
  parameters: {
    holder: holderParameter("rdma"),
    free: whole("pages that are not pinned", 2, 1, 64),
    ...SIZES,
  },
  setup: ({ holder, free, ...sizes }) => {
    const filePages = pagesTaken(sizes);
    return pinned({
      holder,
      fs: fsOf("ext4"),
      ...sizes,
      kswapd: true,
      geometry: {
        pages: filePages + free,
        files: [{ pages: filePages }, { pages: 2 * free }],
      },
      tasks: [{ name: "hog", letter: "h", path: cache_hog, args: [OTHER, 2 * free, 1], daemon: false }],
    });
  },
});

/** Somebody wants a range of page frames for himself. */
const contiguous = path(
  "cma_alloc",
  { source: "a driver", args: { start: pfn, end: pfn }, locals: { ret: int } },
  [pause("waits"), call(() => alloc_contig_range, { start: "start", end: "end" }, "ret")],
);

/** An administrator takes memory away; gives up after `patience` rounds. */
const offline = path(
  "memory_offline",
  { source: "a process", args: { start: pfn, end: pfn, patience: int }, locals: { ret: int } },
  [pause("waits"), call(() => offline_pages, { start: "start", end: "end", patience: "patience" }, "ret")],
);

export const migrate = scenario({
  name: "migrate",
  aliases: ["W16"],
  help: "a pinned page in memory that is to be emptied: CMA, memory offline",
  story:
    "A page that somebody holds cannot be moved. CMA gives up after five tries, memory offlining goes on for ever: a long pin keeps a whole range of memory where it is.",
  parameters: {
    holder: holderParameter("rdma"),
    who: choice("who wants the memory", { cma: "alloc_contig_range", offline: "memory hot-unplug" }),
    ...SIZES,
  },
  setup: ({ holder, who, ...sizes }) => {
    const filePages = pagesTaken(sizes);
    return pinned({
      holder,
      fs: fsOf("tmpfs"),
      ...sizes,
      flusher: false,
      config: ["migration"],
      geometry: { pages: 2 * filePages },
      tasks: [
        who === "cma"
          ? { name: "cma", letter: "c", path: contiguous, args: [0, filePages], daemon: false }
          : { name: "offline", letter: "o", path: offline, args: [0, filePages, 3], daemon: false },
      ],
    });
  },
});

/** Somebody wants the pages of a transfer back: revoke(), which can do nothing but wait until the device is done. */
const revoker = path("revoke", { source: "a process", args: { pages: pages_nr } }, [
  pause("waits"),
  wait("revoke", (k, f) => k.user_pages.state[f.pages] === PAGES.idle),
]);

const DISK_OF_W17 = {
  plain: "an NVMe disk that completes, and knows no Abort",
  abortable: "an NVMe disk that obeys Abort",
  stuck: "an NVMe disk that never completes: its controller is reset",
  dead: "an NVMe disk that does not hear of the reset either",
  endless: "a device that never completes, and whose driver has neither timeout nor reset",
} as const;

export const noRevoke = scenario({
  name: "no-revoke",
  aliases: ["W17"],
  help: "somebody wants pages back from a device that cannot stop, or never answers",
  story:
    "revoke() would have to make a device stop, or to wait for it. NVMe asks with Abort when a command is late, which most controllers do not implement, and resets the controller when " +
    "that does not help. Even then the command is sent again, five times, before its pages come back: minutes, not for ever. For ever is a device whose driver cannot reset it.",
  parameters: {
    device: choice("what the device does", DISK_OF_W17),
    ...SIZES,
  },
  setup: ({ device, ...sizes }) => {
    const endless = device === "endless";
    const base = pinned({
      holder: "dio",
      fs: fsOf("tmpfs"),
      ...sizes,
      drivers: 1,
      flusher: false,
      config: endless ? [] : ["nvme"],
      geometry: endless ? {} : { nvme: NVME[device] },
      tasks: [
        { name: "revoker", letter: "v", path: revoker, args: [0], daemon: false },
        ...(endless
          ? []
          : [{ name: "kblockd", letter: "t", path: blk_mq_timeout_work, args: [0], daemon: true }]),
      ],
    });
    return {
      ...base,
      pace: { ...base.pace, kblockd: 3000 },
      tasks: base.tasks.map((task) => {
        if (task.name !== "device") return task;
        return endless ? { ...task, path: endless_device } : { ...task, path: nvme_controller, args: [0] };
      }),
    };
  },
});

const MEMORY = { tmpfs: "a file in memory", anon: "anonymous memory" } as const;

export const control = scenario({
  name: "control",
  aliases: ["W18"],
  help: "W1 and W4 where no filesystem tracks dirty pages: nothing may happen",
  story:
    "The same pins, devices, flusher and reclaim on memory that is never written back. Whatever goes wrong here is a fault of the laboratory.",
  parameters: {
    holder: holderParameter("dio"),
    memory: choice("what is mapped", MEMORY),
    ...SIZES,
  },
  setup: ({ holder, memory, ...sizes }) => {
    const pages = pagesTaken(sizes);
    const base = pinned({
      holder,
      fs: fsOf("tmpfs"),
      ...sizes,
      kswapd: true,
      ...(memory === "anon" ? { geometry: { pages: 2 * pages } } : {}),
    });
    if (memory === "tmpfs") return base;
    // The file stays, cached and unused, so that the flusher and reclaim have something to look at.
    const vmas = (base.geometry.vmas ?? []).map((vma) => ({ ...vma, file: 0, flags: VM_WRITE }));
    return { ...base, geometry: { ...base.geometry, vmas } };
  },
});
