/**
 * W5, W6: what is on the disk when somebody asks, and what the disk gets to see of a page that a device writes.
 */
import { recovered_version } from "../../kernel/fs/power_cut.js";
import { fsync } from "../../kernel/fs/sync.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, path, pause, step } from "../../kernel/language.js";
import { inode, int, vpn } from "../../kernel/types.js";
import { cpu_access } from "../../kernel/user.js";
import { choice, type Oracle, scenario, type View } from "../scenario.js";
import { holderParameter, processName } from "./holders.js";
import { FILE, pinned } from "./pinned.js";
import { FILESYSTEMS, fsOf, MOUNTS, mountOf, pagesTaken, SIZES } from "./sizes.js";

/** The program that asks for its data to be safe once its device has finished. */
const application = path("application", { source: "a process", args: { mapping: inode } }, [
  step("begin", () => {}),
  call(() => fsync, { mapping: "mapping" }),
]);

/** A pinned page of the file whose bytes are not there after a power cut, or -1. */
function unsaved(k: Kernel): number {
  for (let page = 0; page < k.geometry.pages; page++) {
    if (k.page.mapping[page] !== FILE || k.page.pins[page] === 0) continue;
    for (let part = 0; part < k.geometry.parts; part++)
      if (
        recovered_version(k, FILE, k.page.index[page], part) <
        k.content.version[page * k.geometry.parts + part]
      )
        return page;
  }
  return -1;
}

/** After a fsync that began when the device had finished, everything that it wrote is on the disk. */
const saved: Oracle = {
  kind: "LOST",
  help: "fsync has returned, the power fails, and what the device had written before is gone",
  when: "always",
  check: ({ k, finished }: View) => {
    if (!finished("application")) return null;
    const page = unsaved(k);
    return page < 0
      ? null
      : { page, message: "fsync returned, and what the device had written before it is not on the disk" };
  },
};

export const fsyncPinned = scenario({
  name: "fsync-pinned",
  aliases: ["W5"],
  help: "a device has finished, its pages are still pinned, and the program calls fsync",
  story:
    "A device writes into registered pages and is done; the registration stays. The program calls fsync, fsync returns, the power fails. What the device wrote is " +
    "on the disk only if somebody had marked the pages dirty, and the driver does that when it lets go.",
  parameters: {
    holder: holderParameter("rdma"),
    fs: choice("the file's filesystem", MOUNTS),
    ...SIZES,
  },
  setup: ({ holder, fs, ...sizes }) => {
    const base = pinned({
      holder,
      ...mountOf(fs),
      ...sizes,
      tasks: [
        {
          name: "application",
          letter: "a",
          path: application,
          args: [FILE],
          daemon: false,
          heldBack: ({ finished, step: stepOf }) =>
            stepOf("application") === "begin" && devices.some((name) => !finished(name)),
        },
      ],
      oracles: [saved],
    });
    const devices = base.tasks.filter(({ name }) => name.startsWith("device")).map(({ name }) => name);
    // The pages stay pinned until the program has its answer.
    const tasks = base.tasks.map((task) =>
      task.name.startsWith(processName(holder))
        ? {
            ...task,
            heldBack: ({ k, finished }: View) =>
              k.page.pins.some((pins) => pins > 0) && devices.every(finished) && !finished("application"),
          }
        : task,
    );
    return { ...base, tasks };
  },
});

/** A program that stores into memory that a device has, and asks for what it stored to be safe. */
const storer = path(
  "application",
  { source: "a process", args: { mapping: inode, at: vpn }, locals: { ret: int } },
  [
    pause("waits"),
    call(() => cpu_access, { at: "at", write: 1 }, "ret"),
    call(() => fsync, { mapping: "mapping" }),
  ],
);

/** A question of its own, beside the standard workloads. */
export const halfPage = scenario({
  name: "half-page",
  help: "a program stores into a page that a device is writing into, and calls fsync",
  story:
    "Kara's half page (July 2018): one part of a page is a program's, another one a device's. Whoever does not write a page to disk as long as it is pinned does not write the program's part " +
    "either, and fsync must not return as if it had. What the CPU had stored before the call is on the disk when it returns 0, or the promise is broken.",
  parameters: {
    holder: holderParameter("rdma"),
    fs: choice("the file's filesystem", MOUNTS),
    ...SIZES,
  },
  setup: ({ holder, fs, ...sizes }) =>
    pinned({
      holder,
      ...mountOf(fs),
      ...sizes,
      config: ["fsync_oracle"],
      tasks: [{ name: "application", letter: "a", path: storer, args: [FILE, 0], daemon: false }],
    }),
});

export const writeDuringWriteback = scenario({
  name: "write-during-wb",
  aliases: ["W6"],
  help: "a device writes a page while it is under writeback to a disk that checks sums",
  story:
    "The disk gets a sum with each page and checks it against the bytes that it fetches (T10 DIF, RAID 5 and btrfs do so in their ways). Filesystems keep the CPU away from such a page " +
    "until it is written; a device that holds it through get_user_pages does not ask.",
  parameters: {
    holder: holderParameter("rdma"),
    fs: choice("the file's filesystem", FILESYSTEMS),
    ...SIZES,
  },
  setup: ({ holder, fs, ...sizes }) =>
    pinned({
      holder,
      fs: fsOf(fs),
      ...sizes,
      config: ["checksum"],
      geometry: {
        files: [{ pages: pagesTaken(sizes), fs: fsOf(fs), stable_writes: true }],
      },
    }),
});
