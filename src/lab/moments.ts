/**
 * Figures of one moment of a run: struct page word by word, who believes that a page is dirty, who waits for whom. The moment is made
 * again from the run's schedule, so that any tick can be asked for.
 */
import type { Pfn } from "../kernel/types.js";
import { formatSchedule } from "../machine/schedule.js";
import { partOf } from "../plot/display.js";
import { type Figure, owners, pageWordsSheet, waits } from "../plot/index.js";
import { ownersStory } from "./owners.js";
import { pageStory } from "./page_story.js";
import { pageView } from "./views.js";
import { waitStory } from "./wait_graph.js";
import { applySchedule, World } from "./world.js";

/** Which page at which moment. */
export interface PageMoment {
  /** Page frame number; default the page of the first fault, or page 0. */
  readonly pfn?: number;
  /** After so many steps; default all. */
  readonly tick?: number;
}

/** Figures of a moment of a run. */
export interface MomentPlots {
  /** struct page of a page, word by word; with `since`, an earlier tick, also what has changed from then on. */
  page(at?: PageMoment & { readonly since?: number }): Figure;
  /** The two owners: who believes that a page is dirty, and who does not. */
  owners(at?: PageMoment): Figure;
  /** Who waits for what, and who holds it; after so many steps, default all. */
  waits(at?: Pick<PageMoment, "tick">): Figure;
}

/**
 * The world of a run as it was after so many of its steps.
 *
 * @throws Error with one sentence when the run has no such moment
 * @example worldAt(open("kara-2018"), 0).k.tick // 0
 */
export function worldAt(world: World, tick: number): World {
  const { schedule, scenario, kernel, parameters, letters, inputs } = world;
  if (!Number.isInteger(tick) || tick < 0 || tick > schedule.length)
    throw new Error(`tick ${tick} is not in this run, which goes from 0 to ${schedule.length}`);
  if (tick === schedule.length) return world;
  const then = new World(scenario, { kernel: kernel.name, parameters, record: false });
  applySchedule(then, formatSchedule(schedule.slice(0, tick), letters, inputs));
  return then;
}

/**
 * The figures of a run's moments, each drawn when it is asked for.
 *
 * @example momentPlots(run("kara-2018", { seed: 4 }).world).page({ tick: 20 }).kind // "page"
 */
export function momentPlots(world: World): MomentPlots {
  const end = world.schedule.length;
  const faulty = (): number => world.k.faults.find(({ pfn }) => pfn >= 0)?.pfn ?? 0;
  /** Whose moment a figure is; that of the end is the end's in another run too. */
  const ofRun = (tick: number) => ({ run: world.replay, tick: tick === end ? undefined : tick });
  /** A page of this machine. @throws Error with one sentence when there is no such page */
  const known = (pfn: number): Pfn => pageView(world, pfn).pfn as Pfn;
  return {
    page: ({ pfn = faulty(), tick = end, since } = {}) => {
      const page = known(pfn);
      if (since !== undefined && since >= tick)
        throw new Error(`since names an earlier tick than ${tick}: ${since} is not`);
      const now = worldAt(world, tick);
      const story = pageStory(now, page, since === undefined ? null : worldAt(world, since));
      return partOf(pageWordsSheet(story), { ...ofRun(tick), pfn, since });
    },
    owners: ({ pfn = faulty(), tick = end } = {}) => {
      const page = known(pfn);
      return partOf(owners(ownersStory(worldAt(world, tick), page)), { ...ofRun(tick), pfn });
    },
    waits: ({ tick = end } = {}) => partOf(waits(waitStory(worldAt(world, tick))), ofRun(tick)),
  };
}
