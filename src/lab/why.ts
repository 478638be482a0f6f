/**
 * Why a word of the state is what it is: the step that changed it last, what that step read, the step that changed that last, and so on.
 *
 * A step reads more than what decided, and what a task carries in its locals is not followed: the chain says what a value can have
 * come from, not that it must. It is made by doing the run again on a machine whose columns tell what is read and changed.
 */
import { INPUT, parseSchedule } from "../machine/schedule.js";
import { partOf } from "../plot/display.js";
import { type Figure, whyChain } from "../plot/index.js";
import { decodePageFlags, pg } from "../trace/words.js";
import { run } from "./run.js";
import { Touching } from "./touching.js";
import { parseReplay } from "./world.js";

/** A change of a cell, and the changes before it that its step saw. */
export interface Cause {
  /** "page 0 flags". */
  readonly cell: string;
  /** The last step that changed it; 0 when it is as it was at the start. */
  readonly tick: number;
  readonly task: string;
  readonly path: string;
  readonly step: string;
  readonly before: number;
  readonly after: number;
  /** What the step read of what others had changed, the last change first. Empty where the depth ends, or when it is told above. */
  readonly because: readonly Cause[];
}

export interface WhyOptions {
  /** How many changes a chain has at most; default 3. */
  readonly depth?: number;
}

/** What `why` gives. */
export interface WhyReport {
  readonly replay: string;
  readonly cell: string;
  /** Null when no step of the run has changed the cell. */
  readonly cause: Cause | null;
}

export interface Why extends WhyReport {
  /** The chain as a figure; null when no step has changed the cell. */
  figure(): Figure | null;
  toJSON(): WhyReport;
  toString(): string;
}

interface Change {
  readonly tick: number;
  readonly before: number;
  readonly after: number;
}

interface Made {
  readonly task: string;
  readonly path: string;
  readonly step: string;
  readonly reads: ReadonlySet<string>;
}

function linesOf(cause: Cause, depth: number): string[] {
  const { cell, tick, task, path, step, before, after, because } = cause;
  const indent = "  ".repeat(depth);
  return [
    `${indent}${cell} ${before}→${after} in step ${tick}, ${task}, ${path}: ${step}`,
    ...because.flatMap((each) => linesOf(each, depth + 1)),
  ];
}

/** A report as a figure; null when no step has changed the cell. */
export const whyFigure = ({ replay, cell, cause }: WhyReport): Figure | null =>
  cause === null ? null : partOf(whyChain(run(replay).recording, cause), { cell });

/**
 * Why a cell is what it is at the end of a run.
 *
 * @param replay the run's replay line
 * @param cell struct, row and field, such as "page 0 _refcount"; or a flag of a page, such as "page 0 PG_dirty"
 * @throws Error with one sentence when the line does not fit, or there is no such cell
 * @example why("dio-write-race@v4.20:w10t1m2", "content 0 version").cause?.task // "toucher"
 */
export function why(replay: string, cell: string, { depth = 3 }: WhyOptions = {}): Why {
  const parsed = parseReplay(replay);
  const changes = new Map<string, Change[]>();
  const steps: Made[] = [];
  const touching = new Touching(parsed.scenario, parsed.kernel);
  const { world } = touching;
  const { machine, k } = world;
  const flag = /^(page \d+) PG_(\w+)$/.exec(cell);
  const word = flag === null ? cell : `${flag[1]} flags`;
  const bit = flag === null ? undefined : decodePageFlags(-1).find((each) => each === flag[2]);
  const mask = bit === undefined ? 0 : pg(bit);
  const schedule = parseSchedule(parsed.schedule, world.letters, world.inputs);
  if (schedule.some((task) => task >= INPUT))
    throw new Error(`${world.name} takes orders: why looks at runs that nobody has told what to do`);
  if (!touching.has(word) || (flag !== null && bit === undefined))
    throw new Error(`there is no cell "${cell}": write struct, row and field, for example page 0 flags`);
  schedule.forEach((task, at) => {
    const { path, step } = world.named(machine.at(task));
    const before = k.memory.snapshot();
    if (!machine.enabled(task))
      throw new Error(`the schedule does not fit: at step ${at + 1}, ${world.whyNot(task)}`);
    const { reads, changes: changed } = touching.step(task);
    steps.push({ task: machine.tasks[task].name, path, step, reads });
    for (const { struct, row, field, before: was, after } of k.memory.diff(before, k.memory.snapshot())) {
      const name = `${struct} ${row} ${field}`;
      if (!changed.has(name)) continue;
      const known = changes.get(name);
      const change = { tick: at + 1, before: was, after };
      if (known) known.push(change);
      else changes.set(name, [change]);
    }
  });
  const told = new Set<string>();
  const causeOf = (name: string, until: number, left: number, bits = 0): Cause | null => {
    const last = changes
      .get(name)
      ?.findLast(
        ({ tick, before, after }) => tick < until && (bits === 0 || ((before ^ after) & bits) !== 0),
      );
    if (!last) return null;
    const { task, path, step, reads: read } = steps[last.tick - 1];
    const key = `${name} ${last.tick}`;
    const again = told.has(key);
    told.add(key);
    const because =
      again || left <= 1
        ? []
        : [...read]
            .map((each) => ({
              each,
              at: changes.get(each)?.findLast(({ tick }) => tick < last.tick)?.tick ?? 0,
            }))
            .filter(({ at }) => at > 0 && steps[at - 1].task !== task)
            .sort((a, b) => b.at - a.at)
            .flatMap(({ each }) => causeOf(each, last.tick, left - 1) ?? []);
    const { tick, before, after } = last;
    const change =
      bits === 0
        ? { before, after }
        : { before: Number((before & bits) !== 0), after: Number((after & bits) !== 0) };
    return { cell: bits === 0 ? name : cell, tick, ...change, task, path, step, because };
  };
  const report: WhyReport = {
    replay,
    cell,
    cause: causeOf(word, Number.POSITIVE_INFINITY, depth, mask),
  };
  return {
    ...report,
    figure: () => whyFigure(report),
    toJSON: () => report,
    toString: () =>
      report.cause === null
        ? `${cell} is as it was at the start: no step has changed it.`
        : linesOf(report.cause, 0).join("\n"),
  };
}
