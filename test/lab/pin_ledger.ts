/**
 * Who has pinned what: written down from outside, as the machine itself cannot tell a pin from so many references.
 *
 * A place of an array is a pin if the task that stored a page there was inside a function of the pin_user_pages family, or in memfd_pin_folios. From that, and
 * from nothing that a patch says, follow the counts that a kernel with track-foll-pin must show.
 */
import { compound_head } from "../../src/kernel/mm/compound.js";
import { mm_of } from "../../src/kernel/mm/memory.js";
import { MM_FORKED, mm_struct } from "../../src/kernel/mm/mmap.js";
import { PAGES } from "../../src/kernel/mm/user_pages.js";
import type { PagesNr, Vpn } from "../../src/kernel/types.js";
import type { World } from "../../src/lab/world.js";
import { mm_pins } from "../../src/patches/copy_pinned_at_fork.js";
import { bio_flags } from "../../src/patches/dio_pins.js";
import { PAGE_DMA_PINNED, page_lru_words } from "../../src/patches/proposals/tracking.js";
import { compound_pincount, has_pincount, vmstat_foll_pin } from "../../src/patches/track_foll_pin.js";
import { GUP_PIN_COUNTING_BIAS } from "../../src/trace/words.js";
import { HOLDERS, type Position, TAKES } from "./holders/index.js";

/** Whether a task is taking pins. */
const isPinning = (stack: readonly Position[]): boolean =>
  stack.some(({ path }) => path.startsWith("pin_user_pages") || path === "memfd_pin_folios");

/** A task takes no pins, or pins of a file, which no process asks for by its addresses. */
const NOT_PINNING = -1;
const PINS_A_FILE = -2;

/** Interrupts and the kworker, while they look at a bio's pages or let go of them. */
const ENDS_BIO: readonly string[] = ["bio_check_pages_dirty", "bio_release_pages", "bio_dirty_fn"];

/** States of an array that is a bio under way. */
const BIO: readonly number[] = [PAGES.submitted, PAGES.submitted_write, PAGES.checking, PAGES.dirty_work];

export class PinLedger {
  /** The kernel counts pins. */
  readonly tracks: boolean;
  /** fork copies what is pinned. */
  private readonly copies: boolean;
  private readonly patches: ReadonlySet<string>;
  /** What each place of each array named when it was looked at last, and whether it was pinned. */
  private readonly named: Int32Array;
  private readonly pinned: Uint8Array;
  /** The process for which each task was taking pins then, or one of the two above. */
  private readonly pinning: number[];
  /** In which life each process was. */
  private readonly life: number[] = [];
  /** What is wrong with what was just stored. */
  private wrong: string | null = null;

  constructor(
    private readonly world: World,
    private readonly at: (task: number) => readonly Position[],
  ) {
    const { k, machine, kernel } = world;
    this.patches = new Set(kernel.patches.map(({ name }) => name));
    // Nobody asks for has_pinned where no process forks.
    this.copies = this.patches.has("copy-pinned-at-fork") && world.k.has("mmap");
    this.tracks = this.patches.has("track-foll-pin");
    this.named = new Int32Array(k.user_page.page.length);
    this.pinned = new Uint8Array(k.user_page.page.length);
    this.pinning = machine.tasks.map(() => NOT_PINNING);
  }

  /** Look at what the last step has stored and taken away: to be called before the first step and after each. */
  observe(): void {
    const { k, machine, schedule } = this.world;
    const mover = schedule[schedule.length - 1] ?? -1;
    const mm = this.pinning[mover] ?? NOT_PINNING;
    const now = k.user_page.page;
    const { life } = k.of(mm_struct);
    for (let process = 0; process < life.length; process++) {
      const born = life[process] === MM_FORKED && this.life[process] !== MM_FORKED;
      if (born && this.copies && k.of(mm_pins).has_pinned[process] !== 0)
        this.wrong = `pins: process ${process} has just been forked, and has_pinned is 1`;
      this.life[process] = life[process];
    }
    for (let task = 0; task < machine.tasks.length; task++) {
      const stack = this.at(task);
      this.pinning[task] = NOT_PINNING;
      if (!isPinning(stack)) continue;
      const family = stack.find(({ path }) => path.startsWith("pin_user_pages"));
      this.pinning[task] = family === undefined ? PINS_A_FILE : mm_of(k, family.local("start") as Vpn);
    }
    for (let place = 0; place < now.length; place++) {
      if (now[place] === this.named[place]) continue;
      // Moved within an array or to another one: what it was. All that is moved anywhere are plain references.
      const from = this.named.indexOf(now[place]);
      if (now[place] <= 0) this.pinned[place] = 0;
      else if (mm !== NOT_PINNING) this.pinned[place] = 1;
      else this.pinned[place] = from >= 0 && now[from] !== now[place] ? this.pinned[from] : 0;
      if (this.pinned[place] === 1 && this.copies && mm >= 0 && k.of(mm_pins).has_pinned[mm] === 0)
        this.wrong = `pins: process ${mm} has pinned page ${now[place] - 1}, and has_pinned is 0`;
    }
    this.named.set(now);
  }

  /** How many pins each page has: in arrays, and in the hands of tasks that are about to store or to drop them. */
  pins(): number[] {
    const { k, machine } = this.world;
    // The zero page comes behind the others, and has no count here.
    const pins = new Array<number>(k.geometry.pages + 1).fill(0);
    this.pinned.forEach((pinned, place) => {
      if (pinned === 1 && this.named[place] > 0) pins[this.named[place] - 1]++;
    });
    for (let task = 0; task < machine.tasks.length; task++) {
      const stack = this.at(task);
      const pinning = isPinning(stack);
      for (const position of stack) for (const page of held(position, pinning)) pins[page]++;
    }
    this.shared().forEach((shared, page) => {
      pins[page] -= shared;
    });
    return pins;
  }

  /** Long pins of each page that another one stands for (hubbard-lru-longterm-2023). */
  private shared(): number[] {
    if (!this.patches.has("hubbard-lru-longterm-2023")) return [];
    const { dma_pinned_flags, dma_pinned_count } = this.world.k.of(page_lru_words);
    return Array.from(dma_pinned_count, (count, page) =>
      (dma_pinned_flags[page] & PAGE_DMA_PINNED) !== 0 ? count - 1 : 0,
    );
  }

  /** Beyond one reference a pin: what they add to the counts. */
  addTo(refs: number[], pins: readonly number[]): void {
    if (!this.tracks) return;
    const { k } = this.world;
    pins.forEach((count, page) => {
      if (count === 0 || page === k.geometry.pages) return;
      const head = compound_head(k, page as never);
      if (!has_pincount(k, head)) refs[head] += count * (GUP_PIN_COUNTING_BIAS - 1);
    });
  }

  /** What does not hold of pins, as a sentence; null when all holds. */
  violated(pins: readonly number[]): string | null {
    return this.wrong ?? this.counts(pins) ?? this.bios();
  }

  private counts(pins: readonly number[]): string | null {
    if (!this.tracks) return null;
    const { k } = this.world;
    const { compound_pincount: exact } = k.of(compound_pincount);
    const heads = new Array<number>(exact.length).fill(0);
    pins.forEach((count, page) => {
      if (count === 0 || page === k.geometry.pages) return;
      const head = compound_head(k, page as never);
      if (has_pincount(k, head)) heads[head] += count;
    });
    for (let head = 0; head < exact.length; head++)
      if (exact[head] !== heads[head])
        return `pins: page ${head} says that it has ${exact[head]} pins, and has ${heads[head]}`;
    const { nr_foll_pin_acquired, nr_foll_pin_released } = k.of(vmstat_foll_pin);
    const unpinned_zero = this.patches.has("zero-page-unpinned");
    const live = pins.reduce(
      (sum, count, page) => sum + (unpinned_zero && page === k.geometry.pages ? 0 : count),
      0,
    );
    const counted = nr_foll_pin_acquired[0] - nr_foll_pin_released[0];
    return counted === live
      ? null
      : `pins: ${live} are held, nr_foll_pin_acquired - nr_foll_pin_released is ${counted}`;
  }

  /** A bio has pages; one that is being looked at has somebody who looks; and it knows whether its pages are pinned. */
  private bios(): string | null {
    const { k, machine } = this.world;
    const looks = new Array<number>(k.geometry.dios).fill(0);
    const takes = new Array<boolean>(k.geometry.dios).fill(false);
    for (let task = 0; task < machine.tasks.length; task++)
      for (const { path, step, local } of this.at(task)) {
        if (path === "pin_user_pages_fast") takes[local("pages")] = true;
        if (ENDS_BIO.includes(path) && step !== "bio_dirty_work") looks[local("pages")]++;
      }
    for (let pages = 0 as PagesNr; pages < k.geometry.dios; pages++) {
      const state = k.user_pages.state[pages];
      // A write of a copy has given its user's pages back before it is submitted.
      const bounced = state === PAGES.submitted_write && this.patches.has("xfs-bounce-direct-io");
      if (BIO.includes(state) && k.user_pages.nr[pages] === 0 && !bounced)
        return `bio ${pages} is in state ${state} without pages`;
      if ((state === PAGES.checking ? 1 : 0) !== looks[pages])
        return `bio ${pages} is in state ${state}, and ${looks[pages]} look at it`;
      if (!this.patches.has("iomap-dio-pins") || !BIO.includes(state)) continue;
      const flag = k.of(bio_flags).BIO_PAGE_PINNED[pages];
      const first = pages * k.geometry.dioPages;
      for (let place = first; place < first + k.user_pages.nr[pages]; place++)
        if (!takes[pages] && this.named[place] > 0 && this.pinned[place] !== flag)
          return `bio ${pages}: BIO_PAGE_PINNED is ${flag}, and its pages are not`;
    }
    return null;
  }
}

/** The pins in the locals of one path. */
function held(position: Position, pinning: boolean): readonly number[] {
  const { path } = position;
  if (path === "unpin_user_page" || path === "unpin_user_page_longterm")
    return HOLDERS[path](position, () => []);
  return pinning && TAKES.includes(path) ? HOLDERS[path](position, () => []) : [];
}
