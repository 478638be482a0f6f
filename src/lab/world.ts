/**
 * A world: one scenario on one kernel, running. Steps, time travel, faults, recordings, and the explorer's view of it.
 */
import { type Explorable, type SearchOptions, type SearchResult, search } from "../explore/search.js";
import { disk_version, mkfs } from "../kernel/fs/blocks.js";
import { has_cow_block } from "../kernel/fs/cow.js";
import { journal_head } from "../kernel/fs/jbd2/journal_head.js";
import { init_journal } from "../kernel/fs/jbd2.js";
import { completeGeometry } from "../kernel/geometry.js";
import { Kernel, kernelTables, PTE } from "../kernel/kernel.js";
import { tables } from "../kernel/linux.js";
import { PG_locked } from "../kernel/locks.js";
import { page_mapping, xa_get_mark } from "../kernel/mm/filemap.js";
import { hugetlb_init } from "../kernel/mm/hugetlb.js";
import { orphan_verdict } from "../kernel/mm/orphan.js";
import { PageDirty, PageLocked, PageWriteback } from "../kernel/mm/page.js";
import { mapping_cap_account_dirty } from "../kernel/operations.js";
import { BH } from "../kernel/structs.js";
import { NONE, type Pfn } from "../kernel/types.js";
import { type Lockdep, lockdep } from "../machine/lockdep.js";
import { Machine, machineTables } from "../machine/machine.js";
import { Memory } from "../machine/memory.js";
import { formatSchedule, INPUT, inputNumber, parseSchedule, SeededScheduler } from "../machine/schedule.js";
import { findKernel, type KernelVersion, linkKernel } from "../patches/kernels.js";
import { type FaultKind, MARK, Recorder, type Recording, type StepInfo } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import {
  completeParameters,
  type Oracle,
  type Scenario,
  type Setup,
  type TaskPlan,
  type Value,
  type Values,
  type View,
} from "./scenario.js";
import { findScenario } from "./scenarios.js";
import { cycleThrough, holdersFor, waitsForLock } from "./waits.js";

export interface WorldOptions {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: string;
  /** Values for the scenario's parameters. */
  readonly parameters?: Values;
  /** Whether events are recorded; default true. */
  readonly record?: boolean;
}

/** Below this many pages a PTE, the largest thing that a local holds, fits into 15 bits. */
const SMALL_PAGES = 2048;

const NOTHING: readonly FaultKind[] = [];
const NOWHERE: readonly Pfn[] = [];

/** A moment to which a world can go back. */
export interface Moment {
  readonly memory: ArrayBuffer;
  readonly tick: number;
  readonly faults: number;
  readonly events: number;
}

/** Severity, worst first: which fault a verdict shows its witness for. */
export const SEVERITY: readonly FaultKind[] = [
  "BUG",
  "UAF",
  "INFOLEAK",
  "LOST",
  "TORN",
  "STALE",
  "DEADLOCK",
  "HANG",
  "ENOSPC",
  "LEAK",
  "WARN",
  "SLOW",
  "REFUSED",
];

/** Whether an outcome is a fault: a call that is refused, or slow, does what it says. */
export const isFault = (kind: FaultKind): boolean => kind !== "REFUSED" && kind !== "SLOW";

/**
 * A scenario on a kernel, running. `open` makes one by its name.
 *
 * @example
 * const world = open("kara-2018");
 * world.step(0);
 * world.replay // "kara-2018@v4.20:r1"
 */
export class World {
  readonly kernel: KernelVersion;
  readonly parameters: Values;
  readonly k: Kernel;
  readonly machine: Machine<Kernel>;
  /** The choices made so far: task numbers, and inputs. */
  readonly schedule: number[] = [];
  /** What has been said to it: the lines that the schedule's inputs number. */
  readonly inputs: string[] = [];
  private readonly plans: readonly TaskPlan[];
  private readonly setup: Setup;
  private readonly view: View;
  private orders: Lockdep | null = null;
  /** Tasks whose hanging has been reported. */
  private readonly hung: Uint8Array;

  constructor(
    readonly scenario: Scenario,
    options: WorldOptions = {},
  ) {
    this.kernel = findKernel(options.kernel ?? "v4.20");
    this.parameters = completeParameters(scenario, options.parameters ?? {});
    this.setup = scenario.setup(this.parameters);
    this.plans = this.setup.tasks;
    const roots = [...new Set(this.plans.map((plan) => plan.path))];
    const geometry = completeGeometry(this.setup.geometry);
    const running = roots.map((root) => this.plans.filter(({ path }) => path === root).length);
    const image = linkKernel(this.kernel, roots, geometry, running);
    const specs = this.plans.map(({ name, letter, path, args, daemon }) => ({
      name,
      letter,
      args,
      daemon,
      program: roots.indexOf(path),
    }));
    const memory = new Memory([
      ...machineTables(image, specs, geometry.pages < SMALL_PAGES),
      ...kernelTables(geometry, [...tables, ...(this.setup.tables ?? [])], image.locks),
    ]);
    this.k = new Kernel(
      memory,
      geometry,
      image,
      specs.map((spec) => spec.name),
    );
    mkfs(this.k);
    hugetlb_init(this.k);
    init_journal(this.k);
    this.setup.prepare(this.k);
    this.machine = new Machine(this.k, image, memory, specs);
    const numbers = new Map(specs.map((spec, task) => [spec.name, task]));
    const numberOf = (task: string): number => {
      const number = numbers.get(task);
      if (number === undefined) throw new Error(`scenario ${scenario.name}: no task ${task}`);
      return number;
    };
    this.view = {
      k: this.k,
      step: (task) => this.machine.at(numberOf(task)).step,
      finished: (task) => this.machine.finished(numberOf(task)),
      resting: () =>
        this.plans.every((_, task) => this.gone(task) || this.machine.at(task).stack.length === 1),
    };
    this.hung = new Uint8Array(specs.length);
    if (options.record ?? true) this.startRecording();
  }

  /** The orders in which the tasks of this world can take locks, and what is wrong with them. */
  get lockdep(): Lockdep {
    this.orders ??= lockdep(this.machine.image);
    return this.orders;
  }

  private startRecording(): void {
    const recorder = new Recorder();
    this.k.recorder = recorder;
    for (let page = 0; page < this.k.geometry.pages; page++)
      if (this.k.page._refcount[page] > 0) this.k.notePage(page);
    this.machine.watch = (task, at) => {
      recorder.add(this.k.tick, task, at, this.machine.page(task), WORD.step, 1);
    };
  }

  /** The line that reproduces the run so far: scenario, kernel, parameters, schedule. */
  get replay(): string {
    return `${this.name}@${this.kernel.name}:${formatSchedule(this.schedule, this.letters, this.inputs)}`;
  }

  /** Scenario and the parameters that are not standard, for example "kara-2018,pages=2". */
  get name(): string {
    const changed = Object.entries(this.scenario.parameters).filter(
      ([name, { default: standard }]) => this.parameters[name] !== standard,
    );
    return [this.scenario.name, ...changed.map(([name]) => `${name}=${this.parameters[name]}`)].join(",");
  }

  get letters(): string[] {
    return this.plans.map((plan) => plan.letter);
  }

  /** Whether a task can move now; what is said can be said at any time. */
  enabled(task: number): boolean {
    if (task >= INPUT) return true;
    return this.machine.enabled(task) && !this.heldBack(task);
  }

  /** Whether a task is kept away by the scenario. */
  heldBack(task: number): boolean {
    const { heldBack } = this.plans[task];
    return heldBack?.(this.view) === true;
  }

  /** Whether somebody can say something to it: such a world is never over. */
  get takesOrders(): boolean {
    return this.setup.input !== undefined;
  }

  /**
   * Say something to the scenario between two steps.
   *
   * @throws Error with one sentence when the scenario takes no such line; nothing has changed then
   */
  say(line: string): void {
    if (!this.setup.input)
      throw new Error(`${this.scenario.name} takes no orders: its tasks know what to do`);
    const task = this.setup.input(this.k, line);
    this.k.tick++;
    const input = inputNumber(line, this.inputs);
    this.schedule.push(input);
    const step = this.machine.code.length + input - INPUT;
    this.k.recorder?.add(this.k.tick, task, step, NONE, WORD.step, 1);
  }

  /**
   * Let a task make one step, or say what the schedule's choice is.
   *
   * @throws Error with one sentence when it cannot move
   */
  step(task: number): void {
    if (task >= INPUT) {
      this.say(this.inputs[task - INPUT]);
      return;
    }
    if (!this.enabled(task)) throw new Error(this.whyNot(task));
    this.k.tick++;
    const made = this.machine.pcOf(task);
    this.machine.step(task);
    this.schedule.push(task);
    this.judge(task, made);
    this.reportHanging();
  }

  /** Why a task cannot move, as a sentence. */
  whyNot(task: number): string {
    const { name } = this.plans[task];
    if (this.machine.isDead(task)) return `${name} cannot move: a BUG killed it`;
    if (this.machine.finished(task)) return `${name} cannot move: it has finished`;
    if (this.heldBack(task)) return `${name} cannot move: the scenario holds it back`;
    const { path, step } = this.machine.at(task);
    return `${name} cannot move: it waits in ${path}, step ${step}`;
  }

  /** The tasks that hold what a task waits for. */
  private holders(task: number): readonly number[] {
    return holdersFor(this.machine, () => this.lockdep, task);
  }

  /** The task that holds what this one waits for and never gives it back, or -1. */
  private lostOwner(task: number): number {
    return this.holders(task).find((owner) => owner !== task && this.gone(owner)) ?? -1;
  }

  /** Tasks that wait for each other's locks in a circle, in the order in which they wait; null when there are none. */
  private deadlock(): number[] | null {
    const waiting = this.plans.flatMap((_, task) => (waitsForLock(this.machine, task) ? [task] : []));
    for (const task of waiting) {
      const cycle = cycleThrough((each) => this.holders(each), task);
      if (cycle !== null) return cycle;
    }
    return null;
  }

  /** Ask the scenario's oracles about the step that a task has made, its instruction `made`; each speaks once. */
  private judge(task: number, made: number): void {
    for (const { when, check, kind } of this.setup.oracles ?? []) {
      if (when !== "always") continue;
      const wrong = check(this.view);
      if (wrong === null || this.k.faults.some(({ message }) => message === wrong.message)) continue;
      this.k.at = made;
      this.k.task = task;
      this.k.fault(kind, wrong.message, wrong.page);
    }
  }

  /** What the oracles that judge a run's end find now. */
  verdictsAtEnd(): readonly (Pick<Oracle, "kind"> & { readonly page: Pfn; readonly message: string })[] {
    return (this.setup.oracles ?? []).flatMap(({ when, check, kind }) => {
      const wrong = when === "end" ? check(this.view) : null;
      return wrong === null ? [] : [{ kind, ...wrong }];
    });
  }

  /** Report tasks that have come to wait for ever: for each other, or for one that is dead or gone. */
  private reportHanging(): void {
    const { machine, plans } = this;
    const waiting = plans.flatMap((_, task) =>
      this.hung[task] === 0 && waitsForLock(machine, task) ? [task] : [],
    );
    if (waiting.length === 0) return;
    const cycle = waiting.length > 1 ? this.deadlock() : null;
    if (cycle?.some((task) => this.hung[task] === 0)) {
      for (const task of cycle) this.hung[task] = 1;
      const { path, step } = machine.at(cycle[0]);
      const names = cycle.map((task) => `${plans[task].name} in ${machine.at(task).step}`);
      this.reportWait(
        "DEADLOCK",
        cycle[0],
        `${path}: ${step} for ever, as these wait for each other: ${names.join(", ")}`,
      );
    }
    for (const task of waiting) {
      const owner = this.hung[task] === 0 ? this.lostOwner(task) : -1;
      if (owner < 0) continue;
      this.hung[task] = 1;
      const { path, lock } = machine.at(task);
      const what = lock?.class === PG_locked ? "page lock" : lock?.class.name;
      const fate = machine.isDead(owner)
        ? "took to its death"
        : machine.finished(owner)
          ? "took and never gave back"
          : "holds, which waits for ever itself";
      this.reportWait(
        "HANG",
        task,
        `${path}: waits for ever for the ${what} that ${plans[owner].name} ${fate}`,
      );
    }
  }

  private reportWait(kind: FaultKind, task: number, message: string): void {
    const { machine, k } = this;
    const { path, step } = machine.at(task);
    const page = machine.page(task);
    if (k.recorder) k.recorder.add(k.tick, task, machine.pcOf(task), page, WORD.fault, k.faults.length);
    k.faults.push({ kind, path, step, pfn: page, task: this.plans[task].name, tick: k.tick, message });
  }

  /** Remember this moment. */
  moment(): Moment {
    return {
      memory: this.k.memory.snapshot(),
      tick: this.k.tick,
      faults: this.k.faults.length,
      events: this.k.recorder?.length ?? 0,
    };
  }

  /** Go back to a moment of this run. */
  goTo(moment: Moment): void {
    this.k.memory.restore(moment.memory);
    this.k.tick = moment.tick;
    this.schedule.length = moment.tick;
    this.k.faults.length = moment.faults;
    this.k.recorder?.truncate(moment.events);
    this.hung.fill(0);
    for (const { kind, task: name } of this.k.faults) {
      const task = this.plans.findIndex((plan) => plan.name === name);
      if (kind === "HANG") this.hung[task] = 1;
      if (kind === "DEADLOCK") for (const each of this.deadlock() ?? []) this.hung[each] = 1;
    }
  }

  /** Whether a task will never move again: it has finished, is dead, or waits for the dead. */
  gone(task: number): boolean {
    return this.machine.finished(task) || this.machine.isDead(task) || this.hung[task] === 1;
  }

  /**
   * Whether the run is over: every process is gone, and the daemons have nothing left to write (or are gone too).
   */
  settled(): boolean {
    const { k, plans, machine } = this;
    for (let task = 0; task < plans.length; task++) if (!plans[task].daemon && !this.gone(task)) return false;
    const flushers = plans
      .map((plan, task) => ({ plan, task }))
      .filter(({ plan }) => plan.path.name === "wb_workfn");
    if (flushers.length > 0 && flushers.every(({ task }) => machine.isDead(task) || this.hung[task] === 1))
      return true;
    return (
      k.inode.i_state.every((state) => state === 0) &&
      k.gendisk.head.every((head) => head === 0) &&
      // The gauge nr_writeback is a statistic, which a search does not keep.
      !k.page.flags.some((_, page) => PageWriteback(k, page))
    );
  }

  /**
   * Pages of files whose newest bytes are in memory only while nothing says so, and pages that left their file with such bytes
   * (mm/orphan.ts): they will never be written. What is behind the end of a file is nobody's.
   */
  lostWrites(): readonly Pfn[] {
    const { k } = this;
    let lost = NOWHERE;
    const orphans = k.has("truncate");
    for (let page = 0; page < k.geometry.pages; page++) {
      if (orphans && orphan_verdict(k, page) === "LOST") lost = [...lost, page];
      const mapping = page_mapping(k, page);
      if (mapping === 0 || !mapping_cap_account_dirty(k, mapping)) continue;
      if (PageWriteback(k, page) || PageLocked(k, page)) continue;
      // The journal has it: in the running transaction, or on the way there.
      if ((k.page.b_state[page] & BH.jbddirty) !== 0 || (k.of(journal_head).b_count[page] ?? 0) > 0) continue;
      // Dirty by its flag alone, when all is at rest: no flusher will find it (drivers/vfio.ts).
      if (PageDirty(k, page) && (xa_get_mark(k, page, "dirty") || !this.settled())) continue;
      if (k.page.pins[page] > 0 || (k.pteWord(page) & PTE.dirty) !== 0) continue;
      const index = k.page.index[page];
      // Written to a block that the file is about to get.
      if (has_cow_block(k, mapping, index)) continue;
      const end = k.inode.i_size[mapping] - index * k.geometry.parts;
      for (let part = 0; part < Math.min(k.geometry.parts, end); part++) {
        const stored = disk_version(k, mapping, index, part);
        if (k.content.version[page * k.geometry.parts + part] !== stored) {
          lost = [...lost, page];
          break;
        }
      }
    }
    return lost;
  }

  /** Pages that were truncated, and written to afterwards, where the file shows another page by now (mm/orphan.ts). */
  staleWrites(): readonly Pfn[] {
    if (!this.k.has("truncate")) return NOWHERE;
    const stale: Pfn[] = [];
    for (let page = 0; page < this.k.geometry.pages; page++)
      if (orphan_verdict(this.k, page) === "STALE") stale.push(page);
    return stale;
  }

  /** The recording so far. */
  recording(): Recording {
    const { k, machine } = this;
    if (!k.recorder) throw new Error("World.recording: this world was made without a recorder");
    const steps: StepInfo[] = [
      ...machine.code.map(({ path, step }) => ({ path, step })),
      ...this.inputs.map((line) => ({ path: MARK, step: line })),
    ];
    return k.recorder.finish({
      source: "simulated",
      title: `${this.name} on ${this.kernel.name}`,
      kernel: this.kernel.name,
      replay: this.replay,
      timeUnit: "tick",
      tasks: this.plans.map(({ name, letter, daemon }) => ({ name, letter, daemon })),
      steps,
      faults: [...k.faults],
    });
  }

  /** A seeded scheduler for this world. */
  scheduler(seed: number): SeededScheduler<Kernel> {
    return new SeededScheduler(this.machine, seed, this.setup.pace, (task) => this.enabled(task));
  }

  /** Visit every interleaving from here. The world is left in the last state visited. */
  explore(options: SearchOptions): SearchResult {
    const { k, machine } = this;
    k.recorder = null;
    machine.watch = null;
    // What happened before the first step: a call that is refused before it could sleep.
    let before: readonly FaultKind[] = k.faults.map(({ kind }) => kind);
    const explorable: Explorable = {
      state: k.memory.state,
      tasks: this.plans.length,
      enabled: this.plans.some(({ heldBack }) => heldBack !== undefined)
        ? (task) => this.enabled(task)
        : (task) => machine.enabled(task),
      step: (task) => {
        if (k.faults.length > 0) k.faults.length = 0;
        machine.step(task);
        return k.faults.length === 0 ? NOTHING : k.faults.map((fault) => fault.kind);
      },
      inspect: () => {
        const found = this.inspect();
        if (before.length === 0) return found;
        const kinds = [...before, ...found];
        before = NOTHING;
        return kinds;
      },
    };
    return search(explorable, options);
  }

  /** What is wrong with the state as it is. Asked of every state of a search: it makes nothing while nothing is wrong. */
  private inspect(): readonly FaultKind[] {
    const kinds = this.misplaced();
    const waits = this.stuck();
    if (waits === null) return kinds;
    return [...kinds, waits];
  }

  /** Which bytes are not where they should be, and what the scenario's oracles say. */
  private misplaced(): readonly FaultKind[] {
    const lost = this.lostWrites().length > 0;
    const stale = this.staleWrites().length > 0;
    const { oracles = [] } = this.setup;
    if (!lost && !stale && oracles.length === 0) return NOTHING;
    const kinds: FaultKind[] = [];
    if (lost) kinds.push("LOST");
    if (stale) kinds.push("STALE");
    const over = oracles.some(({ when }) => when === "end") && this.settled();
    for (const { when, check, kind } of oracles)
      if ((when === "always" || over) && check(this.view) !== null) kinds.push(kind);
    return kinds;
  }

  /** Whether somebody waits for ever, and how; null when nobody does. */
  private stuck(): FaultKind | null {
    const { machine, plans } = this;
    let stuck = true;
    let waiting = 0;
    for (let task = 0; task < plans.length; task++) {
      if (this.enabled(task)) stuck = false;
      else if (machine.at(task).lock !== null && waitsForLock(machine, task)) waiting++;
    }
    if (waiting > 0 && plans.some((_, task) => this.lostOwner(task) >= 0)) return "HANG";
    if (waiting > 1 && this.deadlock() !== null) return "DEADLOCK";
    if (!stuck) return null;
    return plans.some((plan, task) => !plan.daemon && !machine.finished(task) && !machine.isDead(task))
      ? "HANG"
      : null;
  }
}

/**
 * Make a world.
 *
 * @param scenario its name, with parameters after commas if wanted: "kara-2018" or "kara-2018,pages=2"
 * @throws Error with one sentence when a name is unknown
 * @example const world = open("kara-2018", { kernel: "v4.20" });
 */
export function open(scenario: string, options: WorldOptions = {}): World {
  const [name, ...assignments] = scenario.split(",");
  const parameters: Record<string, Value> = { ...options.parameters };
  for (const assignment of assignments) {
    const [key, value] = assignment.split("=");
    if (!value) {
      throw new Error(
        `"${assignment}" is no parameter: write name=value after the scenario, for example ${name},pages=2`,
      );
    }
    parameters[key] = /^-?\d+$/.test(value) ? Number(value) : value;
  }
  return new World(findScenario(name), { ...options, parameters });
}

/** The parts of a replay line: `scenario@kernel:schedule`. */
export function parseReplay(line: string): { scenario: string; kernel: string; schedule: string } {
  const match = /^([^@:\s]+)@([^@:\s]+):((?:[^\s[\]]|\[[^[\]]*\])*)$/.exec(line.trim());
  if (!match)
    throw new Error(
      `"${line}" is no replay line: it reads scenario@kernel:schedule, for example kara-2018@v4.20:r12k3`,
    );
  return { scenario: match[1], kernel: match[2], schedule: match[3] };
}

/**
 * Apply a schedule from the start.
 *
 * @throws Error naming the first step that does not fit; the world is left as it was
 */
export function applySchedule(world: World, text: string): void {
  const schedule = parseSchedule(text, world.letters, world.inputs);
  const start = world.moment();
  schedule.forEach((task, at) => {
    let why: string;
    try {
      if (world.enabled(task)) {
        world.step(task);
        return;
      }
      why = world.whyNot(task);
    } catch (error) {
      if (task < INPUT) throw error;
      why = (error as Error).message;
    }
    world.goTo(start);
    throw new Error(
      `the schedule does not fit ${world.name} on ${world.kernel.name}: at step ${at + 1}, ${why}`,
    );
  });
}
