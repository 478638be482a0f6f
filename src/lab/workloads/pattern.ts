/**
 * A pin pattern: a driver of somebody's own as the calls that it makes, one after the other. Which function takes the pages, when the device
 * may write, how they are marked dirty, and how they are let go.
 *
 * Written in one word, "get_user_pages_fast+dma_map_sg+wait+dma_unmap_sg+set_page_dirty_lock+put_page", it is what `holder=` can be in every
 * scenario that asks how a pin is held, beside RDMA, VFIO and the others: with a device that writes, and whoever else is there. A replay line says all of it.
 * driver.ts tries a pattern on every kernel.
 *
 * The calls have the kernel's names and are what the kernel that runs makes of them: before v5.6, which brought it, pin_user_pages_fast is
 * get_user_pages_fast, as if the driver had been ported back. What a proposal changes in drivers it does not change here: this one is a user that
 * nobody has converted.
 */
import type { Config } from "../../kernel/config.js";
import { dma_map, dma_unmap } from "../../kernel/drivers/device.js";
import type { Kernel } from "../../kernel/kernel.js";
import {
  call,
  down_read,
  given,
  leave,
  local,
  path,
  pause,
  repeat,
  step,
  up_read,
  when,
} from "../../kernel/language.js";
import { mmap_sem } from "../../kernel/locks.js";
import { FOLL, get_user_pages_fast, get_user_pages_longterm } from "../../kernel/mm/gup.js";
import { mm_of } from "../../kernel/mm/memory.js";
import { PageDirty, SetPageDirty } from "../../kernel/mm/page.js";
import { set_page_dirty, set_page_dirty_lock } from "../../kernel/mm/page_writeback.js";
import { put_page } from "../../kernel/mm/swap.js";
import {
  dma_write,
  forget_user_page,
  lose_user_page,
  PAGES,
  page_lost,
  page_of,
} from "../../kernel/mm/user_pages.js";
import { int, NONE, pages_nr, pfn, vpn } from "../../kernel/types.js";
import type { FrameOf, Node, Path } from "../../machine/path.js";
import { FOLL_LONGTERM } from "../../patches/longterm_flag.js";
import { pin_user_pages_fast, unpin_user_page } from "../../patches/pin_user_pages.js";
import { listed } from "../text.js";

const SPEC = {
  source: "a driver",
  args: { at: vpn, nr: int, pages: pages_nr },
  locals: { ret: int, flags: int, i: int, part: int, page: pfn },
} as const;
type Frame = FrameOf<typeof SPEC>;
type Nodes = readonly Node<Kernel, Frame>[];

/** For each page of the driver's array. */
const each = (...nodes: Nodes): Nodes => [
  repeat(
    (k, f) => f.i < k.user_pages.nr[f.pages],
    [
      local((k, f) => {
        f.page = page_of(k, f.pages, f.i);
      }),
      ...nodes,
      local((_, f) => {
        f.i++;
        f.page = NONE;
      }),
    ],
  ),
  local((_, f) => {
    f.i = 0;
  }),
];

const puts = step<Frame>("put_page", (k, f) => {
  put_page(k, lose_user_page(k, f.pages, f.i));
});
const unpins: Nodes = [
  local((k, f) => {
    lose_user_page(k, f.pages, f.i);
  }),
  call(() => unpin_user_page, { page: "page" }) as Node<Kernel, Frame>,
];
const dirties_locked = call(() => set_page_dirty_lock, { page: "page" }) as Node<Kernel, Frame>;

/** A call that takes pages: its nodes leave how many, or an error, in `ret`. */
interface Take {
  readonly help: string;
  readonly nodes: Nodes;
  readonly flags: readonly string[];
  /** How a driver lets go that got fewer pages than it asked for. */
  readonly undo: Nodes;
}

const TAKES: Readonly<Record<string, Take>> = {
  get_user_pages_fast: {
    help: "a reference to each page, as since 2005",
    flags: ["FOLL_WRITE"],
    nodes: [
      call(
        () => get_user_pages_fast,
        { start: "at", nr: "nr", write: "flags", pages: "pages" },
        "ret",
      ) as Node<Kernel, Frame>,
    ],
    undo: each(puts),
  },
  get_user_pages_longterm: {
    help: "the same for as long as the driver likes, under mmap_sem; from v5.2 on it is a flag of get_user_pages",
    flags: ["FOLL_WRITE"],
    nodes: [
      down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
      call(
        () => get_user_pages_longterm,
        { start: "at", nr: "nr", flags: "flags", pages: "pages" },
        "ret",
      ) as Node<Kernel, Frame>,
      up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    ],
    undo: each(puts),
  },
  pin_user_pages_fast: {
    help: "a pin, which can be told from a reference since v5.7; before v5.6 it is get_user_pages_fast",
    flags: ["FOLL_WRITE", "FOLL_LONGTERM"],
    nodes: [
      call(
        () => pin_user_pages_fast,
        { start: "at", nr: "nr", flags: "flags", pages: "pages" },
        "ret",
      ) as Node<Kernel, Frame>,
    ],
    undo: each(...unpins),
  },
};

/** A call that works on the pages that the driver has. */
interface Use {
  readonly help: string;
  readonly nodes: Nodes;
  /** What the machine must allow. */
  readonly config?: Config;
}

const USES: Readonly<Record<string, Use>> = {
  dma_map_sg: {
    help: "from now on the device may write into the pages, and does so twice, when it likes",
    nodes: [step("dma_map_sg", (k, f) => dma_map(k, f.pages, true))],
  },
  dma_unmap_sg: {
    help: "from now on it may not",
    nodes: [step("dma_unmap_sg", (k, f) => dma_unmap(k, f.pages))],
  },
  wait: { help: "the driver does something else for a while", nodes: [pause("waits for the device")] },
  memcpy_to_page: {
    help: "the CPU writes into the pages through the kernel's own mapping",
    nodes: each(
      repeat(
        (k, f) => f.part < k.geometry.parts,
        [
          step("memcpy_to_page", (k, f) => {
            dma_write(k, f.pages, f.i, f.part);
            f.part++;
          }),
        ],
      ),
      local((_, f) => {
        f.part = 0;
      }),
    ),
  },
  SetPageDirty: {
    help: "the bit and nothing else, as VFIO did",
    nodes: each(step("SetPageDirty", (k, f) => SetPageDirty(k, f.page))),
    config: "unlocked_dirty",
  },
  set_page_dirty: {
    help: "by the filesystem, without the page lock",
    nodes: each(call(() => set_page_dirty, { page: "page" }) as Node<Kernel, Frame>),
    config: "unlocked_dirty",
  },
  set_page_dirty_lock: { help: "the same under the page lock", nodes: each(dirties_locked) },
  put_page: { help: "lets go of references", nodes: each(puts) },
  unpin_user_page: { help: "lets go of pins; before v5.6 it is put_page", nodes: each(...unpins) },
  unpin_user_pages_dirty_lock: {
    help: "for each page: set_page_dirty_lock unless it is dirty, then unpin_user_page",
    nodes: each(
      when("PageDirty", (k, f) => !PageDirty(k, f.page), [dirties_locked]),
      ...unpins,
    ),
  },
};

/** The flags by their names. FOLL_PIN is what pin_user_pages_fast adds by itself. */
const FLAGS: Readonly<Record<string, number>> = { FOLL_WRITE: FOLL.WRITE, FOLL_LONGTERM };

/**
 * The calls that a driver can make, each with what it does.
 *
 * @example driverCalls().put_page // "lets go of references"
 */
export const driverCalls = (): Readonly<Record<string, string>> =>
  Object.fromEntries([
    ...Object.entries(TAKES).map(([name, { help, flags }]) => [`${name}(${flags.join("|")})`, help]),
    ...Object.entries(USES).map(([name, { help }]) => [name, help]),
  ]);

const KNOWN = listed([...Object.keys(TAKES), ...Object.keys(USES)], "and");

/** A call as it is written: its name, and the flags in its brackets; null where there are none. */
interface Call {
  readonly name: string;
  readonly flags: readonly string[] | null;
}

/** @throws Error with one sentence when there is no such call, or it knows no such flag */
function callOf(text: string): Call {
  const [, name, inside] = /^\s*(\w+)\s*(?:\(([^()]*)\))?\s*$/.exec(text) ?? [];
  if (name === undefined || !(name in TAKES || name in USES))
    throw new Error(`there is no call ${JSON.stringify(text)} for a driver; known: ${KNOWN}`);
  const flags =
    inside === undefined
      ? null
      : inside
          .split("|")
          .map((flag) => flag.trim())
          .filter((flag) => flag !== "");
  const known = TAKES[name]?.flags ?? [];
  const wrong = flags?.find((flag) => !known.includes(flag));
  if (wrong !== undefined)
    throw new Error(
      known.length === 0
        ? `${name} takes no flags`
        : `${name} knows no flag ${wrong}: it is ${name}(${known.join("|")}), or ${name}() to read only`,
    );
  return { name, flags };
}

/**
 * The calls of a pattern, checked.
 *
 * @param pattern calls with + between them
 * @throws Error with one sentence when it is none
 */
function callsOf(pattern: string): readonly Call[] {
  const calls = pattern.split("+").map(callOf);
  if (!(calls[0].name in TAKES))
    throw new Error(
      `a driver that begins with ${calls[0].name} has no pages yet: ${listed(Object.keys(TAKES))} comes first`,
    );
  const again = calls.slice(1).find(({ name }) => name in TAKES);
  if (again !== undefined)
    throw new Error(`a driver has one list of pages, and takes them once: ${again.name} comes too late`);
  return calls;
}

/**
 * Why a word is no pattern, as a sentence; null when it is one.
 *
 * @example whyNoPattern("get_user_pages_fast+put_page") // null
 */
export function whyNoPattern(word: string): string | null {
  try {
    callsOf(word);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What takes the pages; a driver that gets fewer than it asked for gives back what it has, and ends. */
function taking({ name, flags }: Call): Nodes {
  const { nodes, undo } = TAKES[name];
  const value = (flags ?? ["FOLL_WRITE"]).reduce((sum, flag) => sum | FLAGS[flag], 0);
  const fails = step<Frame>(`${name} fails`, (k, f) => {
    k.refused(name, f.ret, NONE);
  });
  return [
    local((_, f) => {
      f.flags = value;
    }),
    ...nodes,
    local((_, f) => {
      f.flags = 0;
    }),
    given((_, f) => f.ret < f.nr, [given((_, f) => f.ret < 0, [fails], [...undo, gone]), leave()]),
    local((_, f) => {
      f.ret = 0;
    }),
  ];
}

/** The driver's list is thrown away, unless it names a page that it still has. */
const gone = local<Frame>((k, f) => {
  const nr = k.user_pages.nr[f.pages];
  for (let at = 0; at < nr; at++) if (!page_lost(k, f.pages, at)) return;
  for (let at = 0; at < nr; at++) forget_user_page(k, f.pages, at);
  k.user_pages.nr[f.pages] = 0;
  k.user_pages.state[f.pages] = PAGES.idle;
});

/** A pattern as what a machine needs for it. */
export interface PatternProgram {
  /** Arguments: at, nr, pages. */
  readonly program: Path<Kernel, typeof SPEC.args>;
  readonly config: readonly Config[];
}

/** @throws Error with one sentence when it is no pattern */
export function programOf(pattern: string): PatternProgram {
  const calls = callsOf(pattern);
  const nodes = calls.flatMap((each) => (each.name in TAKES ? taking(each) : USES[each.name].nodes));
  return {
    program: path("driver", SPEC, [...nodes, gone]),
    config: [...new Set(calls.flatMap(({ name }) => USES[name]?.config ?? []))],
  };
}

/** The calls that let go. */
const LETS_GO: readonly string[] = ["put_page", "unpin_user_page", "unpin_user_pages_dirty_lock"];

/** Whether a driver lets go of its pages more than once, or of pins as of references, or the other way round. */
export function overputs(pattern: string): boolean {
  const names = callsOf(pattern).map(({ name }) => name);
  const last = names.filter((name) => LETS_GO.includes(name));
  const pins = names.includes("pin_user_pages_fast");
  return last.length > 1 || last.some((name) => name.startsWith("unpin") !== pins);
}
