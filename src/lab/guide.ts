/**
 * The guided crash: the article's story on the real simulated run. Each chapter names an event; the run goes on until
 * it happens, and every number shown is read from the state at that moment. Only the prose is fixed.
 */
import type { Fault } from "../trace/recording.js";
import type { Desk } from "./desk.js";
import { watchFor } from "./events.js";
import { fill } from "./text.js";
import {
  holderText,
  type LogEntry,
  logOf,
  type PageView,
  pageView,
  type TaskView,
  taskViews,
} from "./views.js";

interface Chapter {
  readonly until: string;
  readonly prose: string;
}

/** What the guide runs. */
export const GUIDED = { scenario: "kara-2018", kernel: "v4.20", seed: 4 } as const;

const PAGE = 0;

const CHAPTERS: readonly Chapter[] = [
  {
    until: "pinned",
    prose:
      "The read begins. get_user_pages faults its page in: page_mkwrite gives it buffers and marks it dirty. Then it is pinned for the disk.",
  },
  {
    until: "written",
    prose:
      "The disk is slow. The flusher cleans and writes the dirty page, as it should; it does not ask who holds it.",
  },
  {
    until: "unmapped",
    prose: "kswapd meets a clean page, isolates it, and takes its PTE away.",
  },
  {
    until: "buffers-gone",
    prose:
      "try_to_release_page frees the buffers. Only then does __remove_mapping count one reference too many, and the page stays.",
  },
  {
    until: "device-wrote",
    prose: "The device writes into the page. No lock, no fault, no flag: memory just changes.",
  },
  {
    until: "dirty-without-buffers",
    prose: "The read is complete: set_page_dirty_lock. The page is dirty again, without buffers.",
  },
  {
    until: "BUG",
    prose: "The flusher comes to write the dirty page, asks for its buffers, and there are none.",
  },
  {
    until: "HANG",
    prose: "The dead flusher still holds the page lock, and the process looks at what it read.",
  },
];

/** One moment of the guided crash. */
export interface GuideMoment {
  readonly chapter: number;
  readonly of: number;
  readonly prose: string;
  readonly last: LogEntry;
  readonly page: PageView;
  /** Faults since the moment before. */
  readonly faults: readonly Fault[];
  /** Tasks that will not move again. */
  readonly lost: readonly TaskView[];
}

/**
 * Go to the next moment, or to the first after the last. The run is made anew from its start, so that it does not
 * matter what somebody tried out in between.
 */
export function nextMoment(desk: Desk): GuideMoment {
  const chapter = desk.chapter % CHAPTERS.length;
  desk.start(GUIDED.scenario, GUIDED.kernel, GUIDED.seed);
  let from = 0;
  for (const { until } of CHAPTERS.slice(0, chapter + 1)) {
    from = desk.tick;
    goOnUntil(desk, until);
  }
  desk.chapter = chapter + 1;
  const { world } = desk;
  return {
    chapter: desk.chapter,
    of: CHAPTERS.length,
    prose: CHAPTERS[chapter].prose,
    last: logOf(world.recording(), desk.tick).at(-1) as LogEntry,
    page: pageView(world, PAGE),
    faults: world.faults.filter(({ tick }) => tick > from),
    lost: taskViews(world).filter(({ state }) => state === "dead" || state === "hung"),
  };
}

function goOnUntil(desk: Desk, event: string): void {
  const watch = watchFor(desk.world, event);
  let happened = false;
  desk.forward(100_000, () => {
    happened = watch.happened();
    return happened;
  });
  watch.end();
  if (!happened) throw new TypeError(`goOnUntil: the guided run never comes to ${event}`);
}

/** All moments, from the start. */
export function allMoments(desk: Desk): GuideMoment[] {
  desk.chapter = 0;
  return CHAPTERS.map(() => nextMoment(desk));
}

/** A moment as text, wrapped to a width. */
export function momentText(
  { chapter, of, prose, last, page, faults, lost }: GuideMoment,
  columns: number,
): string {
  const references = `page ${page.pfn} has ${page.refcount} references: ${holderText(page.holders)}`;
  const dirty = page.flags.includes("dirty")
    ? "dirty"
    : page.device_wrote
      ? "clean, though a device wrote"
      : "clean";
  const gone = lost.map(({ name, state }) => `${name} is ${state}`).join(", ");
  const lines = [
    `${references}; ${dirty}; buffers ${page.buffers}; pte ${page.pte}`,
    ...faults.map(({ kind, message }) => `${kind}: ${message}`),
    ...(faults.length > 0 && gone !== "" ? [gone] : []),
  ];
  return [
    `${chapter}/${of} tick ${last.tick}, ${last.task}, ${last.path}: ${last.step}`,
    ...fill(prose, columns - 4).map((line) => `    ${line}`),
    ...lines.flatMap((line) =>
      fill(line, columns - 6).map((part, at) => `    ${at === 0 ? "|" : " "} ${part}`),
    ),
  ].join("\n");
}
