/**
 * Small worlds for the tests: any tasks on any files, moved by name and step.
 */
import { cache_file } from "../../src/kernel/boot.js";
import type { GeometryOptions } from "../../src/kernel/geometry.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { FS } from "../../src/kernel/operations.js";
import { BH, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import type { Oracle } from "../../src/lab/scenario.js";
import { open, World } from "../../src/lab/world.js";
import type { Path } from "../../src/machine/path.js";
import { decodePageFlags, type PageFlag, PTE_BIT, pg } from "../../src/trace/words.js";

/** A task of a small world: its path and arguments; a daemon unless it is said to end. */
export interface Actor {
  // biome-ignore lint/suspicious/noExplicitAny: paths of any frame
  readonly path: Path<any>;
  readonly args?: readonly number[];
  readonly ends?: boolean;
}

export interface Small {
  /** Page frames; default twice the file's. */
  readonly pages?: number;
  readonly filePages?: number;
  readonly parts?: number;
  readonly fs?: number;
  /** VM_* of each VMA; each maps the whole file. Default one, shared and writable. */
  readonly vmas?: readonly number[];
  readonly stableWrites?: boolean;
  /** Whether the file's pages are cached and uptodate at the start; default true. */
  readonly cached?: boolean;
  /** What else the machine has, or has otherwise. */
  readonly geometry?: Partial<GeometryOptions>;
  /** What else there is before the first step. */
  readonly prepare?: (k: Kernel) => void;
  readonly record?: boolean;
  /** What else must not happen; default nothing. */
  readonly oracles?: readonly Oracle[];
  /** Name of a kernel; default v4.20. */
  readonly kernel?: string;
}

export const FILE = 1;

/** A world of one file with these tasks; letters are a, b, c ... */
export function small(options: Small, actors: Readonly<Record<string, Actor>>): World {
  const filePages = options.filePages ?? 1;
  const vmas = options.vmas ?? [VM_SHARED | VM_WRITE];
  const names = Object.keys(actors);
  const geometry: GeometryOptions = {
    pages: options.pages ?? 2 * filePages,
    parts: options.parts ?? 1,
    files: [
      {
        pages: filePages,
        fs: options.fs ?? FS.ext4,
        stable_writes: options.stableWrites === true,
      },
    ],
    vmas: vmas.map((flags) => ({ pages: filePages, file: FILE, flags })),
    dios: names.length,
    dioPages: filePages,
    ...options.geometry,
  };
  const prepare = (k: Kernel): void => {
    if (options.cached !== false) cache_file(k, FILE);
    options.prepare?.(k);
  };
  const setup = () => ({
    geometry,
    tasks: names.map((name, at) => ({
      name,
      letter: String.fromCharCode(97 + at),
      path: actors[name].path,
      args: actors[name].args ?? [],
      daemon: actors[name].ends !== true,
    })),
    pace: {},
    prepare,
    oracles: options.oracles,
  });
  return new World(
    { name: "small", help: "", story: "", parameters: {}, aliases: [], seed: 1, setup },
    { record: options.record ?? false, kernel: options.kernel },
  );
}

/** Moves the tasks of a world by name. */
export class Hand {
  readonly k: Kernel;

  constructor(readonly world: World) {
    this.k = world.k;
  }

  static open(scenario: string): Hand {
    return new Hand(open(scenario, { record: false }));
  }

  private number(task: string): number {
    const at = this.world.machine.tasks.findIndex(({ name }) => name === task);
    if (at < 0) throw new Error(`no task ${task}`);
    return at;
  }

  /** The step that a task will make next. */
  next(task: string): string {
    return this.world.machine.at(this.number(task)).step;
  }

  /** The path in which it is. */
  path(task: string): string {
    return this.world.machine.at(this.number(task)).path;
  }

  enabled(task: string): boolean {
    return this.world.enabled(this.number(task));
  }

  finished(task: string): boolean {
    return this.world.machine.finished(this.number(task));
  }

  dead(task: string): boolean {
    return this.world.machine.isDead(this.number(task));
  }

  step(task: string): this {
    this.world.step(this.number(task));
    return this;
  }

  /** Move a task until its next step is this one (at least one step when `again`). */
  until(task: string, step: string | ((k: Kernel) => boolean), again = false): this {
    const there = () => (typeof step === "string" ? this.next(task) === step : step(this.k));
    if (again) this.step(task);
    for (let steps = 0; !there(); steps++) {
      if (steps > 5000) throw new Error(`${task} never reaches ${step}; it is at ${this.next(task)}`);
      this.step(task);
    }
    return this;
  }

  /** Move a task until it has made this step. */
  past(task: string, step: string): this {
    return this.until(task, step).step(task);
  }

  /** Move a task until it has finished, died, or must wait. */
  go(task: string): this {
    for (let steps = 0; this.enabled(task); steps++) {
      if (steps > 5000) throw new Error(`${task} never stops`);
      this.step(task);
    }
    return this;
  }

  /** Let a daemon make one round: from its sleep to its next one. */
  round(task: string): this {
    const number = this.number(task);
    do this.step(task);
    while (this.enabled(task) && !this.world.machine.paused(number));
    return this;
  }

  /** The steps, held ones too, that one task makes while `act` runs. */
  trace(task: string, act: () => void): string[] {
    const number = this.number(task);
    const steps: string[] = [];
    const { machine } = this.world;
    machine.watch = (who, at) => {
      if (who === number) steps.push(machine.code[at].step);
    };
    act();
    machine.watch = null;
    return steps;
  }

  refs(page = 0): number {
    return this.k.page._refcount[page];
  }

  flags(page = 0): PageFlag[] {
    return decodePageFlags(this.k.page.flags[page]);
  }

  has(flag: PageFlag, page = 0): boolean {
    return this.flags(page).includes(flag);
  }

  /** Set or clear flags by hand: the state that a case starts from. */
  set(flags: readonly PageFlag[], page = 0): this {
    for (const flag of flags) this.k.page.flags[page] |= pg(flag);
    return this;
  }

  clear(flags: readonly PageFlag[], page = 0): this {
    for (const flag of flags) this.k.page.flags[page] &= ~pg(flag);
    return this;
  }

  /** dirty, writeback, towrite: the tags of the page's slot. */
  tags(page = 0): string {
    const bits = this.k.tagsWord(page);
    return [bits & 1 ? "dirty" : "", bits & 2 ? "writeback" : "", bits & 4 ? "towrite" : ""]
      .filter(Boolean)
      .join(" ");
  }

  /** "none", or the letters of the PTE's bits: r(w)(d)(y): present, write, dirty, young. */
  pte(at = 0): string {
    const entry = this.k.pte.entry[at];
    if ((entry & PTE_BIT.present) === 0) return "none";
    return `r${entry & PTE_BIT.write ? "w" : ""}${entry & PTE_BIT.dirty ? "d" : ""}${entry & PTE_BIT.young ? "y" : ""}`;
  }

  bufferDirty(page = 0): boolean {
    return (this.k.page.b_state[page] & BH.dirty) !== 0;
  }

  /** Which list a page is on: inactive, active, isolated, none. */
  lru(page = 0): string {
    return ["none", "inactive", "active", "isolated"][this.k.lruWord(page)];
  }

  /** Kinds and messages of the faults so far. */
  faults(): string[] {
    return this.k.faults.map(({ kind, message }) => `${kind} ${message}`);
  }
}
