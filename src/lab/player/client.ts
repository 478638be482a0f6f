/**
 * The script that a rendered page carries: guplab itself, in a browser. It fills each place that is left for a player, and listens to
 * the figures. The same script, started as a worker, looks for what can still go wrong (outlook.ts), so that the page never waits.
 *
 * Figures and players speak by the two events that are described at plot/figure_script.ts.
 */
import { timeline } from "../../plot/timeline.js";
import type { FaultKind } from "../../trace/recording.js";
import { isFault, SEVERITY } from "../outcomes.js";
import { type Run, run } from "../run.js";
import { browser, type Control, type Page, type PageEvent, type Place, type Thread } from "./browser.js";
import {
  faultsHtml,
  frameHtml,
  madeHtml,
  madeText,
  outcomeHtml,
  pagesHtml,
  stripSvg,
  tasksHtml,
} from "./draw.js";
import { RunFigures } from "./figures.js";
import { Film } from "./film.js";
import { memoryHash } from "./hash.js";
import { Lookout, type OutlookQuestion } from "./lookout.js";
import { hasBuffers, momentAt } from "./moment.js";
import { type Outlook, outlook } from "./outlook.js";
import { type Choice, choiceOf, kernelOfChoice, refusals, rerun } from "./rerun.js";

/** Milliseconds between two steps of a run that plays. */
const PACE = 160;

/** States between two words of a search. */
const WORDS = 100_000;

/** What a worker is asked: what can still go wrong, or which proposals do not apply. */
type Question = OutlookQuestion | { readonly scenario: string; readonly kernel: string };

/** Answers questions of the page in which this script runs as a worker. */
function answerQuestions(): void {
  browser.onmessage = ({ data }) => {
    const question = data as Question;
    if ("scenario" in question) {
      browser.postMessage(refusals(question.scenario, question.kernel));
      return;
    }
    let said = 0;
    const told = (soFar: Outlook): boolean => {
      if (soFar.states === 0 || soFar.states - said > WORDS) {
        said = soFar.states;
        browser.postMessage(soFar);
      }
      return true;
    };
    browser.postMessage(outlook(question.replay, question.wanted, { told }));
  };
}

class Player {
  private readonly root: Place;
  private readonly recorded: Run;
  private current: Run;
  private film: Film;
  private buffers: boolean;
  private page: number;
  private timer = 0;
  /** Whether the reader orders the steps. */
  private isOwn = false;
  /** Where the film was before each of his presses. */
  private presses: number[] = [];
  private readonly lookout: Lookout;
  /** What the figures show of the run, where they do not show all. */
  private range: readonly [number, number] | null = null;
  private readonly figures: RunFigures;
  /** The timer of figures that are to be drawn of the reader's own steps. */
  private sketching = 0;
  /** What the reader has chosen, and what is to be said of the run that came of it. */
  private choice: Choice;
  private note = "";
  /** The kernel for which the proposals that do not apply are marked. */
  private marked = "";

  constructor(
    place: Place,
    private readonly document: Page,
    /** Where a worker finds this script. */
    private readonly script: string,
    private readonly replay: string,
    private readonly hash: string,
  ) {
    this.recorded = run(replay);
    this.current = this.recorded;
    this.choice = choiceOf(replay);
    place.innerHTML = frameHtml(place.id, this.recorded.world.name, this.choice);
    this.root = place;
    this.figures = new RunFigures(document, replay);
    this.lookout = new Lookout(this.show("outlook"), (question, heard) => this.asked(question, heard));
    this.film = new Film(this.recorded);
    this.buffers = hasBuffers(this.recorded.recording);
    this.page = this.worstPage();
    this.listen();
    this.showRun("");
    this.goTo(0, false);
  }

  private worstPage(): number {
    return this.current.faults.find(({ pfn }) => pfn >= 0)?.pfn ?? 0;
  }

  private show(name: string): Place {
    return this.root.querySelector(`[data-show="${name}"]`) as Place;
  }

  private control(name: string): Control {
    return this.root.querySelector(`[data-control="${name}"]`) as Control;
  }

  private button(name: string): Control {
    return this.root.querySelector(`[data-do="${name}"]`) as Control;
  }

  private listen(): void {
    const deeds: Readonly<Record<string, () => void>> = {
      back: () => this.goTo(this.film.tick - 1),
      forward: () => this.goTo(this.film.tick + 1),
      play: () => this.play(),
      take: () => this.takeOver(),
      undo: () => this.undo(),
      leave: () => this.leave(),
      reset: () => this.reset(),
    };
    this.root.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      const { do: deed, task, on, page } = button?.dataset ?? {};
      if (deed !== undefined) {
        if (deed !== "play") this.stop();
        deeds[deed]();
      }
      if (task !== undefined) this.own(Number(task), on !== undefined);
      if (page !== undefined) {
        this.page = Number(page);
        this.showMoment();
        this.root.querySelector(`[data-page="${page}"]`)?.focus();
      }
    });
    this.root.addEventListener("input", ({ target }) => {
      if (target.dataset.control !== "tick") return;
      this.stop();
      this.goTo(Number((target as Control).value));
    });
    this.root.addEventListener("change", ({ target }) => {
      if (target.dataset.control !== undefined && target.dataset.control !== "tick") this.choose();
    });
    this.root.addEventListener("focusin", ({ target }) => {
      if (target.dataset.control === "added") this.markRefusals();
    });
    // Figures whose x axis is not the run's time have nothing to say to it.
    const time = timeline(this.recorded.recording).title;
    const heard = <D extends object>(name: string, then: (detail: D) => void): void =>
      this.document.addEventListener(name, ({ detail }: PageEvent) => {
        const {
          run: line,
          axis = time,
          source,
        } = detail as { run: string; axis?: string; source: Place | null };
        const mine = line === this.current.replay && axis === time && source !== this.root && !this.isOwn;
        if (mine) then(detail as D);
      });
    heard<{ x: number }>("guplab-time", ({ x }) => {
      this.stop();
      this.goTo(x, false);
    });
    heard<{ range: readonly [number, number] | null }>("guplab-range", ({ range }) => {
      this.range = range;
      this.showStrip(this.current);
    });
  }

  // ---- moments

  private goTo(tick: number, tell = true): void {
    this.film.goTo(tick);
    if (this.isOwn) {
      this.showOwn();
      return;
    }
    this.showMoment();
    if (this.film.tick === this.film.length) this.stop();
    if (!tell) return;
    const detail = { run: this.current.replay, x: this.film.tick, source: this.root };
    this.document.dispatchEvent(new browser.CustomEvent("guplab-time", { detail }));
  }

  private play(): void {
    if (this.timer !== 0) {
      this.stop();
      return;
    }
    if (this.film.tick === this.film.length) this.goTo(0);
    const next = (): void => {
      this.timer = browser.setTimeout(next, PACE);
      this.goTo(this.film.tick + 1);
    };
    next();
    // Nobody wants six steps a second read out.
    this.show("made").setAttribute("aria-live", "off");
    this.show("play").textContent = "Pause";
    this.button("play").setAttribute("aria-pressed", "true");
  }

  private stop(): void {
    if (this.timer === 0) return;
    browser.clearTimeout(this.timer);
    this.timer = 0;
    this.show("made").setAttribute("aria-live", "polite");
    this.show("play").textContent = "Play";
    this.button("play").setAttribute("aria-pressed", "false");
  }

  private showMoment(): void {
    const { film, isOwn } = this;
    const { tick, length } = film;
    const moment = momentAt(film, tick, this.buffers);
    const bar = this.control("tick");
    bar.max = String(length);
    bar.value = String(tick);
    bar.setAttribute("aria-valuetext", madeText(moment));
    this.show("tick").textContent = `step ${tick} of ${length}`;
    this.show("made").innerHTML = madeHtml(moment);
    this.show("tasks").innerHTML = tasksHtml(moment, isOwn ? film.world : null);
    const unfolded = this.root.querySelector("[data-words][open]") !== null;
    this.show("page").innerHTML = pagesHtml(moment, this.page, unfolded);
    this.show("faults").innerHTML = faultsHtml(moment);
    this.button("back").disabled = tick === 0;
    this.button("forward").disabled = tick === length;
    if (!isOwn) return;
    this.button("undo").disabled = this.presses.length === 0;
    this.show("replay").textContent = film.world.replay;
  }

  // ---- runs

  /** Show what is the same for all moments of a run. */
  private showRun(note: string): void {
    const { current, recorded } = this;
    const other = current !== recorded;
    this.show("kernel").textContent = current.world.kernel.name;
    this.show("outcome").innerHTML =
      outcomeHtml(current.outcomes) +
      (other
        ? ` <span class="was">recorded on ${recorded.world.kernel.name}: ${outcomeHtml(recorded.outcomes)}</span>`
        : "");
    this.showStrip(current);
    this.show("note").textContent = note;
    this.show("replay").textContent = current.replay;
    this.showHash();
    this.button("reset").disabled = !other && !this.isOwn;
  }

  private showStrip({ recording, faults }: Run): void {
    this.show("strip").innerHTML = stripSvg(this.film, recording.info.tasks, faults, this.range);
  }

  /** The hash of this run's last moment, beside the one that was found when the page was made. */
  private showHash(): void {
    const here = memoryHash(this.current.world.k.memory);
    const said =
      this.current !== this.recorded
        ? ""
        : here === this.hash
          ? ", as when this page was made"
          : `; when this page was made it was ${this.hash}`;
    const place = this.show("hash");
    place.textContent = `memory at the end: ${here}${said}`;
    place.setAttribute("data-equal", String(here === this.hash));
  }

  private change(made: Run, note: string): void {
    this.current = made;
    this.note = note;
    this.range = null;
    this.film = new Film(made);
    this.buffers = hasBuffers(made.recording);
    this.page = this.worstPage();
    this.ownOver();
    this.showRun(note);
    if (made === this.recorded) this.figures.restore();
    else this.figures.draw(made);
    this.goTo(0);
  }

  private choose(): void {
    const seed = this.control("seed").value;
    if (seed !== "" && !/^\d{1,9}$/.test(seed)) {
      this.refuse("A seed is a whole number from 0 to 999999999.");
      return;
    }
    const choice: Choice = {
      kernel: this.control("kernel").value,
      added: this.control("added").value,
      seed: seed === "" ? null : Number(seed),
    };
    const asRecorded = kernelOfChoice(choice) === this.recorded.world.kernel.name && choice.seed === null;
    try {
      const { run: made, order } = asRecorded
        ? { run: this.recorded, order: "" }
        : rerun(this.replay, choice);
      this.choice = choice;
      this.change(made, order);
    } catch (error) {
      this.refuse((error as Error).message);
    }
  }

  /** Say why a choice cannot be, and have the controls say what is shown. */
  private refuse(why: string): void {
    this.setControls(this.choice);
    this.show("note").textContent = why;
  }

  private setControls({ kernel, added, seed }: Choice): void {
    this.control("kernel").value = kernel;
    this.control("added").value = added;
    this.control("seed").value = seed === null ? "" : String(seed);
  }

  /** Have the proposals that do not apply to the chosen kernel marked, which takes a moment. */
  private markRefusals(): void {
    const kernel = this.control("kernel").value;
    if (kernel === this.marked) return;
    this.marked = kernel;
    const worker = this.asked({ scenario: this.recorded.world.name, kernel }, (refused) => {
      worker.terminate();
      if (kernel !== this.marked) return;
      for (const option of this.control("added").querySelectorAll("option") as Iterable<Control>)
        option.disabled = (refused as readonly string[]).includes(option.value);
    });
  }

  private reset(): void {
    this.choice = choiceOf(this.replay);
    this.setControls(this.choice);
    this.change(this.recorded, "");
    this.control("kernel").focus();
  }

  // ---- steps of the reader's own

  private takeOver(): void {
    this.isOwn = true;
    this.presses = [];
    this.range = null;
    this.film.cut();
    this.show("own").hidden = false;
    this.button("take").hidden = true;
    this.showOwn();
    this.root.querySelector("[data-task]:not([disabled])")?.focus();
  }

  /** Show the run that was chosen last again. */
  private leave(): void {
    this.change(this.current, this.note);
    this.button("take").focus();
  }

  private ownOver(): void {
    this.isOwn = false;
    this.lookout.stop();
    browser.clearTimeout(this.sketching);
    this.show("own").hidden = true;
    this.button("take").hidden = false;
  }

  private own(task: number, on: boolean): void {
    const { tick } = this.film;
    this.presses = [...this.presses.filter((press) => press < tick), tick];
    if (on) this.film.takeOn(task);
    else this.film.take(task);
    this.showOwn();
    const same = `[data-task="${task}"]${on ? "[data-on]" : ""}:not([disabled])`;
    const next = this.root.querySelector(same) ?? this.root.querySelector("[data-task]:not([disabled])");
    (next ?? this.button("undo")).focus();
  }

  private undo(): void {
    this.film.goTo(this.presses.pop() ?? this.film.tick);
    this.film.cut();
    this.showOwn();
  }

  private showOwn(): void {
    this.showMoment();
    const soFar = this.film.report();
    const well = soFar.outcomes.includes("OK");
    this.show("outcome").innerHTML =
      (well ? "" : `${outcomeHtml(soFar.outcomes)} `) +
      `<span class="was">${well ? "nothing wrong yet, " : ""}in your order</span>`;
    this.showStrip(soFar);
    this.show("hash").textContent = `memory now: ${memoryHash(this.film.world.k.memory)}`;
    this.lookout.from(this.film.world, this.wanted);
    // Steps that come at once are drawn at once.
    browser.clearTimeout(this.sketching);
    this.sketching = browser.setTimeout(() => this.figures.sketch(soFar), 0);
  }

  /** What is asked about: the worst that the recorded run met, or a crash. */
  private get wanted(): FaultKind {
    const met = this.recorded.outcomes;
    return SEVERITY.find((kind) => isFault(kind) && met.includes(kind)) ?? "BUG";
  }

  /** A worker that has been asked something. */
  private asked(question: Question, heard: (answer: unknown) => void): Thread {
    const worker = new browser.Worker(this.script);
    worker.onmessage = ({ data }) => heard(data);
    worker.postMessage(question);
    return worker;
  }
}

/** Fills the places for players one after the other, and lets the page breathe in between. */
function startPlayers(document: Page): void {
  const source = new browser.Blob([document.currentScript?.textContent ?? ""], { type: "text/javascript" });
  const script = browser.URL.createObjectURL(source);
  const places = [...document.querySelectorAll(".guplab-player[data-run]")];
  const next = (): void => {
    const place = places.shift();
    if (place === undefined) return;
    const { run: replay = "", hash = "" } = place.dataset;
    try {
      new Player(place, document, script, replay, hash);
    } catch (error) {
      place.textContent = `The player of ${replay} cannot be started: ${(error as Error).message}`;
    }
    browser.setTimeout(next, 0);
  };
  next();
}

if (browser.document === undefined) answerQuestions();
else startPlayers(browser.document);
