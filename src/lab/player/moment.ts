/** A moment of a run as plain values: the step just made, the tasks, the pages, and what went wrong so far. */
import { DIRTY_CLASSES, type DirtyClass, dirtyClass } from "../../plot/index.js";
import type { Fault, FaultKind, Recording } from "../../trace/recording.js";
import { WORD } from "../../trace/words.js";
import { type LiveWord, pageType, pageWords } from "../page_layout.js";
import { lossesOf } from "../run.js";
import type { PageType } from "../struct_page.js";
import { type LogEntry, logOf, type PageView, pageViews, type TaskView, taskViews } from "../views.js";
import type { World } from "../world.js";
import type { Film } from "./film.js";

export interface PageMoment extends PageView {
  readonly type: PageType;
  /** What it counts as among the dirty states (plot/dirty.ts). */
  readonly dirty: (typeof DIRTY_CLASSES)[number];
  /** Its struct page. */
  readonly words: readonly LiveWord[];
  /** What of this is not as it was before the step just made. */
  readonly changed: readonly (keyof PageMoment)[];
}

export interface Moment {
  readonly tick: number;
  /** The step just made; null at the start. */
  readonly made: LogEntry | null;
  readonly tasks: readonly TaskView[];
  /** Those in use. */
  readonly pages: readonly PageMoment[];
  readonly faults: readonly Fault[];
  /** What else is wrong now, as sentences: bytes that are lost or in the wrong place, and what is only judged at the end. */
  readonly losses: readonly { readonly kind: FaultKind; readonly says: string }[];
}

function lossesNow({ world, over }: Film): Moment["losses"] {
  const judged = over ? world.verdictsAtEnd() : [];
  return [
    ...lossesOf(world).map(({ kind, line }) => ({ kind, says: line.replace(`${kind}: `, "") })),
    ...judged.map(({ kind, message }) => ({ kind, says: message })),
  ];
}

/** Whether pages have buffers at all: of a file in memory their lack means nothing. */
export const hasBuffers = ({ word, value }: Recording): boolean =>
  word.some((each, at) => each === WORD.buffers && value[at] !== 0);

function classOf({ k }: World, pfn: PageView["pfn"], buffers: boolean): PageMoment["dirty"] {
  const page = pfn as Parameters<typeof k.pteWord>[0];
  const id: DirtyClass = dirtyClass(
    {
      flags: k.page.flags[page],
      refcount: k.page._refcount[page],
      pte: k.pteWord(page),
      buffers: k.buffersWord(page),
      tags: k.tagsWord(page),
      device: k.page.device[page],
    },
    buffers,
  );
  return DIRTY_CLASSES.find((each) => each.id === id) ?? DIRTY_CLASSES[0];
}

const pagesNow = (world: World, buffers: boolean): Omit<PageMoment, "changed">[] =>
  pageViews(world).map((view) => {
    const page = view.pfn as Parameters<typeof pageWords>[1];
    return {
      ...view,
      type: pageType(world.k, page),
      dirty: classOf(world, view.pfn, buffers),
      words: pageWords(world.k, page, world.kernel.name),
    };
  });

/**
 * The moment after so many steps of a film; the film stands there afterwards.
 *
 * @param buffers whether pages of this run have buffers at all (hasBuffers)
 * @example momentAt(film, 0, true).made // null
 */
export function momentAt(film: Film, tick: number, buffers: boolean): Moment {
  film.goTo(tick - 1);
  const before = tick > 0 ? pagesNow(film.world, buffers) : [];
  film.goTo(tick);
  const { world } = film;
  const pages = pagesNow(world, buffers).map((now): PageMoment => {
    const was = before.find(({ pfn }) => pfn === now.pfn);
    const keys = Object.keys(now) as (keyof typeof now)[];
    const differs = (key: keyof typeof now): boolean =>
      JSON.stringify(now[key]) !== JSON.stringify(was?.[key]);
    return { ...now, changed: tick === 0 ? [] : keys.filter(differs) };
  });
  return {
    tick: film.tick,
    made: logOf(film.recording, film.tick).at(-1) ?? null,
    tasks: taskViews(world),
    pages,
    faults: world.faults,
    losses: lossesNow(film),
  };
}
