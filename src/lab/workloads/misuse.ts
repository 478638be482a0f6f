/**
 * W14: drivers that let go of their pages in a wrong way.
 *
 * v4.20 has one way to let go, put_page, and nothing that could tell a driver's reference from another: what a wrong one does depends on
 * who else has the page. Each misuse is a process that takes pages of its own memory, lets a device write into them, makes its mistake
 * and exits; a second process allocates memory meanwhile, and may get a page that was freed too early.
 */
import { disk_daemon } from "../../kernel/block/disk.js";
import { cache_file } from "../../kernel/boot.js";
import { device, dma_map, dma_unmap } from "../../kernel/drivers/device.js";
import { do_exit } from "../../kernel/exit.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, given, local, path, pause, step } from "../../kernel/language.js";
import { get_user_pages_fast } from "../../kernel/mm/gup.js";
import { page_behind } from "../../kernel/mm/memory.js";
import { put_page } from "../../kernel/mm/swap.js";
import { forget_user_page, page_of, put_pages } from "../../kernel/mm/user_pages.js";
import { FS } from "../../kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../kernel/structs.js";
import { int, type PagesNr, pages_nr, pfn, vpn } from "../../kernel/types.js";
import { cpu_access } from "../../kernel/user.js";
import type { FrameOf, Node } from "../../machine/path.js";
import { choice, scenario } from "../scenario.js";
import { leak, overhears } from "./oracles.js";

const DRIVER = 0;
const VICTIM = 1;

const SPEC = {
  source: "a driver",
  args: { start: vpn, nr: int, pages: pages_nr },
  locals: { at: int, page: pfn, again: pfn, ret: int },
} as const;
type Frame = FrameOf<typeof SPEC>;
type Nodes = readonly Node<Kernel, Frame>[];

const take = call(
  () => get_user_pages_fast,
  { start: "start", nr: "nr", write: 1, pages: "pages" },
  "ret",
) as Node<Kernel, Frame>;
const map = step<Frame>("dma_map_sg", (k, f) => dma_map(k, f.pages, true));
const unmap = step<Frame>("dma_unmap_sg", (k, f) => dma_unmap(k, f.pages));
const works = pause<Frame>("the device works");
const exit = call(() => do_exit, { mm: DRIVER }) as Node<Kernel, Frame>;

/** The driver throws its list away; what it names has been put, or is not. */
function forget_list(k: Kernel, pages: PagesNr): void {
  for (let at = 0; at < k.user_pages.nr[pages]; at++) forget_user_page(k, pages, at);
  k.user_pages.nr[pages] = 0;
}

/** What a driver does once it has its pages; its process exits where it says so. */
const misuse = (name: string, ...nodes: Nodes) => path(name, SPEC, [take, ...nodes]);

/** A driver that makes no mistake, and those that make one. */
const MISUSES = {
  forget: {
    help: "never puts its pages",
    program: misuse("forgets_to_put", map, works, unmap, exit),
  },
  twice: {
    help: "puts its page twice",
    program: misuse(
      "puts_twice",
      map,
      works,
      unmap,
      local((k, f) => {
        f.page = page_of(k, f.pages, 0);
      }),
      step("put_page", (k, f) => put_page(k, f.page)),
      pause("thinks"),
      ...put_pages<Frame>([]),
      exit,
    ),
  },
  late: {
    help: "puts its page once more after its process has gone",
    program: misuse(
      "puts_late",
      map,
      works,
      unmap,
      local((k, f) => {
        f.again = page_of(k, f.pages, 0);
      }),
      ...put_pages<Frame>([]),
      exit,
      pause("thinks"),
      step("put_page", (k, f) => put_page(k, f.again)),
    ),
  },
  never: {
    help: "puts a page that it has not taken",
    program: path("puts_what_it_has_not", SPEC, [
      call(() => cpu_access, { at: "start", write: 1 }),
      step("put_page", (k, f) => put_page(k, page_behind(k, f.start))),
      exit,
    ]),
  },
  early: {
    help: "puts its page while the device still writes",
    program: misuse(
      "puts_too_early",
      map,
      works,
      step("put_page", (k, f) => put_page(k, page_of(k, f.pages, 0))),
      exit,
      pause("thinks"),
      unmap,
      step("kfree", (k, f) => forget_list(k, f.pages)),
    ),
  },
  partial: {
    help: "asks for more than there is, and forgets what it got",
    program: path("forgets_partial_results", SPEC, [
      local((_, f) => {
        f.at = f.nr + 1;
      }),
      call(() => get_user_pages_fast, { start: "start", nr: "at", write: 1, pages: "pages" }, "ret"),
      given((_, f) => f.ret > f.nr, [map, works, unmap, ...put_pages<Frame>([])]),
      exit,
    ]),
  },
  death: {
    help: "its process dies while the device works; the file's release puts the pages",
    program: misuse("dies", map, exit, works, unmap, ...put_pages<Frame>([])),
  },
  put: {
    help: "puts with put_page what it has pinned: the same call in v4.20, and right",
    program: misuse("puts", map, works, unmap, ...put_pages<Frame>([]), exit),
  },
} as const;

type Misuse = keyof typeof MISUSES;

/** Somebody who has nothing to do with it: gets memory, writes a secret into it, and goes. */
const victim = path("victim", { source: "a process", args: { mm: int, at: vpn } }, [
  pause("waits"),
  call(() => cpu_access, { at: "at", write: 1 }),
  pause("works"),
  call(() => do_exit, { mm: "mm" }),
]);

const PAGES = 1;

export const misuses = scenario({
  name: "misuse",
  aliases: ["W14"],
  help: "a driver that forgets to put its pages, puts them twice, too early, or never took them",
  story:
    "put_page takes what it is given. A reference too many stays for ever; one too few is somebody else's: the page is freed while it is mapped, and the kernel reports a bad page, " +
    "or while a device writes, and another process gets it.",
  parameters: {
    how: choice(
      "what the driver does wrong",
      Object.fromEntries(Object.entries(MISUSES).map(([name, { help }]) => [name, help])) as Record<
        Misuse,
        string
      >,
    ),
    memory: choice("what it has taken", { anon: "anonymous memory", tmpfs: "a file in memory" }),
    debug: choice("whether the kernel looks", { no: "as distributions build it", yes: "CONFIG_DEBUG_VM" }),
  },
  setup: ({ how, memory, debug }) => {
    const file = memory === "tmpfs" ? 1 : 0;
    const flags = VM_WRITE | (file === 0 ? 0 : VM_SHARED);
    return {
      geometry: {
        pages: PAGES + 2,
        files: file === 0 ? [] : [{ pages: PAGES, fs: FS.tmpfs }],
        vmas: [
          { pages: PAGES, flags, file },
          // Nothing is mapped behind it.
          { pages: 1, flags: 0, mapped: false },
          { pages: 1, flags: VM_WRITE, mm: VICTIM },
        ],
        mms: 2,
        dios: 1,
        dioPages: PAGES + 1,
        config: debug === "yes" ? ["mmap", "debug_vm"] : ["mmap"],
      },
      tasks: [
        { name: "driver", letter: "p", path: MISUSES[how].program, args: [0, PAGES, 0], daemon: false },
        { name: "victim", letter: "v", path: victim, args: [VICTIM, PAGES + 1], daemon: false },
        { name: "device", letter: "m", path: device, args: [0, 2], daemon: true },
        { name: "disk", letter: "d", path: disk_daemon, args: [0], daemon: true },
      ],
      pace: { device: 60, driver: 60, victim: 60, disk: 20 },
      prepare: (k) => {
        if (file !== 0) cache_file(k, 1);
      },
      oracles: [leak, overhears({ pages: 0, mm: DRIVER, known: Number.POSITIVE_INFINITY })],
    };
  },
});
