/**
 * W15: more references than a count can hold.
 *
 * page->_refcount is a signed word of 32 bits. v4.20's get_page adds one and does not look (try_get_page, which refuses a page whose count
 * has become negative, came with v5.1): after 2^31 references the count is negative, after 2^32 it is what it was. A pin is a
 * reference like any other, so that nothing is special about 1024 of them; in a huge page all base pages count in the head.
 *
 * Who can take so many? tee(2) makes another buffer of a pipe from one and takes a reference for it, as often as there is memory for
 * buffers. Here one step takes them all, and one step puts them all: every get_page of an order adds one and looks at nothing, so
 * that what others could do between two of them they can do before or after; a put that reaches zero frees the page, as in any
 * order.
 *
 * Left out: counts that wrap round to zero while the page is in use (what is freed then is on two lists), and a huge page whose count wraps round (it goes back to the pool while it is in a file's cache).
 */
import { device, dma_map, dma_unmap } from "../../kernel/drivers/device.js";
import { do_exit } from "../../kernel/exit.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, path, pause, step } from "../../kernel/language.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { get_user_pages_fast } from "../../kernel/mm/gup.js";
import { munmap } from "../../kernel/mm/mmap.js";
import { get_page, page_count, page_ref_add } from "../../kernel/mm/page.js";
import { lru_add_drain, put_page } from "../../kernel/mm/swap.js";
import { page_of, put_pages } from "../../kernel/mm/user_pages.js";
import { FS } from "../../kernel/operations.js";
import { VM_HUGETLB, VM_SHARED, VM_WRITE } from "../../kernel/structs.js";
import { int, type Pfn, pages_nr, pfn, vpn } from "../../kernel/types.js";
import { cpu_access } from "../../kernel/user.js";
import { struct, u32 } from "../../machine/memory.js";
import type { FrameOf } from "../../machine/path.js";
import { choice, scenario } from "../scenario.js";
import { leak, overhears } from "./oracles.js";

/** How often the page is in pipes; a local would be too small for the number. */
const pipes = struct("pipes", {
  millions: u32("references that tee(2) has taken, whole millions of them (2^20)"),
  rest: u32("and what is left"),
});
const MILLION = 2 ** 20;

const LIMIT = 2 ** 31;

/** How many each choice is. */
const TIMES = { bias: 1024, millions: 2 ** 21, sign: LIMIT, wrap: 2 * LIMIT } as const;

/** get_page, `times` times. */
export function get_page_times(k: Kernel, page: Pfn, times: number): void {
  const head = compound_head(k, page);
  const room = LIMIT - 1 - page_count(k, head);
  // With CONFIG_DEBUG_VM the first one that finds a negative count is the last.
  if (k.has("debug_vm") && times > room + 1) {
    page_ref_add(k, head, room + 1);
    get_page(k, head);
    return;
  }
  page_ref_add(k, head, times);
}

/** put_page, `times` times: one of them may find that it is the last. */
export function put_page_times(k: Kernel, page: Pfn, times: number): void {
  const head = compound_head(k, page);
  const left = page_count(k, head) >>> 0;
  if (left === 0 || times < left) {
    page_ref_add(k, head, -times);
    return;
  }
  page_ref_add(k, head, -(left - 1));
  put_page(k, head);
  page_ref_add(k, head, -(times - left));
}

const SPEC = {
  source: "a process",
  args: { start: vpn, nr: int, pages: pages_nr, mm: int },
  locals: { at: int, page: pfn, ret: int },
} as const;

/** Pin memory for a device, give it to pipes again and again, unmap it, empty the pipes, and let the device go. */
const counter = path("counter", SPEC, [
  call(() => get_user_pages_fast, { start: "start", nr: "nr", write: 1, pages: "pages" }, "ret"),
  step("dma_map_sg", (k, f) => dma_map(k, f.pages, true)),
  // Others' pages have filled the batch in which the page was: no reference of it is left there.
  step("lru_add_drain", (k) => lru_add_drain(k)),
  step("tee", (k, f) => get_page_times(k, page_of(k, f.pages, 0), in_pipes(k))),
  call(() => munmap, { start: "start", nr: "nr" }, "ret"),
  pause("works"),
  step("pipe_release", (k, f) => put_page_times(k, page_of(k, f.pages, 0), in_pipes(k))),
  pause("works"),
  step("dma_unmap_sg", (k, f) => dma_unmap(k, f.pages)),
  ...put_pages<FrameOf<typeof SPEC>>([]),
  call(() => do_exit, { mm: "mm" }),
]);

const in_pipes = (k: Kernel): number => k.of(pipes).millions[0] * MILLION + k.of(pipes).rest[0];

/** Somebody who has nothing to do with it: gets memory and writes into it. */
const other = path("other", { source: "a process", args: { mm: int, at: vpn } }, [
  pause("waits"),
  call(() => cpu_access, { at: "at", write: 1 }),
  pause("works"),
  call(() => do_exit, { mm: "mm" }),
]);

const ORDER = 2;
const MINE = 0;
const OTHER = 1;

export const counting = scenario({
  name: "counting",
  aliases: ["W15"],
  help: "a page with more references than its count can hold",
  story:
    "One page is given to pipes so often that its count wraps round. From then on it has as many references as before, and many more holders: when the pipes are emptied the page is freed " +
    "under a device that writes into it, and somebody else gets it. Up to 2^32 - 1 nothing happens.",
  parameters: {
    references: choice("references that are taken beyond the device's", {
      bias: "1024, which v5.7 would take for a pin",
      millions: "2^21, the pins that fit into a count by v5.7's bias",
      sign: "2^31: the count is negative",
      wrap: "2^32: the count is what it was",
    }),
    memory: choice("what is counted", {
      anon: "a page of anonymous memory",
      huge: "a huge page of hugetlbfs",
    }),
    debug: choice("whether the kernel looks", { no: "as distributions build it", yes: "CONFIG_DEBUG_VM" }),
  },
  setup: ({ references, memory, debug }) => {
    const huge = memory === "huge";
    const times = TIMES[references];
    if (huge && times > LIMIT)
      throw new Error("counting: a huge page is not followed beyond 2147483648 references");
    const pages = huge ? 1 << ORDER : 1;
    const flags = huge ? VM_WRITE | VM_SHARED | VM_HUGETLB : VM_WRITE;
    const files = huge ? [MINE, OTHER].map(() => ({ pages, fs: FS.hugetlbfs })) : [];
    return {
      geometry: {
        pages: 2,
        files,
        vmas: [MINE, OTHER].map((mm) => ({ pages, flags, file: huge ? mm + 1 : 0, mm })),
        mms: 2,
        dios: 1,
        dioPages: pages,
        ...(huge ? { hugePages: 1, hugeOrder: ORDER } : {}),
        config: [
          "mmap",
          ...(huge ? (["compound"] as const) : []),
          ...(debug === "yes" ? (["debug_vm"] as const) : []),
        ],
      },
      tables: [{ struct: pipes, rows: () => 1 }],
      tasks: [
        { name: "counter", letter: "p", path: counter, args: [0, pages, 0, MINE], daemon: false },
        { name: "other", letter: "o", path: other, args: [OTHER, pages], daemon: false },
        { name: "device", letter: "m", path: device, args: [0, 2], daemon: true },
      ],
      pace: { device: 60, counter: 60, other: 60 },
      prepare: (k) => {
        k.of(pipes).millions[0] = Math.floor(times / MILLION);
        k.of(pipes).rest[0] = times % MILLION;
      },
      oracles: [leak, overhears({ pages: 0, mm: MINE, known: Number.POSITIVE_INFINITY })],
    };
  },
});
