/** What a reader who orders the steps is told of what can still go wrong: it is looked for in another thread, and the page never waits. */
import type { FaultKind } from "../../trace/recording.js";
import type { World } from "../world.js";
import { browser, type Place, type Thread } from "./browser.js";
import { type Outlook, outlookText } from "./outlook.js";

/** Milliseconds without a step after which it is asked. */
const PAUSE = 120;

/** What a thread is asked. */
export interface OutlookQuestion {
  readonly replay: string;
  readonly wanted: FaultKind;
}

/** A moment from which it is looked ahead. */
interface Look {
  readonly schedule: readonly number[];
  readonly thread: Thread;
  /** What is known so far. */
  said: Outlook | null;
}

/** Whether a way goes on from another, or is the same. */
const goesOn = (way: readonly number[], from: readonly number[]): boolean =>
  from.length <= way.length && from.every((task, at) => way[at] === task);

/** Whether nothing that goes wrong has been found. */
const isClear = (said: Outlook | null): said is Outlook =>
  said !== null && !said.happened && said.ahead.length === 0;

export class Lookout {
  private look: Look | null = null;
  private timer = 0;
  /** A moment from which every interleaving was seen, and nothing goes wrong: what comes after it needs no search. */
  private clear: Pick<Look, "schedule" | "said"> | null = null;
  /** The moment that is asked about now. */
  private now: { readonly schedule: readonly number[]; readonly question: OutlookQuestion } | null = null;

  /**
   * @param place where it is said
   * @param ask gives a thread that has been asked, and hands on what it answers
   */
  constructor(
    private readonly place: Place,
    private readonly ask: (question: OutlookQuestion, heard: (answer: unknown) => void) => Thread,
  ) {}

  /**
   * Say what can still happen in a world. A search for an earlier moment of the same way goes on as long as it finds nothing: what
   * cannot happen from there cannot happen from here.
   */
  from({ takesOrders, schedule, replay }: World, wanted: FaultKind): void {
    if (takesOrders) {
      this.stop();
      this.place.textContent = "What can still happen depends on what is said: this scenario takes orders.";
      return;
    }
    this.now = { schedule: [...schedule], question: { replay, wanted } };
    browser.clearTimeout(this.timer);
    if (this.clear !== null && goesOn(schedule, this.clear.schedule)) this.say(this.clear);
    else if (this.look !== null && goesOn(schedule, this.look.schedule) && isClear(this.look.said))
      this.say(this.look);
    else this.begin();
  }

  /** Give up what is looked for, and forget what was found: the next world may have another kernel. */
  stop(): void {
    browser.clearTimeout(this.timer);
    this.look?.thread.terminate();
    this.look = this.now = this.clear = null;
  }

  private begin(): void {
    this.place.textContent = "Looking ahead …";
    this.place.setAttribute("data-settled", "false");
    this.look?.thread.terminate();
    this.look = null;
    this.timer = browser.setTimeout(() => {
      if (this.now === null) return;
      const { schedule, question } = this.now;
      const look: Look = {
        schedule,
        thread: this.ask(question, (answer) => this.heard(look, answer as Outlook)),
        said: null,
      };
      this.look = look;
      look.thread.onerror = () => {
        this.place.textContent = "Not known: the browser has ended the search, for want of memory perhaps.";
        this.place.setAttribute("data-settled", "true");
      };
    }, PAUSE);
  }

  private heard(look: Look, said: Outlook): void {
    if (look !== this.look || this.now === null) return;
    look.said = said;
    if (!said.searching) {
      this.look = null;
      look.thread.terminate();
      if (said.complete && isClear(said)) this.clear = look;
    }
    // What was found from an earlier moment on may not be possible any more.
    const isOlder = look.schedule.length < this.now.schedule.length;
    if (isOlder && !isClear(said)) this.begin();
    else if (isOlder && !said.searching && !said.complete) this.begin();
    else this.say(look);
  }

  private say({ schedule, said }: Pick<Look, "schedule" | "said">): void {
    if (said === null || this.now === null) return;
    const since = schedule.length < this.now.schedule.length ? schedule.length : undefined;
    this.place.textContent = outlookText(said, since);
    this.place.setAttribute("data-settled", String(!said.searching));
    // Only the last word is read out.
    this.place.setAttribute("aria-busy", String(said.searching));
  }
}
