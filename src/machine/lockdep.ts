/**
 * lockdep: finds the orders in which locks can be taken by following every way through every program of an image,
 * whether a run takes it or not.
 *
 * Like the kernel tool of that name it orders classes, not locks, and reports a cycle before anybody has to hang in it. Unlike
 * that it needs no run: calls are expanded in place, so what a task holds at an instruction can be computed. It does not know values, so it
 * follows ways that no run can take, such as a test that says "not locked" after one that locked. What tells them apart is
 * balance: a way counts only when everything that it takes is given back in the end, and nothing else is.
 *
 * Waiting for something that another task must do first (the end of writeback) counts as taking a lock that the other one
 * holds meanwhile.
 */
import type { LockClass } from "./lock.js";
import { END, type Image, type Instruction } from "./program.js";

/** A place in the code: the paths that lead to it, outermost first, and the step. */
export interface LockSite {
  readonly stack: readonly string[];
  readonly step: string;
}

/** That a lock of one class is taken while one of another is held, and where. */
export interface LockEdge {
  readonly held: LockClass;
  readonly taken: LockClass;
  readonly heldAt: LockSite;
  readonly takenAt: LockSite;
}

/** What is wrong with the locking of an image. */
export type LockReport =
  | {
      /** Tasks that take these locks in these orders can wait for each other for ever. */
      readonly kind: "circular";
      /** Each edge's `taken` is the next one's `held`, the last one's is the first one's. */
      readonly cycle: readonly LockEdge[];
    }
  | {
      /** A task may sleep where it must not. */
      readonly kind: "atomic";
      readonly held: LockClass;
      readonly heldAt: LockSite | null;
      readonly sleepsAt: LockSite;
    };

/** What lockdep knows of an image. */
export interface Lockdep {
  /** By instruction: the classes of locks that a task holds before it, on one way or another. */
  readonly held: readonly (ReadonlySet<LockClass> | undefined)[];
  /** Every order that occurs, each with the first place found. */
  readonly edges: readonly LockEdge[];
  readonly reports: readonly LockReport[];
}

/** The locks held on a way, oldest first: the class and the instruction that took it. */
type Held = readonly { readonly class: LockClass; readonly at: number }[];

/** A moment of a way: where it is, what it holds, and from which moments it is reached. */
interface Moment {
  readonly at: number;
  readonly held: Held;
  readonly from: Moment[];
  /** Whether a way goes on from here to an end at which nothing is held. */
  balanced: boolean;
}

/** No way that can be balanced holds more locks at once. */
const MOST_HELD = 12;

const siteOf = ({ stack, step }: Instruction): LockSite => ({ stack, step });

/** Where a way can go on after an instruction, and whether that is after the answer "true". */
function successors(instruction: Instruction): (readonly [to: number, answer: boolean])[] {
  if (instruction.op === END) return [];
  if (instruction.targets.length > 0)
    return [...new Set(instruction.targets)].map((to) => [to, true] as const);
  const ways: (readonly [number, boolean])[] = [[instruction.next, true]];
  if (instruction.otherwise >= 0) ways.push([instruction.otherwise, false]);
  return ways;
}

/** What is held after an instruction; null when it gives back what is not held: no run comes this way. */
function heldAfter({ lock }: Instruction, at: number, held: Held, answer: boolean): Held | null {
  if (lock === null || lock.how === "awaits" || (lock.how === "tries" && !answer)) return held;
  if (lock.how !== "gives") return held.length < MOST_HELD ? [...held, { class: lock.class, at }] : null;
  const last = held.map(({ class: each }) => each).lastIndexOf(lock.class);
  return last < 0 ? null : held.filter((_, index) => index !== last);
}

/** Every moment of every balanced way through one program. */
function balancedMoments(image: Image, entry: number): Moment[] {
  const { code } = image;
  const moments = new Map<string, Moment>();
  const open: Moment[] = [];
  const ends: Moment[] = [];
  const reach = (at: number, held: Held, from: Moment | null): void => {
    const holds = (lock: LockClass): boolean => held.some((each) => each.class === lock);
    if (code[at].asserts.some((said) => holds(said.class) !== said.holds)) return;
    // Nobody goes to sleep for as long as he likes, or back to user space, with a lock in his hand.
    if (code[at].pause !== null && held.length > 0) return;
    const ids = held.map(({ class: lock }) => lock.id).sort((a, b) => a - b);
    const key = `${at} ${ids.join(" ")}`;
    let moment = moments.get(key);
    if (moment === undefined) {
      moment = { at, held, from: [], balanced: false };
      moments.set(key, moment);
      open.push(moment);
      // A daemon never ends, but it sleeps, and then it holds nothing.
      const { op, pause } = code[at];
      if (held.length === 0 && (op === END || pause !== null)) ends.push(moment);
    }
    if (from !== null) moment.from.push(from);
  };
  reach(entry, [], null);
  for (let moment = open.pop(); moment !== undefined; moment = open.pop()) {
    const instruction = code[moment.at];
    for (const [to, answer] of successors(instruction)) {
      const held = heldAfter(instruction, moment.at, moment.held, answer);
      if (held !== null) reach(to, held, moment);
    }
  }
  for (let moment = ends.pop(); moment !== undefined; moment = ends.pop()) {
    if (moment.balanced) continue;
    moment.balanced = true;
    ends.push(...moment.from);
  }
  return [...moments.values()].filter(({ balanced }) => balanced);
}

/** Collect what one program takes while it holds what, and where it may sleep and must not. */
function follow(
  image: Image,
  entry: number,
  edges: Map<string, LockEdge>,
  reports: LockReport[],
  everHeld: Set<LockClass>[],
): void {
  const { code } = image;
  const reported = new Set<string>();
  for (const { at, held, from } of balancedMoments(image, entry)) {
    const instruction = code[at];
    const { lock: use, under, sleeps } = instruction;
    everHeld[at] ??= new Set();
    for (const { class: lock } of held) everHeld[at].add(lock);
    const order = (before: Held, taken: LockClass): void => {
      for (const { class: lock, at: since } of before) {
        const key = `${lock.id} ${taken.id}`;
        if ((lock === taken && taken.nests) || edges.has(key)) continue;
        edges.set(key, { held: lock, taken, heldAt: siteOf(code[since]), takenAt: siteOf(instruction) });
      }
    };
    const around: Held = [...held, ...under.map((lock) => ({ class: lock, at }))];
    for (const [depth, lock] of under.entries()) {
      // A spinlock is taken where its section begins, not by each instruction in it.
      const begins = from.length === 0 || from.some((before) => !code[before.at].under.includes(lock));
      if (begins) order(around.slice(0, held.length + depth), lock);
    }
    if (use?.how === "takes" || use?.how === "awaits") order(around, use.class);
    if (!sleeps) continue;
    for (const { class: lock, at: since } of around) {
      if (lock.kind !== "spin" || reported.has(`${lock.id} ${at}`)) continue;
      reported.add(`${lock.id} ${at}`);
      const heldAt = since === at ? null : siteOf(code[since]);
      reports.push({ kind: "atomic", held: lock, heldAt, sleepsAt: siteOf(instruction) });
    }
  }
}

/** The shortest cycle of orders that an edge closes, that edge first; null when there is none. */
function cycleOf(edge: LockEdge, edges: readonly LockEdge[]): LockEdge[] | null {
  if (edge.held === edge.taken) return [edge];
  const ways = new Map<LockClass, LockEdge[]>([[edge.taken, [edge]]]);
  const open = [edge.taken];
  for (let lock = open.shift(); lock !== undefined; lock = open.shift()) {
    const way = ways.get(lock) as LockEdge[];
    if (lock === edge.held) return way;
    for (const next of edges) {
      if (next.held !== lock || ways.has(next.taken)) continue;
      ways.set(next.taken, [...way, next]);
      open.push(next.taken);
    }
  }
  return null;
}

/**
 * The lock orders of an image, and what is wrong with them.
 *
 * @example lockdep(world.machine.image).reports.length // 0
 */
export function lockdep(image: Image): Lockdep {
  const found = new Map<string, LockEdge>();
  const reports: LockReport[] = [];
  const held: Set<LockClass>[] = [];
  for (const { entry } of image.programs) follow(image, entry, found, reports, held);
  const edges = [...found.values()];
  const told = new Set<string>();
  for (const edge of edges) {
    const cycle = cycleOf(edge, edges);
    if (cycle === null) continue;
    const key = cycle
      .map(({ held }) => held.id)
      .sort((a, b) => a - b)
      .join(" ");
    if (told.has(key)) continue;
    told.add(key);
    reports.push({ kind: "circular", cycle });
  }
  return { held, edges, reports };
}

const siteText = ({ stack, step }: LockSite): string => `${stack.join(" > ")}, step ${step}`;

/** A report in lockdep's manner: what was held, what was taken, and both stacks. */
export function lockReportText(report: LockReport): string {
  if (report.kind === "atomic") {
    const since = report.heldAt === null ? "" : `, taken at ${siteText(report.heldAt)}`;
    return [
      `sleeping function called from invalid context: may sleep under ${report.held.name}${since}`,
      `  ${siteText(report.sleepsAt)}`,
    ].join("\n");
  }
  const { cycle } = report;
  const order = [...cycle.map(({ held }) => held.name), cycle[0].held.name].join(" -> ");
  return [
    `possible circular locking dependency: ${order}`,
    ...cycle.flatMap(({ held, taken, heldAt, takenAt }) => [
      `  ${taken.name} is taken at ${siteText(takenAt)}`,
      `    while ${held.name} is held since ${siteText(heldAt)}`,
    ]),
  ].join("\n");
}
