/**
 * swap-pinned: the article's question asked of anonymous memory. It says of memory that no filesystem writes back that nothing can happen to it; with
 * swap somebody writes it back.
 *
 * A device holds a page of a process's own memory while kswapd looks for something to swap out. The device's bytes must be what the
 * process reads in the end.
 */
import { disk_daemon } from "../kernel/block/disk.js";
import { old_anonymous } from "../kernel/boot.js";
import { device, dma_map, dma_unmap } from "../kernel/drivers/device.js";
import { do_exit } from "../kernel/exit.js";
import { fork, ret_from_fork } from "../kernel/fork.js";
import { call, given, leave, local, path, pause, step } from "../kernel/language.js";
import { get_user_pages_fast } from "../kernel/mm/gup.js";
import { kswapd } from "../kernel/mm/kswapd.js";
import { set_page_dirty_lock } from "../kernel/mm/page_writeback.js";
import { put_pages } from "../kernel/mm/user_pages.js";
import { VM_WRITE } from "../kernel/structs.js";
import { int, pages_nr, pfn, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import { choice, scenario, type TaskPlan, whole } from "./scenario.js";
import { type HolderName, holderNamed, holderParameter, processName } from "./workloads/holders.js";
import { holderNotifiers, holderTasks } from "./workloads/pinned.js";
import { seen } from "./workloads/processes.js";

const CHILD = 1;

/** Another thread of the process looks at the page, or stores into it, some time. */
const toucher = path("touch", { source: "a process", args: { at: vpn, write: int } }, [
  pause("does something else"),
  call(() => cpu_access, { at: "at", write: "write" }),
]);

/** A driver that asks for the page as if its device only read, and lets it write. It may say so when it lets go. */
const reader = (dirties: boolean) =>
  path(
    "takes_for_reading",
    { source: "a driver", args: { start: vpn, pages: pages_nr }, locals: { at: int, got: int, page: pfn } },
    [
      call(() => get_user_pages_fast, { start: "start", nr: 1, write: 0, pages: "pages" }, "got"),
      given((_, f) => f.got < 1, [leave()]),
      step("dma_map_sg", (k, f) => dma_map(k, f.pages, true)),
      pause("uses the page"),
      step("dma_unmap_sg", (k, f) => dma_unmap(k, f.pages)),
      local((_, f) => {
        f.got = 0;
      }),
      ...put_pages<{ pages: number; at: number; page: number }>(
        dirties ? [call(() => set_page_dirty_lock, { page: "page" })] : [],
      ),
    ],
  );

const READERS = {
  reader: "a driver that takes the page for reading and lets its device write",
  reader_dirties: "the same, but it marks the page dirty before it lets go",
} as const;

const ONE = { pages: 1, drivers: 1, buffer: "own" } as const;

/** The process that holds the page, and its device. */
function holders(holder: HolderName): TaskPlan[] {
  if (!(holder in READERS)) return holderTasks(holder, ONE);
  return [
    { name: holder, letter: "p", path: reader(holder === "reader_dirties"), args: [0, 0], daemon: false },
    { name: "device", letter: "m", path: device, args: [0, 1], daemon: true },
  ];
}

/** Another thread of the process forks, some time. */
const forker = path("forker", { source: "a process", args: { child: int }, locals: { ret: int } }, [
  pause("does something else"),
  call(() => fork, { mm: 0, child: "child" }, "ret"),
]);

/** The child does nothing with the memory and goes. */
const child = path("child", { source: "a process", args: { mm: int } }, [
  call(() => ret_from_fork, { mm: "mm" }),
  pause("works"),
  call(() => do_exit, { mm: "mm" }),
]);

export const swapPinned = scenario({
  name: "swap-pinned",
  help: "a pinned page of anonymous memory, and a kswapd that swaps",
  story:
    "kswapd gives the page a place in swap, unmaps it and marks it dirty; then pageout() finds the device's reference and does not write it. The process faults it back from " +
    "the swap cache: the same page. Only pageout() cleans a page of the swap cache, so that a page taken for writing stays dirty until its holder lets go, and is written then, with " +
    "what the device wrote, whether its driver says so or not. Who takes a page for reading can have a clean one: if he writes all the same, set_page_dirty is what keeps " +
    "his bytes (holder=reader, reader_dirties). And where the disk needs stable pages, a store to a page that is being swapped out copies it, away from who reads it " +
    "(holder=vmsplice, touch=writes, swap=stable).",
  parameters: {
    holder: holderParameter("dio", READERS),
    touch: choice("what another thread of the process does", {
      none: "nothing",
      reads: "looks at the page",
      writes: "stores into the page",
    }),
    fork: choice("whether a third thread forks", { no: "it does not", yes: "some time; the child exits" }),
    swap: choice("the device under the swap area", {
      plain: "a disk",
      stable: "one that needs pages to be stable while it writes them (SWP_STABLE_WRITES)",
    }),
    slots: whole(
      "pages of the swap area; of one that is more than half used, pages give their place up",
      2,
      1,
      64,
    ),
    parts: whole("parts in which a page is transferred", 1, 1, 8),
  },
  setup: ({ holder, touch, fork: forks, swap, slots, parts }) => {
    const {
      arrays,
      config,
      oracles,
      device: told,
    } = holder in READERS ? { arrays: 1, config: [], oracles: [], device } : holderNamed(holder);
    const family = forks === "yes";
    const tasks: TaskPlan[] = [
      ...holders(holder),
      { name: "kswapd", letter: "k", path: kswapd, args: [], daemon: true },
      { name: "disk", letter: "d", path: disk_daemon, args: [0], daemon: true },
    ];
    if (touch !== "none")
      tasks.push({
        name: "toucher",
        letter: "t",
        path: toucher,
        args: [0, touch === "writes" ? 1 : 0],
        daemon: false,
      });
    if (family)
      tasks.push(
        { name: "forker", letter: "f", path: forker, args: [CHILD], daemon: false },
        { name: "child", letter: "c", path: child, args: [CHILD], daemon: false },
      );
    return {
      geometry: {
        pages: family ? 3 : 2,
        parts,
        vmas: [
          { pages: 1, flags: VM_WRITE },
          ...(family ? [{ pages: 1, flags: 0, mm: CHILD, forked: 0 }] : []),
        ],
        mms: family ? 2 : 1,
        dios: arrays,
        notifiers: holder in READERS ? [] : holderNotifiers(holder, ONE),
        swap: { pages: slots, stable_writes: swap === "stable" },
        config: [...new Set([...config, "swap" as const, ...(family ? (["mmap"] as const) : [])])],
      },
      tasks,
      pace: { kswapd: 60, disk: 20, device: 300, toucher: 150, forker: 200, [processName(holder)]: 600 },
      prepare: (k) => {
        old_anonymous(k, 0);
      },
      oracles: [seen(0, 0, told !== null), ...oracles],
    };
  },
});
