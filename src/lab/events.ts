/**
 * Events to wait for: the small language of `until`.
 *
 *   a number          that tick
 *   BUG, WARN, ...    a fault of that kind; `fault` is any
 *   a page's moment   `pinned`, `buffers-gone`, ...: what MOMENTS lists becomes true of a page
 *   a name            a step made by that task, in that path, or of that name
 *   name:name         both, for example `kswapd:trylock_page` or `shrink_page_list:unlock_page`
 *
 * An event has happened after the step in which it happens; the step before is one `back` away.
 */
import type { Kernel } from "../kernel/kernel.js";
import { PageDirty, PageLRU, PagePrivate, PageWriteback } from "../kernel/mm/page.js";
import { mapping_cap_account_dirty } from "../kernel/operations.js";
import { isAnon } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import { SEVERITY } from "./outcomes.js";
import type { World } from "./world.js";

/** Something that can become true of a page. */
export interface Moment {
  readonly name: string;
  readonly help: string;
  readonly holds: (k: Kernel, page: Pfn) => boolean;
}

/** Whether the page belongs to a filesystem that needs buffers to write it. */
function needsBuffers(k: Kernel, page: Pfn): boolean {
  const mapping = k.page.mapping[page];
  return !isAnon(mapping) && mapping_cap_account_dirty(k, mapping);
}

export const MOMENTS: readonly Moment[] = [
  { name: "mapped", help: "a PTE maps it", holds: (k, p) => k.page.mapcount[p] > 0 },
  { name: "unmapped", help: "the last PTE is gone", holds: (k, p) => k.page.mapcount[p] === 0 },
  { name: "pinned", help: "get_user_pages holds it", holds: (k, p) => k.page.pins[p] > 0 },
  { name: "unpinned", help: "the last pin is dropped", holds: (k, p) => k.page.pins[p] === 0 },
  { name: "dirty", help: "PG_dirty is set", holds: PageDirty },
  { name: "cleaned", help: "PG_dirty is cleared", holds: (k, p) => !PageDirty(k, p) },
  { name: "writeback", help: "PG_writeback is set", holds: PageWriteback },
  { name: "written", help: "PG_writeback is cleared", holds: (k, p) => !PageWriteback(k, p) },
  { name: "isolated", help: "reclaim took it off its LRU list", holds: (k, p) => !PageLRU(k, p) },
  { name: "buffers", help: "buffers are attached", holds: PagePrivate },
  { name: "buffers-gone", help: "its buffers are freed", holds: (k, p) => !PagePrivate(k, p) },
  {
    name: "device-wrote",
    help: "a device wrote, and nobody said so",
    holds: (k, p) => k.page.device[p] !== 0,
  },
  {
    name: "dirty-without-buffers",
    help: "PG_dirty without the buffers that its filesystem needs",
    holds: (k, p) => PageDirty(k, p) && !PagePrivate(k, p) && needsBuffers(k, p),
  },
  { name: "freed", help: "its last reference is dropped", holds: (k, p) => k.page._refcount[p] === 0 },
];

/** A watch on a world: asked after each step whether the event has happened in it. */
export interface Watch {
  happened(): boolean;
  /** Stop watching. */
  end(): void;
}

const nothing = (): void => {};

/**
 * Watch for an event.
 *
 * @throws Error with one sentence when the text names nothing that could happen here
 * @example
 * const watch = watchFor(world, "buffers-gone");
 * session.run(1000, () => watch.happened());
 */
export function watchFor(world: World, text: string): Watch {
  const { k } = world;
  if (/^\d+$/.test(text)) {
    const tick = Number(text);
    if (tick <= k.tick)
      throw new Error(`tick ${tick} is not ahead: it is tick ${k.tick} now; use goto ${tick}`);
    return { happened: () => k.tick >= tick, end: nothing };
  }
  const kind = SEVERITY.find((name) => name === text);
  if (kind !== undefined || text === "fault") {
    let seen = k.faults.length;
    const happened = (): boolean => {
      const fresh = k.faults.slice(seen);
      seen = k.faults.length;
      return fresh.some((fault) => kind === undefined || fault.kind === kind);
    };
    return { happened, end: nothing };
  }
  const moment = MOMENTS.find(({ name }) => name === text);
  return moment ? watchPages(k, moment) : watchSteps(world, text);
}

function watchPages(k: Kernel, { holds }: Moment): Watch {
  const held = Uint8Array.from({ length: k.geometry.pages }, (_, page) => (holds(k, page) ? 1 : 0));
  const happened = (): boolean => {
    let became = false;
    for (let page = 0; page < held.length; page++) {
      const now = holds(k, page) ? 1 : 0;
      if (now > held[page]) became = true;
      held[page] = now;
    }
    return became;
  };
  return { happened, end: nothing };
}

/** Names of tasks, paths and steps; all must be those of one step, held ones included. */
function watchSteps(world: World, text: string): Watch {
  const { machine } = world;
  const names = text.split(":");
  const known = stepNames(world);
  const { typed } = world.kernel.names;
  const wanted = names.map((name) => new Set(typed(name)));
  const unknown = names.find((name) => !typed(name).some((each) => known.has(each)));
  if (unknown !== undefined) {
    throw new Error(
      `"${unknown}" is no event of ${world.name}: write a tick, a fault such as BUG, a moment such as ${MOMENTS[2].name}, or a task, path or step (help until lists them)`,
    );
  }
  const recorded = machine.watch;
  let happened = false;
  machine.watch = (task, at) => {
    recorded?.(task, at);
    const { path, step } = machine.code[at];
    const { name } = machine.tasks[task];
    if (wanted.every((meant) => meant.has(name) || meant.has(path) || meant.has(step))) happened = true;
  };
  return {
    happened: () => {
      const now = happened;
      happened = false;
      return now;
    },
    end: () => {
      machine.watch = recorded;
    },
  };
}

/** Names of the tasks, paths and steps of a world, as v4.20 has them. */
function stepNames({ machine }: World): Set<string> {
  const names = new Set(machine.tasks.map(({ name }) => name));
  for (const { path, step } of machine.code) {
    if (step === "") continue;
    names.add(path);
    names.add(step);
  }
  return names;
}

/** The same as the world's kernel has them. */
function shownNames(world: World): Set<string> {
  const names = new Set(world.machine.tasks.map(({ name }) => name));
  for (const place of world.machine.code) {
    if (place.step === "") continue;
    const { path, step } = world.named(place);
    names.add(path);
    names.add(step);
  }
  return names;
}

/** Every event that can be waited for in a world, ticks apart: for completion. */
export const eventNames = (world: World): string[] => [
  "fault",
  "BUG",
  "WARN",
  "HANG",
  ...MOMENTS.map(({ name }) => name),
  ...[...shownNames(world)].filter((name) => !/\s/.test(name)).sort(),
];
