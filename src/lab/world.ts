/**
 * A world: one scenario on one kernel, running. Steps, time travel, faults, recordings, and the explorer's view of it.
 */
import type { Explorable, Faces } from "../explore/engine.js";
import { type SearchOptions, type SearchResult, search } from "../explore/search.js";
import { type WalkOptions, type WalkResult, walk } from "../explore/walk.js";
import { mkfs } from "../kernel/fs/blocks.js";
import { init_journal } from "../kernel/fs/jbd2.js";
import { power_is_off } from "../kernel/fs/power_failure.js";
import { completeGeometry } from "../kernel/geometry.js";
import { Kernel, kernelTables } from "../kernel/kernel.js";
import { hugetlb_init } from "../kernel/mm/hugetlb.js";
import { memmap_init_zone_device } from "../kernel/mm/memremap.js";
import { PageWriteback } from "../kernel/mm/page.js";
import { set_rules } from "../kernel/rule.js";
import { NONE, type Pfn } from "../kernel/types.js";
import { type Lockdep, lockdep } from "../machine/lockdep.js";
import { Machine, machineTables } from "../machine/machine.js";
import { Memory } from "../machine/memory.js";
import {
  formatSchedule,
  formatSeeded,
  INPUT,
  inputNumber,
  parseSchedule,
  parseSeeded,
  type Seeded,
  SeededScheduler,
} from "../machine/schedule.js";
import type { Watch } from "../machine/watch.js";
import type { KernelVersion } from "../patches/kernels.js";
import { linkKernel } from "../patches/link.js";
import {
  type Fault,
  type FaultKind,
  MARK,
  Recorder,
  type Recording,
  type StepInfo,
} from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { Hanging } from "./hanging.js";
import { lostWrites, misplaced, staleWrites } from "./lost.js";
import { type KernelName, kernelOf } from "./own_patches.js";
import { POWER_CUT, withPowerCut } from "./power_cut.js";
import { renamingsOf } from "./renamings.js";
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
import { StepError } from "./step_error.js";
import { waitsForLock } from "./waits.js";

export interface WorldOptions {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
  /** Values for the scenario's parameters. */
  readonly parameters?: Values;
  /** Whether events are recorded; default true. */
  readonly record?: boolean;
  /** Told of each cell of the state that is read or written, by its number in Memory.cells. Slow; default nobody. */
  readonly watch?: Watch;
}

/** Below this many pages a PTE, the largest thing that a local holds, fits into 15 bits. */
const SMALL_PAGES = 2048;

const NOTHING: readonly FaultKind[] = [];

/** A schedule of more characters is not read by anybody. */
const READABLE = 1000;

/** A scenario's tasks, and those that a kernel's patches bring. */
export const withDaemons = (tasks: readonly TaskPlan[], { patches }: KernelVersion): readonly TaskPlan[] => [
  ...tasks,
  ...patches
    .flatMap(({ daemons = [] }) => daemons)
    .filter(({ path, besides }) => {
      const has = (wanted: TaskPlan["path"]) => tasks.some((task) => task.path === wanted);
      return has(besides) && !has(path);
    })
    .filter(({ path }, at, all) => all.findIndex((other) => other.path === path) === at)
    .map(({ name, letter, path }) => ({ name, letter, path, args: [], daemon: true })),
];

/** A moment to which a world can go back. */
export interface Moment {
  readonly memory: ArrayBuffer;
  readonly tick: number;
  readonly faults: number;
  readonly events: number;
}

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
  /** The seed that chose the first steps, and how many; null when it was no seed. */
  private seeded: Seeded | null = null;
  private orders: Lockdep | null = null;
  private readonly hanging: Hanging;
  /** Made once: it is asked of every state of a search. */
  private readonly isSettled = (): boolean => this.settled();

  constructor(
    readonly scenario: Scenario,
    private readonly options: WorldOptions = {},
    bytes: ArrayBuffer | null = null,
  ) {
    this.kernel = kernelOf(options.kernel ?? "v4.20");
    this.parameters = completeParameters(scenario, options.parameters ?? {});
    this.setup = scenario.setup(this.parameters);
    this.plans = withDaemons(this.setup.tasks, this.kernel);
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
    const memory = new Memory(
      [
        ...machineTables(image, specs, geometry.pages < SMALL_PAGES),
        ...kernelTables(geometry, [...this.kernel.tables, ...(this.setup.tables ?? [])], image.locks),
      ],
      options.watch ?? null,
      bytes,
    );
    this.k = new Kernel(
      memory,
      geometry,
      image,
      specs.map((spec) => spec.name),
      this.kernel.inserts,
    );
    set_rules(this.k, this.kernel.rules);
    mkfs(this.k);
    hugetlb_init(this.k);
    memmap_init_zone_device(this.k);
    init_journal(this.k);
    this.setup.prepare(this.k);
    for (const { boot } of this.kernel.patches) boot?.(this.k);
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
    this.hanging = new Hanging(this.machine, () => this.lockdep);
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

  /**
   * The line that reproduces the run so far: scenario, kernel, parameters, schedule. A schedule that is too long to be read gives way to
   * the seed that chose it, if one did.
   */
  get replay(): string {
    const text = formatSchedule(this.schedule, this.letters, this.inputs);
    const { seed } = this;
    const long = text.length > READABLE && seed !== null;
    return `${this.name}@${this.kernel.name}:${long ? formatSeeded({ seed, steps: this.schedule.length }) : text}`;
  }

  /** The seed whose scheduler has chosen every step so far; null when it was no seed, or is not known. */
  get seed(): number | null {
    return this.seeded?.steps === this.schedule.length ? this.seeded.seed : null;
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
    this.make(task);
    this.schedule.push(task);
    this.judge(task, made);
    this.hanging.report();
  }

  /** Make a task's step. @throws StepError that says in which step something is wrong with guplab, or with a patch */
  private make(task: number): void {
    try {
      this.machine.step(task);
    } catch (error) {
      if (error instanceof StepError) throw error;
      throw new StepError(this.named(this.machine.code[this.k.at]), error);
    }
  }

  /** Why a task cannot move, as a sentence. */
  whyNot(task: number): string {
    const { name } = this.plans[task];
    if (this.off) return `${name} cannot move: the power has gone`;
    if (this.machine.isDead(task)) return `${name} cannot move: a BUG killed it`;
    if (this.machine.finished(task)) return `${name} cannot move: it has finished`;
    if (this.heldBack(task)) return `${name} cannot move: the scenario holds it back`;
    const { path, step } = this.named(this.machine.at(task));
    return `${name} cannot move: it waits in ${path}, step ${step}`;
  }

  /** A place in a path, under the names that this kernel has. */
  named<T extends { readonly path: string; readonly step: string }>(place: T): T {
    const { names } = this.kernel;
    return { ...place, path: names.path(place.path), step: names.within(place.path, place.step) };
  }

  /** The faults so far, under the names that this kernel has. */
  get faults(): Fault[] {
    return this.k.faults.map((fault) => ({
      ...this.named(fault),
      message: this.kernel.names.text(fault.message),
    }));
  }

  /** Ask the scenario's oracles about the step that a task has made, its instruction `made`; each speaks once. */
  private judge(task: number, made: number): void {
    if (this.off) return;
    for (const { when, check, kind } of this.setup.oracles ?? []) {
      if (when !== "always") continue;
      const wrong = check(this.view);
      if (wrong === null || this.k.faults.some(({ message }) => message === wrong.message)) continue;
      this.k.at = made;
      this.k.task = task;
      this.k.fault(kind, wrong.message, wrong.page);
    }
  }

  /** What the scenario asks of the states besides the tests in the paths. */
  get oracles(): readonly Oracle[] {
    return this.setup.oracles ?? [];
  }

  /** Whether an oracle finds something wrong now, whenever it is meant to be asked. Of a machine without power nothing is asked. */
  fails({ check }: Oracle): boolean {
    return !this.off && check(this.view) !== null;
  }

  /** Whether the power has gone. */
  get off(): boolean {
    return this.k.has("power_cut") && power_is_off(this.k);
  }

  /** What the oracles that judge a run's end find now; and who has not come to his end, where nobody can move any more. */
  verdictsAtEnd(): readonly (Pick<Oracle, "kind"> & { readonly page: Pfn; readonly message: string })[] {
    if (this.off) return [];
    const found = (this.setup.oracles ?? []).flatMap(({ when, check, kind }) => {
      const wrong = when === "end" ? check(this.view) : null;
      return wrong === null ? [] : [{ kind, ...wrong }];
    });
    return [...found, ...this.stranded()];
  }

  /** Processes that wait where nobody can move any more, but for those whose hanging has been reported. */
  private stranded() {
    const { machine, plans } = this;
    if (this.takesOrders || plans.some((_, task) => this.enabled(task))) return [];
    return plans.flatMap(({ name, daemon }, task) => {
      if (daemon || this.gone(task)) return [];
      const { path, step } = this.named(machine.at(task));
      const message = `${path}: ${name} waits for ever at ${step}, and nobody can move`;
      return [{ kind: "HANG" as const, page: machine.page(task), message }];
    });
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
    if (this.seeded !== null && this.seeded.steps > moment.tick)
      this.seeded = { ...this.seeded, steps: moment.tick };
    this.k.faults.length = moment.faults;
    this.k.recorder?.truncate(moment.events);
    this.hanging.remember();
  }

  /** Whether a task will never move again: it has finished, is dead, or waits for the dead. */
  gone(task: number): boolean {
    return this.hanging.gone(task);
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
    if (flushers.length > 0 && flushers.every(({ task }) => machine.isDead(task) || this.hanging.has(task)))
      return true;
    return (
      k.inode.i_state.every((state) => state === 0) &&
      k.gendisk.head.every((head) => head === 0) &&
      // The gauge nr_writeback is a statistic, which a search does not keep.
      !k.page.flags.some((_, page) => PageWriteback(k, page))
    );
  }

  /** Pages with bytes that will never be on the disk (lost.ts). */
  lostWrites(): readonly Pfn[] {
    return this.off ? [] : lostWrites(this.k, this.isSettled);
  }

  /** Pages written after their file had let go of them (lost.ts). */
  staleWrites(): readonly Pfn[] {
    return this.off ? [] : staleWrites(this.k, this.isSettled);
  }

  /** The recording so far. */
  recording(): Recording {
    const { k } = this;
    if (!k.recorder) throw new Error("World.recording: this world was made without a recorder");
    const recording = k.recorder.finish({
      source: "simulated",
      title: `${this.name} on ${this.kernel.name}`,
      kernel: this.kernel.name,
      replay: this.replay,
      timeUnit: "tick",
      tasks: this.plans.map(({ name, letter, daemon }) => ({ name, letter, daemon })),
      steps: this.stepNames().map((step) => (step.path === MARK ? step : this.named(step))),
      faults: this.faults,
    });
    const { length, info } = recording;
    const text = `a recording of ${info.title}: ${length} events of ${info.tasks.length} tasks\nreplay: ${info.replay}`;
    return Object.defineProperty(recording, "toString", { value: () => text });
  }

  /** Steps by their number in recordings, under the names that all kernels share. */
  stepNames(): StepInfo[] {
    return [
      ...this.machine.code.map(({ path, step }) => ({ path, step })),
      ...this.inputs.map((line) => ({ path: MARK, step: line })),
    ];
  }

  /**
   * Let the seeded scheduler make up to so many steps.
   *
   * @param over asked before each step, whether it is the last no more; default never
   * @returns whether it came to an end before: nobody can move, or it is over
   */
  runSeeded({ seed, steps }: Seeded, over: () => boolean = () => false): boolean {
    const first = this.schedule.length === 0;
    const scheduler = this.scheduler(seed);
    let ended = false;
    for (let made = 0; made < steps; made++) {
      const task = over() ? -1 : scheduler.next();
      ended = task < 0;
      if (ended) break;
      this.step(task);
    }
    if (first) this.chosenBy(seed);
    return ended;
  }

  /** Know that the scheduler of this seed has chosen every step so far. */
  chosenBy(seed: number): void {
    this.seeded = { seed, steps: this.schedule.length };
  }

  /** A seeded scheduler for this world. */
  scheduler(seed: number): SeededScheduler<Kernel> {
    return new SeededScheduler(this.machine, seed, this.setup.pace, (task) => this.enabled(task));
  }

  /**
   * This world as the explorer sees it: itself, or another one over the same bytes whose memory tells a watch of each cell that is
   * read or written. Nothing is recorded from then on.
   */
  readonly faces: Faces = (watch) => {
    if (watch === null) return this.explorable();
    const { memory } = this.k;
    const now = memory.snapshot();
    new Uint8Array(memory.buffer).fill(0);
    const world = new World(this.scenario, { ...this.options, record: false, watch }, memory.buffer);
    memory.restore(now);
    return world.explorable();
  };

  private explorable(): Explorable {
    const { k, machine, plans, setup } = this;
    k.recorder = null;
    machine.watch = null;
    const cells = machine.memory.cells();
    // What happened before the first step: a call that is refused before it could sleep.
    const before = [...new Set(k.faults.map(({ kind }) => kind))];
    const questions = [
      ...Array.from(
        { length: k.geometry.pages },
        (_, page) => () => misplaced(k, page as Pfn, this.isSettled),
      ),
      ...(setup.oracles ?? []).map(
        ({ when, check, kind }) =>
          () =>
            (when === "always" || this.settled()) && check(this.view) !== null ? kind : null,
      ),
    ];
    return {
      tasks: plans.length,
      state: machine.memory.state,
      cells,
      before,
      ownerOf: (cell) => machine.ownerOf(cells[cell]),
      enabled: plans.some(({ heldBack }) => heldBack !== undefined)
        ? (task) => this.enabled(task)
        : (task) => machine.enabled(task),
      step: (task) => {
        // A step must not see what was met before it, and the world keeps it.
        const earlier = k.faults.length === 0 ? null : k.faults.splice(0);
        this.make(task);
        const kinds = k.faults.length === 0 ? NOTHING : k.faults.splice(0).map((fault) => fault.kind);
        if (earlier !== null) k.faults.push(...earlier);
        return kinds;
      },
      waitsForLock: (task) => waitsForLock(machine, task),
      paused: (task) => machine.paused(task),
      over: () => this.settled(),
      questions: k.has("power_cut") ? questions.map((each) => () => (this.off ? null : each())) : questions,
      forEver: (task) => (this.hanging.lostOwner(task) >= 0 ? "HANG" : null),
      circle: () => (this.hanging.deadlock() !== null ? "DEADLOCK" : null),
      still: () =>
        plans.some((plan, task) => !plan.daemon && !machine.finished(task) && !machine.isDead(task))
          ? "HANG"
          : null,
      renamings: () => renamingsOf(machine, k.geometry.dios),
      placeOf: (task) => {
        const { path, step } = this.named(machine.at(task));
        return `${path}: ${step}`;
      },
    };
  }

  /** Walk through this world at random, each time from here. The world stays where it is. */
  walk(options: WalkOptions): WalkResult {
    return walk(this.faces, options);
  }

  /** Visit every interleaving from here. The world stays where it is. */
  explore(options: SearchOptions): SearchResult {
    return search(this.faces, options);
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
  const found = findScenario(name);
  return new World(POWER_CUT in parameters ? withPowerCut(found) : found, { ...options, parameters });
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
  const seeded = parseSeeded(text);
  if (seeded !== null) {
    const start = world.moment();
    if (!world.runSeeded(seeded)) return;
    const { length } = world.schedule;
    world.goTo(start);
    throw new Error(
      `the schedule does not fit ${world.name} on ${world.kernel.name}: after ${length} steps nobody can move`,
    );
  }
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
