/**
 * The machine on which a recording's workload is done again: a sandbox whose threads get orders. Disks and the journal's thread move whenever somebody
 * waits for them, as on a real machine. Devices, kswapd and the flusher move only when the script says so: in the recordings a transfer
 * lasts as long as its slow disk wants, and nothing else went on.
 */
import { disk_version } from "../../kernel/fs/blocks.js";
import type { Kernel } from "../../kernel/kernel.js";
import { pte_pfn, pte_present } from "../../kernel/mm/memory.js";
import { page_of } from "../../kernel/mm/user_pages.js";
import { type InodeNr, NONE, type Pfn } from "../../kernel/types.js";
import { Random } from "../../machine/random.js";
import { REGION } from "../operation.js";
import { countersOf } from "../run.js";
import { isIdle, syscall, THREADS } from "../threads.js";
import { open, type World } from "../world.js";
import type { Counts, Tag } from "./recorded.js";

/** Threads of the sandbox by what they do here: the workload's own, and the one that holds pages meanwhile. */
export const MAIN = "A";
export const HOLDER = "B";
export const CHILD = "D";

/** Tasks that move whenever somebody waits for them. */
const SERVANTS = /^(disk|swapdisk|jbd2|fixup)$/;

/** Who moves in a race. */
const MOVERS = /^(disk|swapdisk|jbd2|fixup|dmaB|kworker)$/;

/** Steps after which an order counts as one that waits for ever. */
const PATIENCE = 1_000_000;

/** The file that the workload maps. */
const FILE = 1;

/** The bytes of a page, part by part, as generations. */
export type Bytes = readonly number[];

export class Stage {
  readonly world: World;
  /** The orders that were given, and how far devices were let go: to be read. What does it again exactly is the world's replay line. */
  readonly script: string[] = [];
  /** The pages of the file at the first mark, in its order. */
  pages: readonly Pfn[] = [];
  readonly tags: (Tag & { readonly tick: number })[] = [];

  constructor(parameters: string, kernel: string) {
    const scenario = `sandbox,${parameters},user=root`;
    this.world = open(scenario, { kernel });
    this.script.push(`scenario ${scenario}`, `kernel ${kernel}`);
  }

  get k(): Kernel {
    return this.world.k;
  }

  private task(name: string): number {
    return this.world.machine.tasks.findIndex((task) => task.name === name);
  }

  /** Remember /proc/vmstat under a name. */
  tag(tag: string): void {
    if (this.tags.length === 0) this.pages = this.filePages();
    this.tags.push({ tag, tick: this.k.tick, counts: this.counts() });
  }

  counts(): Counts {
    return countersOf(this.world);
  }

  /** Whether a thread has nothing to do. */
  idle(thread: string): boolean {
    return isIdle(this.k, THREADS.indexOf(thread as (typeof THREADS)[number]));
  }

  /**
   * Give an order and let it be done. Gives what the call gave, or null when it waits for somebody who does not move by himself.
   *
   * @throws Error with one sentence when it is none
   */
  order(line: string, thread: string = MAIN): number | null {
    // A thread that waits, or is dead, takes no orders any more.
    if (!this.idle(thread)) return null;
    this.tell(line, thread);
    return this.goOn(thread);
  }

  /** Give an order, and let it be done up to a step. Gives its result when it never got there, else null. */
  orderUntil(line: string, step: string, thread: string = HOLDER): number | null {
    this.tell(line, thread, " --hold yes");
    const id = this.task(thread);
    const from = this.world.schedule.length;
    while (!this.idle(thread) && this.world.machine.at(id).step !== step) {
      if (!this.move(thread)) break;
    }
    this.script.push(`step ${thread} ${this.world.schedule.length - from}`);
    return this.idle(thread) ? this.resultOf(thread) : null;
  }

  private tell(line: string, thread: string, more = ""): void {
    this.world.say(`${thread} ${line}`);
    this.script.push(`${line} --by ${thread}${more}`);
  }

  /** Let a thread move, or whom it waits for. */
  private move(thread: string): boolean {
    const { world } = this;
    const servants = world.machine.tasks.flatMap(({ name }, task) => (SERVANTS.test(name) ? [task] : []));
    const mover = [this.task(thread), ...servants].find((task) => world.enabled(task));
    if (mover === undefined) return false;
    this.step(mover);
    return true;
  }

  /** Let a thread finish what it was told; gives what the call gave, or null when it waits. */
  goOn(thread: string): number | null {
    for (let steps = 0; steps < PATIENCE && !this.idle(thread); steps++) if (!this.move(thread)) return null;
    return this.idle(thread) ? this.resultOf(thread) : null;
  }

  /** Let threads do their orders with chance deciding who moves, devices and the journal among them, until all is done or nobody can move. */
  race(seed: number, orders: Readonly<Record<string, readonly string[]>>): void {
    const chance = new Random(seed);
    const left = new Map(Object.entries(orders).map(([thread, lines]) => [thread, [...lines]]));
    const movers = this.world.machine.tasks.flatMap(({ name }, task) =>
      MOVERS.test(name) || left.has(name) ? [task] : [],
    );
    // Some are slow, some are fast, in each run others: a disk may take as long as all the rest.
    const speeds = movers.map(() => 2 ** -chance.below(8));
    for (let steps = 0; steps < PATIENCE; steps++) {
      for (const [thread, lines] of left)
        if (this.idle(thread) && lines.length > 0) {
          const line = lines.shift() as string;
          // What was refused has nothing to give back.
          if (/^(dma|\w+_(free|unreg)) ?/.test(line) && this.k.user_pages.nr[REGION] === 0) continue;
          this.tell(line, thread);
        }
      if ([...left].every(([thread, lines]) => this.idle(thread) && lines.length === 0)) break;
      const able = movers.map((task, at) => (this.world.enabled(task) ? speeds[at] : 0));
      const total = able.reduce((all, speed) => all + speed, 0);
      if (total === 0) break;
      let drawn = chance.unit() * total;
      const chosen = able.findIndex((speed) => {
        drawn -= speed;
        return speed > 0 && drawn < 0;
      });
      this.step(movers[chosen < 0 ? able.findLastIndex((speed) => speed > 0) : chosen]);
    }
    for (const name of ["dmaB", "kworker"]) this.run(name);
  }

  resultOf(thread: string): number {
    return this.k.of(syscall).ret[THREADS.indexOf(thread as (typeof THREADS)[number])];
  }

  /** Let a device or a daemon move as far as it can. */
  run(name: string): void {
    const task = this.task(name);
    if (task < 0) return;
    let made = 0;
    for (; made < PATIENCE && this.world.enabled(task); made++) {
      this.step(task);
      if (this.world.machine.paused(task)) break;
    }
    if (made > 0) this.script.push(`step ${name} ${made}`);
  }

  // ---- what the workload's program could look at

  /** The page behind a virtual page, or NONE. */
  mapped(at: number): Pfn {
    const entry = this.k.pte.entry[at];
    return pte_present(entry) ? pte_pfn(entry) : NONE;
  }

  /** The page at a place of an array of somebody's. */
  held(array: number, at: number): Pfn {
    return page_of(this.k, array, at);
  }

  /** The cached page of the file, or NONE. */
  cached(index: number): Pfn {
    return this.k.xa_slot.page[this.k.slotOf(FILE, index)] - 1;
  }

  bytes(page: Pfn): Bytes {
    const { parts } = this.k.geometry;
    return [...this.k.content.version.subarray(page * parts, (page + 1) * parts)];
  }

  /** What the disk has of a page of a file. */
  onDisk(index: number, file: InodeNr = FILE): Bytes {
    return Array.from({ length: this.k.geometry.parts }, (_, part) =>
      disk_version(this.k, file, index, part),
    );
  }

  /** The pages of the file, in its order, as they are now. */
  filePages(): Pfn[] {
    return Array.from({ length: this.k.inode.i_pages[FILE] }, (_, index) => this.cached(index));
  }

  // ---- what nobody but the holder knows

  /** Pages that somebody holds, and their bytes when he held them last. */
  private watched: { readonly page: Pfn; bytes: Bytes }[] = [];

  /** From now on, remember what is in some pages for as long as somebody holds them: they may be freed the moment he lets go. */
  watch(pages: readonly Pfn[]): void {
    this.watched = pages.map((page) => ({ page, bytes: this.bytes(page) }));
  }

  /** What was in them last. */
  lastHeld(): readonly Bytes[] {
    return this.watched.map(({ bytes }) => bytes);
  }

  private step(task: number): void {
    this.world.step(task);
    const { pins } = this.k.page;
    for (const each of this.watched) if (pins[each.page] > 0) each.bytes = this.bytes(each.page);
  }
}
