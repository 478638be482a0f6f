/**
 * W11, W12: a pin and a process that changes its memory under it.
 */
import { disk_daemon } from "../../kernel/block/disk.js";
import { device } from "../../kernel/drivers/device.js";
import { ib_umem_get, ib_umem_release } from "../../kernel/drivers/infiniband.js";
import { do_exit } from "../../kernel/exit.js";
import { fork, ret_from_fork } from "../../kernel/fork.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, given, path, pause } from "../../kernel/language.js";
import { MADV, madvise } from "../../kernel/mm/madvise.js";
import { page_behind } from "../../kernel/mm/memory.js";
import { PAGES, page_of } from "../../kernel/mm/user_pages.js";
import { VM_WRITE } from "../../kernel/structs.js";
import { int, NONE, pages_nr, vpn } from "../../kernel/types.js";
import { cpu_access } from "../../kernel/user.js";
import { choice, type Oracle, scenario } from "../scenario.js";

const PARENT = 0;
const CHILD = 1;

/** Register memory, fork, store into it, and give the registration back. */
const parent = path(
  "parent",
  {
    source: "a process",
    args: { at: vpn, nr: int, pages: pages_nr, dontfork: int },
    locals: { ret: int },
  },
  [
    call(() => ib_umem_get, { start: "at", nr: "nr", writable: 1, pages: "pages" }, "ret"),
    given(
      (_, f) => f.dontfork === 1,
      [call(() => madvise, { start: "at", nr: "nr", behavior: MADV.DONTFORK }, "ret")],
    ),
    call(() => fork, { mm: PARENT, child: CHILD }, "ret"),
    call(() => cpu_access, { at: "at", write: 1 }),
    pause("uses the region"),
    call(() => ib_umem_release, { start: "at", nr: "nr", writable: 1, pages: "pages" }),
  ],
);

/** The child does nothing with the memory and goes. */
const child = path("child", { source: "a process", args: { mm: int } }, [
  call(() => ret_from_fork, { mm: "mm" }),
  pause("works"),
  call(() => do_exit, { mm: "mm" }),
]);

/**
 * The device writes into a page that the process does not see: a pinned page is not the one behind its address.
 *
 * @param told whether there is a device that must be told first: what get_user_pages has put into an array it may take out again before
 *   it returns, and that is nobody's yet
 */
export const seen = (at: number, pages: number, told = false): Oracle => ({
  kind: "STALE",
  help: "the device holds another page than the one that the process sees at this address",
  when: "always",
  check: ({ k }: { readonly k: Kernel }) => {
    const held = page_of(k, pages, 0);
    if (held === NONE || (told && k.user_pages.state[pages] === PAGES.idle)) return null;
    const shown = page_behind(k, at);
    return shown === NONE || shown === held
      ? null
      : { page: held, message: "the device holds a page that the process does not see any more" };
  },
});

export const forkWrite = scenario({
  name: "fork-write",
  aliases: ["W11"],
  help: "registered anonymous memory, fork, and a store of the parent",
  story:
    "fork write-protects the registered page in both processes. The parent writes first and gets a copy: from then on the device writes into a page that only the child has. " +
    "MADV_DONTFORK keeps the page from the child, and with it from this.",
  parameters: {
    advice: choice("whether the memory is kept from the child", {
      none: "as RDMA programs did at first",
      dontfork: "MADV_DONTFORK before the fork",
    }),
  },
  setup: ({ advice }) => ({
    geometry: {
      pages: 3,
      vmas: [
        { pages: 1, flags: VM_WRITE },
        { pages: 1, flags: 0, mm: CHILD, forked: 0 },
      ],
      mms: 2,
      dios: 1,
      config: ["mmap"],
    },
    tasks: [
      {
        name: "parent",
        letter: "p",
        path: parent,
        args: [0, 1, 0, advice === "dontfork" ? 1 : 0],
        daemon: false,
      },
      { name: "child", letter: "c", path: child, args: [CHILD], daemon: false },
      { name: "device", letter: "m", path: device, args: [0, 1], daemon: true },
    ],
    pace: { device: 300, parent: 300 },
    prepare: () => {},
    oracles: [seen(0, 0)],
  }),
});

/** Register memory for reading only, store into it, and give the registration back. */
const reader = path(
  "reader",
  { source: "a process", args: { at: vpn, nr: int, pages: pages_nr }, locals: { ret: int } },
  [
    call(() => ib_umem_get, { start: "at", nr: "nr", writable: 0, pages: "pages" }, "ret"),
    call(() => cpu_access, { at: "at", write: 1 }),
    given(
      (_, f) => f.ret === 0,
      [call(() => ib_umem_release, { start: "at", nr: "nr", writable: 0, pages: "pages" })],
    ),
  ],
);

export const roLongPrivate = scenario({
  name: "ro-long-private",
  aliases: ["W12"],
  help: "private memory registered for reading only, then the process writes it",
  story:
    "A device that only reads gets a page of a MAP_PRIVATE mapping. If that is still the file's page (or the zero page), the process's first store copies it, and the device reads the old bytes for ever. " +
    "v4.20's RDMA asks for FOLL_WRITE and FOLL_FORCE instead, which copies before the device gets anything.",
  parameters: {
    memory: choice("what is registered", { file: "a private mapping of a file", anon: "anonymous memory" }),
  },
  setup: ({ memory }) => ({
    geometry: {
      pages: 3,
      files: [{ pages: 1 }],
      vmas: [{ pages: 1, flags: VM_WRITE, file: memory === "file" ? 1 : 0 }],
      dios: 1,
      config: ["mmap"],
    },
    tasks: [
      { name: "reader", letter: "p", path: reader, args: [0, 1, 0], daemon: false },
      { name: "disk", letter: "d", path: disk_daemon, args: [0], daemon: true },
    ],
    pace: { disk: 20 },
    prepare: () => {},
    oracles: [seen(0, 0)],
  }),
});
