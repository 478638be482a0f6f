/**
 * The desk at which somebody works: a session, the future that going back left behind, and a host for what the
 * laboratory cannot do by itself (files, a terminal's size, a search that can be interrupted).
 */

import type { Strategy } from "../explore/walk.js";
import { watchFor } from "./events.js";
import type { VerdictReport } from "./explore.js";
import type { BisectionReport } from "./kernels.js";
import type { Values } from "./scenario.js";
import { Session } from "./session.js";
import type { Studied, StudyRequest } from "./study.js";
import type { Result } from "./verbs/verb.js";
import type { WalksReport } from "./walks.js";
import type { World } from "./world.js";

export interface SearchRequest {
  /** With parameters after commas. */
  readonly scenario: string;
  readonly kernel: string;
  /** Undefined: as many as fit into explore()'s memory. */
  readonly maxStates: number | undefined;
  /** In MiB; undefined: explore()'s. */
  readonly maxMemory?: number;
  /** Undefined: as long as it takes. */
  readonly maxSeconds?: number;
  /** Whether the way with the fewest context switches is looked for as well; default not. */
  readonly simplest?: boolean;
  /** Whether the report has a certificate; default not. */
  readonly certificate?: boolean;
  /** Whether tasks that can be exchanged are; default true. */
  readonly symmetry?: boolean;
}

export interface WalkRequest {
  /** With parameters after commas. */
  readonly scenario: string;
  readonly kernel: string;
  /** Undefined: as walks() does it. */
  readonly strategy: Strategy | undefined;
  readonly walks: number | undefined;
  readonly seed: number | undefined;
  readonly depth: number | undefined;
}

export interface Walked {
  readonly text: string;
  readonly report: WalksReport;
  /** Whether any walk met a fault. */
  readonly faulty: boolean;
}

export interface BisectRequest {
  /** With parameters after commas. */
  readonly scenario: string;
  readonly good: string;
  readonly bad: string;
  /** For each search; undefined as above. */
  readonly maxStates: number | undefined;
  /** Seeded runs on each kernel instead of a search; undefined: none. */
  readonly runs: number | undefined;
}

export interface Bisected {
  readonly text: string;
  readonly report: BisectionReport;
}

export interface Searched {
  readonly text: string;
  readonly report: VerdictReport;
}

/** What the surroundings do for the verbs. */
export interface Host {
  /** Room for a chart, in characters. */
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
  /** Write a file whole or not at all. @throws Error with one sentence */
  write(path: string, content: string | Uint8Array): void;
  /** @throws Error with one sentence */
  read(path: string): string;
  /** Source text of the plotly library. */
  plotly(): Promise<string>;
  /** An SVG picture of guplab's as PNG. @throws Error with one sentence where that cannot be done */
  png(svg: string): Promise<Uint8Array>;
  /** Visit every interleaving; may be interrupted, and is then incomplete. */
  explore(request: SearchRequest): Promise<Searched>;
  /** Walk at random; may be interrupted. @throws Error with one sentence */
  walk(request: WalkRequest): Promise<Walked>;
  /** Explain a scenario or a run from a search; as above. @throws Error with one sentence */
  study(request: StudyRequest): Promise<Studied>;
  /** Find the patch that changes an outcome. @throws Error with one sentence, also when it is interrupted */
  bisect(request: BisectRequest): Promise<Bisected>;
  /** Do what lines say, up to the first that cannot be done. @throws Error with one sentence that names it */
  script(desk: Desk, lines: string): Promise<Result>;
}

/** What `save` writes: a run as the choices that were made. */
export interface Saved {
  readonly guplab: "session";
  readonly scenario: string;
  readonly kernel: string;
  readonly parameters: Values;
  readonly seed: number;
  readonly schedule: string;
}

export class Desk {
  session: Session;
  seed: number;
  /** Set by `quit`. */
  left = false;
  /** The moment at which the guided crash is. */
  chapter = 0;
  /** Steps that were made and taken back, the next one last. */
  private future: number[] = [];

  /**
   * @param scenario name with parameters, or a replay line
   * @throws Error with one sentence when it does not fit
   */
  constructor(
    readonly host: Host,
    scenario = "kara-2018",
    kernel?: string,
    seed?: number,
  ) {
    this.session = new Session(scenario, { kernel, seed });
    this.seed = seed ?? this.session.world.scenario.seed;
  }

  get world(): World {
    return this.session.world;
  }

  get tick(): number {
    return this.session.tick;
  }

  /** How far it is known what happens: the tick from which `goto` came back, or now. */
  get horizon(): number {
    return this.tick + this.future.length;
  }

  /** Begin another session; the seed stays unless one is given. @throws Error, and nothing has changed */
  start(scenario: string, kernel = this.world.kernel.name, seed?: number): void {
    const session = new Session(scenario, { kernel, seed });
    this.session = session;
    this.seed = seed ?? session.world.scenario.seed;
    this.future = [];
    this.chapter = 0;
  }

  /** Go on from here with other chances. */
  reseed(seed: number): void {
    const { world } = this;
    this.session = new Session(world.replay, { seed });
    this.seed = seed;
    this.future = [];
  }

  /** Let one task make a step. What was known of the future is forgotten unless it begins so. */
  step(task: number): void {
    this.session.step(task);
    if (this.future.pop() !== task) this.future = [];
  }

  /** Say something to the scenario. @throws Error with one sentence, and nothing has changed */
  say(line: string): void {
    this.session.say(line);
    if (this.future.pop() !== this.world.schedule.at(-1)) this.future = [];
  }

  /**
   * Make up to `steps` steps: first those that were taken back, then what the seeded scheduler chooses. Gives how many
   * were made before the run was over or `until` held.
   */
  forward(steps: number, until: () => boolean = () => false): number {
    let made = 0;
    while (made < steps && this.future.length > 0) {
      this.session.step(this.future.pop() as number);
      made++;
      if (until()) return made;
    }
    return made < steps ? made + this.session.run(steps - made, until) : made;
  }

  /**
   * The tick of the last step so far in which an event happened, or -1. The desk is then where it was.
   *
   * @throws Error with one sentence when the text names no event
   */
  lastTime(event: string): number {
    const { tick } = this;
    watchFor(this.world, event).end();
    this.goTo(0);
    const watch = watchFor(this.world, event);
    let last = -1;
    while (this.tick < tick) {
      this.forward(1);
      if (watch.happened()) last = this.tick;
    }
    watch.end();
    return last;
  }

  /** Go to a tick of the past, or of the future that was taken back. @throws Error when it is neither */
  goTo(tick: number): void {
    if (tick > this.horizon) {
      throw new Error(
        `tick ${tick} has not happened: this run is known from 0 to ${this.horizon}; run and until go on`,
      );
    }
    if (tick > this.tick) {
      this.forward(tick - this.tick);
      return;
    }
    const undone = this.world.schedule.slice(tick).reverse();
    this.session.goTo(tick);
    for (const task of undone) this.future.push(task);
  }
}
