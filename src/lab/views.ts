/**
 * What a person is shown of a world: its tasks, its pages, the steps it has made, and what changed. Views are plain
 * values, made from the state alone; verbs print them, panels draw them, `--json` gives them as they are.
 */

import { type Kernel, PVECS } from "../kernel/kernel.js";
import { device_page_idle, is_zone_device_page } from "../kernel/mm/memremap.js";
import {
  PageActive,
  PageDirty,
  PageLocked,
  PageLRU,
  PagePrivate,
  PageReclaim,
  PageReferenced,
  PageSwapBacked,
  PageSwapCache,
  PageUptodate,
  PageWriteback,
} from "../kernel/mm/page.js";
import { page_private } from "../kernel/mm/swapfile.js";
import { isAnon, PVEC } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import type { CellChange } from "../machine/memory.js";
import { compound_pincount, page_maybe_dma_pinned } from "../patches/track_foll_pin.js";
import type { Fault, Recording } from "../trace/recording.js";
import {
  BUFFER_BIT,
  decodePageFlags,
  GUP_PIN_COUNTING_BIAS,
  LRU_PLACE,
  PTE_BIT,
  RECLAIM,
  refs_maybe_dma_pinned,
  TAG_BIT,
  WORD,
  type Word,
} from "../trace/words.js";
import { awaited, lockHolder } from "./awaited.js";
import { columns } from "./text.js";
import type { World } from "./world.js";

// ---- tasks

export type TaskState = "can move" | "asleep" | "waits" | "held back" | "hung" | "dead" | "finished";

export interface TaskView {
  readonly name: string;
  readonly letter: string;
  /** Where it is: the path and the step that it will make next, or in which it died. */
  readonly path: string;
  readonly step: string;
  readonly state: TaskState;
  /** What it waits for, sleeps for or died of; empty when there is nothing to say. */
  readonly why: string;
}

/** The tasks of a world, in its order. */
export function taskViews(world: World): TaskView[] {
  const { machine } = world;
  return machine.tasks.map(({ name, letter }, task) => {
    const { path, step } = world.named(machine.at(task));
    const { pause } = machine.at(task);
    const state = stateOf(world, task);
    const why =
      state === "waits" || state === "hung"
        ? world.kernel.names.text(awaited(world, task))
        : state === "asleep"
          ? (pause as string)
          : state === "dead"
            ? "killed by a BUG"
            : state === "held back"
              ? "by the scenario"
              : "";
    const done = state === "finished";
    return { name, letter, path: done ? "" : path, step: done ? "" : step, state, why };
  });
}

function stateOf(world: World, task: number): TaskState {
  const { machine } = world;
  if (machine.finished(task)) return "finished";
  if (machine.isDead(task)) return "dead";
  if (world.gone(task)) return "hung";
  if (machine.waiting(task)) return machine.paused(task) ? "asleep" : "waits";
  if (world.heldBack(task)) return "held back";
  return machine.paused(task) ? "asleep" : "can move";
}

// ---- pages

/** The letters of page-types (tools/vm) in its order, for the flags that a simulated page can have. */
const LETTERS: readonly (readonly [letter: string, name: string, test: (k: Kernel, page: Pfn) => boolean])[] =
  [
    ["L", "locked", PageLocked],
    ["R", "referenced", PageReferenced],
    ["U", "uptodate", PageUptodate],
    ["D", "dirty", PageDirty],
    ["l", "lru", PageLRU],
    ["A", "active", PageActive],
    ["W", "writeback", PageWriteback],
    ["I", "reclaim", PageReclaim],
    ["M", "mmap", (k, page) => k.page.mapcount[page] > 0],
    ["a", "anonymous", (k, page) => isAnon(k.page.mapping[page])],
    ["b", "swapbacked", PageSwapBacked],
    ["P", "private", PagePrivate],
  ];

/** What each letter stands for: "L locked, R referenced, ...". */
export const FLAG_LEGEND = LETTERS.map(([letter, name]) => `${letter} ${name}`).join(", ");

/** One holder of references to a page. */
export interface Holder {
  readonly who: string;
  readonly references: number;
}

export interface PageView {
  readonly pfn: number;
  /** Page-types letters, `_` where a flag is clear. */
  readonly letters: string;
  /** PG_* names. */
  readonly flags: readonly string[];
  readonly refcount: number;
  readonly holders: readonly Holder[];
  readonly mapcount: number;
  /** The mapping in words: "file 1, index 0", "anonymous" or "none". */
  readonly mapping: string;
  readonly vma: string;
  readonly pins: number;
  /** What page_maybe_dma_pinned says; of a kernel before v5.7, what v5.7 would say of this reference count. */
  readonly maybe_dma_pinned: boolean;
  /** "none", or the buffer's state: "dirty", "clean", "in I/O". */
  readonly buffers: string;
  /** The PTEs' bits: p present, w write, d dirty, y young; "none" when it is mapped nowhere. */
  readonly pte: string;
  /** The mapping's tags: "dirty", "writeback", "towrite"; "none". */
  readonly tags: string;
  readonly lru: string;
  /** Who holds PG_locked; empty when it is clear. */
  readonly locked_by: string;
  /** Whether a device has written bytes that nobody has marked dirty. */
  readonly device_wrote: boolean;
}

/** One page. @throws Error with one sentence when there is no such page */
export function pageView(world: World, pfn: number): PageView {
  const { k } = world;
  if (!Number.isInteger(pfn) || pfn < 0 || pfn >= k.geometry.pages) {
    const last = k.geometry.pages - 1;
    throw new Error(
      `there is no page ${pfn}: this machine has ${last === 0 ? "only page 0" : `pages 0 to ${last}`}`,
    );
  }
  const page = pfn as Pfn;
  const refcount = k.page._refcount[page];
  const view: PageView = {
    pfn,
    letters: LETTERS.map(([letter, , test]) => (test(k, page) ? letter : "_")).join(""),
    flags: decodePageFlags(k.page.flags[page]),
    refcount,
    holders: holders(world, page),
    mapcount: k.page.mapcount[page],
    mapping: mappingText(k, page),
    vma: vmaOf(k, page),
    pins: k.page.pins[page],
    maybe_dma_pinned: k.knows(compound_pincount)
      ? page_maybe_dma_pinned(k, page)
      : refs_maybe_dma_pinned(refcount),
    buffers: bufferText(k.buffersWord(page)),
    pte: pteText(k.pteWord(page)),
    tags: tagText(k.tagsWord(page)),
    lru: refcount === 0 ? "free" : nameOf(LRU_PLACE, k.lruWord(page)),
    locked_by: PageLocked(k, page) ? lockHolder(world, page) : "",
    device_wrote: k.page.device[page] !== 0,
  };
  // How it prints itself, which is no part of what it is.
  return Object.defineProperty(view, "toString", { value: () => pageText(view, world) });
}

/** A page as the verb `page` prints it. */
function pageText(view: PageView, { k, kernel }: World): string {
  const rows = [
    ["flags", `${view.letters}  ${view.flags.join(" ")}`],
    ["refcount", `${view.refcount}${view.holders.length > 0 ? ` (${holderText(view.holders)})` : ""}`],
    ["mapcount", String(view.mapcount)],
    ["mapping", view.mapping],
    ["vma", view.vma],
    ["pins", String(view.pins)],
    [kernel.names.path("page_maybe_dma_pinned"), view.maybe_dma_pinned ? "yes" : "no"],
    ["buffers", view.buffers],
    ["pte", view.pte],
    ["tags", view.tags],
    ["lru", view.lru],
    ["locked by", view.locked_by === "" ? "nobody" : view.locked_by],
    ["device wrote, nobody said", view.device_wrote ? "yes" : "no"],
  ];
  return `page ${view.pfn} at tick ${k.tick}\n${columns(rows.map(([name, value]) => [`  ${name}`, value]))}`;
}

/** The pages that are in use; a machine's free pages have nothing to show. */
export const pageViews = (world: World): PageView[] =>
  Array.from({ length: world.k.geometry.pages }, (_, pfn) => pfn)
    .filter((pfn) => world.k.page._refcount[pfn] > 0)
    .map((pfn) => pageView(world, pfn));

function mappingText(k: Kernel, page: Pfn): string {
  const mapping = k.page.mapping[page];
  if (mapping !== 0 && !isAnon(mapping)) return `file ${mapping}, index ${k.page.index[page]}`;
  const name = mapping === 0 ? "none" : "anonymous";
  return PageSwapCache(k, page) ? `${name}, in the swap cache as entry ${page_private(k, page)}` : name;
}

function vmaOf(k: Kernel, page: Pfn): string {
  for (let vma = 0; vma < k.vma.vm_start.length; vma++) {
    const at = k.pteAt(vma, page);
    if (at >= 0) return `vma ${vma}, virtual page ${at}`;
  }
  return "none";
}

/** Who holds the references of a page, as far as the state tells; the sum is the reference count. */
function holders(world: World, page: Pfn): Holder[] {
  const { k, machine } = world;
  const known: Holder[] = [];
  const add = (who: string, references: number): void => {
    if (references > 0) known.push({ who, references });
  };
  const { mapping } = k.page;
  add("swap cache", PageSwapCache(k, page) ? 1 : 0);
  // A DAX entry has no reference, and stands here for the one of an idle page, where there is one.
  const cache = is_zone_device_page(k, page) ? device_page_idle(k) : 1;
  add("cache", mapping[page] !== 0 && !isAnon(mapping[page]) ? cache : 0);
  add("buffers", PagePrivate(k, page) ? 1 : 0);
  add("PTE", k.page.mapcount[page]);
  add("gup", k.page.pins[page]);
  const foll_pin = known.length;
  const { cpus } = k.geometry;
  const parked = (batch: number): number =>
    k.pagevec_page.page
      .subarray(batch * k.pagevecSize, (batch + 1) * k.pagevecSize)
      .filter((entry) => entry === page + 1).length;
  let waitsForLru = false;
  for (let cpu = 0; cpu < cpus; cpu++) {
    const name = cpus === 1 ? "LRU batch" : `LRU batch of CPU ${cpu}`;
    let references = 0;
    for (let which = 0; which < PVECS; which++) references += parked(cpu * PVECS + which);
    add(name, references);
    waitsForLru ||= parked(cpu * PVECS + PVEC.lru_add) > 0;
  }
  const rest = (): number =>
    k.page._refcount[page] - known.reduce((sum, { references }) => sum + references, 0);
  if (!PageLRU(k, page) && !waitsForLru && k.page.mapcount[page] + mapping[page] > 0)
    add("isolator", Math.min(1, rest()));
  const users = machine.tasks.filter((_, task) => looksUp(world, task) && machine.page(task) === page);
  if (rest() === users.length) for (const { name } of users) add(name, 1);
  // One of a pin's references was taken for that of a get, which costs only one.
  const more = GUP_PIN_COUNTING_BIAS - 1;
  const pinned = k.knows(compound_pincount) ? Math.min(k.page.pins[page], Math.floor(rest() / more)) : 0;
  if (pinned > 0) {
    const gets = k.page.pins[page] - pinned;
    known.splice(foll_pin - 1, 1, ...(gets > 0 ? [{ who: "gup", references: gets }] : []), {
      who: `for ${pinned} ${pinned === 1 ? "pin" : "pins"} (FOLL_PIN)`,
      references: pinned * GUP_PIN_COUNTING_BIAS,
    });
  }
  add("a lookup or fault under way", rest());
  return known;
}

/** Paths that hold a reference to the page that they are about, while they run. */
const LOOKUPS = ["mpage_prepare_extent_to_map", "handle_mm_fault", "file_write_and_wait_range"];

const looksUp = ({ machine }: World, task: number): boolean =>
  !machine.finished(task) && machine.at(task).stack.some((path) => LOOKUPS.includes(path));

/** "cache, buffers, PTE, 2 gup". */
export const holderText = (holders: readonly Holder[]): string =>
  holders.map(({ who, references }) => (references === 1 ? who : `${references} ${who}`)).join(", ");

// ---- words

const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
  Object.keys(table).find((name) => table[name] === value) ?? String(value);

function bufferText(word: number): string {
  if (word === 0) return "none";
  const state =
    (word & BUFFER_BIT.async_write) !== 0 ? "in I/O" : (word & BUFFER_BIT.dirty) !== 0 ? "dirty" : "clean";
  return (word & BUFFER_BIT.mapped) !== 0 ? state : `${state}, no block`;
}

const pteText = (word: number): string =>
  word === 0
    ? "none"
    : (["present", "write", "dirty", "young"] as const)
        .map((bit) => ((word & PTE_BIT[bit]) !== 0 ? (bit === "young" ? "y" : bit[0]) : "-"))
        .join("");

function tagText(word: number): string {
  const set = Object.entries(TAG_BIT).filter(([, bit]) => (word & bit) !== 0);
  return set.length === 0 ? "none" : set.map(([name]) => name).join("+");
}

/** How a word of a page changed: "ref 4→5", "+dirty -private", "pte pwdy→none". */
function wordChange(word: Word, before: number, after: number): string {
  switch (word) {
    case WORD.flags: {
      const was = decodePageFlags(before);
      const is = decodePageFlags(after);
      const set = is.filter((flag) => !was.includes(flag)).map((flag) => `+${flag}`);
      return [...set, ...was.filter((flag) => !is.includes(flag)).map((flag) => `-${flag}`)].join(" ");
    }
    case WORD.refcount:
      return `ref ${before}→${after}`;
    case WORD.mapcount:
      return `map ${before}→${after}`;
    case WORD.pins:
      return `pins ${before}→${after}`;
    case WORD.pte:
      return `pte ${pteText(before)}→${pteText(after)}`;
    case WORD.buffers:
      return `buffers ${bufferText(before)}→${bufferText(after)}`;
    case WORD.tags:
      return `tags ${tagText(before)}→${tagText(after)}`;
    case WORD.lru:
      return `lru ${nameOf(LRU_PLACE, before)}→${nameOf(LRU_PLACE, after)}`;
    case WORD.device:
      return after === 1 ? "device wrote" : "device's write marked dirty";
    case WORD.reclaim:
      return `reclaim: ${nameOf(RECLAIM, after).replace("_", " ")}`;
    default:
      return "";
  }
}

// ---- the log

export interface LogEntry {
  readonly tick: number;
  readonly task: string;
  readonly path: string;
  readonly step: string;
  /** Page of the step, or -1. */
  readonly pfn: number;
  /** Steps that ran at once with it, because a lock keeps everybody else out. */
  readonly also: readonly string[];
  /** Words of pages that it changed, in words. */
  readonly changed: readonly { readonly pfn: number; readonly text: string }[];
  readonly faults: readonly Fault[];
}

/**
 * The steps of a recording from a tick on, with what each changed.
 *
 * @example logOf(session.world.recording(), session.tick - 10).map((entry) => entry.step)
 */
export function logOf(recording: Recording, from: number): LogEntry[] {
  const { info, word, value, pfn, time } = recording;
  const known = new Map<number, number>();
  const entries: LogEntry[] = [];
  let changed: { pfn: number; text: string }[] = [];
  let also: string[] = [];
  let faults: Fault[] = [];
  const open = (at: number, path: string, step: string): void => {
    changed = [];
    also = [];
    faults = [];
    const { name } = info.tasks[recording.task[at]];
    entries.push({ tick: time[at], task: name, path, step, pfn: pfn[at], also, changed, faults });
  };
  for (let at = 0; at < recording.length; at++) {
    const what = word[at] as Word;
    const cell = pfn[at] * 16 + what;
    const before = known.get(cell);
    known.set(cell, value[at]);
    if (time[at] < from) continue;
    const last = entries.at(-1);
    const fresh = last === undefined || last.tick !== time[at];
    if (what === WORD.step) {
      const { path, step } = info.steps[recording.step[at]];
      if (fresh) open(at, path, step);
      else also.push(step);
    } else if (what === WORD.fault) {
      const fault = info.faults[value[at]];
      if (fresh) open(at, fault.path, fault.step);
      faults.push(fault);
    } else if (!fresh && (what === WORD.reclaim || (before !== undefined && before !== value[at]))) {
      changed.push({ pfn: pfn[at], text: wordChange(what, before ?? 0, value[at]) });
    }
  }
  return entries;
}

/** What a step changed: "[ref 2→3, -lru]", with the page where it is not the step's own. */
function changeText({ changed, pfn: own }: LogEntry): string {
  const pagesChanged = [...new Set(changed.map((change) => change.pfn))];
  const parts = pagesChanged.map((pfnChanged) => {
    const texts = changed.filter((change) => change.pfn === pfnChanged).map(({ text }) => text);
    return `${pfnChanged === own ? "" : `page ${pfnChanged}: `}${texts.join(", ")}`;
  });
  return parts.length > 0 ? `  [${parts.join("; ")}]` : "";
}

/** A step of the log as one line; `columns` is what it may take before it leaves out what matters least. */
export function logLine(entry: LogEntry, columns = Number.POSITIVE_INFINITY): string {
  const { tick, task, path, step, also, faults } = entry;
  const start = `${String(tick).padStart(5)}  ${task.padEnd(8)}`;
  const end = changeText(entry) + faults.map(({ kind, message }) => `  ** ${kind}: ${message}`).join("");
  const whole = `${start} ${path}: ${[step, ...also].join(", ")}${end}`;
  if (whole.length <= columns) return whole;
  const alone = `${start} ${path}: ${step}${end}`;
  return alone.length <= columns ? alone : `${start} ${step}${end}`;
}

// ---- cells

/** A cell of the memory that differs, named and in words: "page 0 _refcount 3→2". */
export function cellText(world: World, { struct, row, field, before, after }: CellChange): string {
  const { machine } = world;
  if (struct === "task_struct" && field === "pc") {
    const at = (pc: number): string => {
      const { path, step } = world.named(machine.code[pc]);
      return `${path}:${step || "end"}`;
    };
    return `${machine.tasks[row].name} ${at(before)}→${at(after)}`;
  }
  if (struct === "task_struct") return `${machine.tasks[row].name} ${field} ${before}→${after}`;
  if (struct === "kernel_stack") return `${localOf(world, row)} ${before}→${after}`;
  if (struct === "page" && field === "flags")
    return `page ${row} flags ${wordChange(WORD.flags, before, after)}`;
  const rows = struct === "vmstat" || struct === "pgdat" ? struct : `${struct} ${row}`;
  return `${rows} ${field} ${before}→${after}`;
}

/** The task that a word of the stack belongs to. */
function localOf({ machine }: World, row: number): string {
  let first = 0;
  for (const { name, program } of machine.tasks) {
    const { words } = machine.image.programs[program];
    if (row < first + words) return `${name} local ${row - first}`;
    first += words;
  }
  return `kernel_stack ${row}`;
}
