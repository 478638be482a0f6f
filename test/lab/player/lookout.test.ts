import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Place, Thread } from "../../../src/lab/player/browser.js";
import { Lookout, type OutlookQuestion } from "../../../src/lab/player/lookout.js";
import type { Outlook } from "../../../src/lab/player/outlook.js";
import type { World } from "../../../src/lab/world.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const SEARCHING: Outlook = {
  wanted: "BUG",
  happened: false,
  ahead: [],
  complete: false,
  walks: 64,
  states: 1000,
  searching: true,
};
const SAFE: Outlook = { ...SEARCHING, complete: true, searching: false };
const CRASH: Outlook = { ...SEARCHING, ahead: [{ kind: "BUG", steps: 5, shortest: false }] };

interface Asked {
  readonly question: OutlookQuestion;
  readonly thread: Thread & { ended: boolean };
  answer(said: Outlook): void;
}

/** A lookout, the place where it speaks, and what it asks. */
function lookout() {
  const asked: Asked[] = [];
  const place = { textContent: "", setAttribute: () => {} } as unknown as Place;
  const out = new Lookout(place, (question, answer) => {
    const thread: unknown = {
      ended: false,
      terminate: () => Object.assign(thread as object, { ended: true }),
    };
    asked.push({ question, thread: thread as Asked["thread"], answer });
    return thread as Asked["thread"];
  });
  /** The reader has made these steps, and pauses. */
  const step = (...schedule: number[]): void => {
    out.from({ takesOrders: false, schedule, replay: schedule.join() } as unknown as World, "BUG");
    vi.runAllTimers();
  };
  return { out, asked, place, step };
}

test("a search that has found nothing goes on while the reader steps on, and says from where it looks", () => {
  const { asked, place, step } = lookout();
  step(0, 1);
  asked[0].answer(SEARCHING);
  step(0, 1, 2);
  expect(asked.map(({ question }) => question.replay)).toEqual(["0,1"]);
  expect(place.textContent).toContain("in 64 random ways from step 2");
  asked[0].answer(SAFE);
  expect(asked[0].thread.ended).toBe(true);
  expect(place.textContent).toBe(
    "No way to a crash from here: every interleaving from step 2 on seen, 1 000 states.",
  );
  // All that comes after a moment from which nothing goes wrong needs no search; another way does.
  step(0, 1, 2, 3);
  step(0, 1);
  expect(asked.length).toBe(1);
  step(0, 2);
  expect(asked.map(({ question }) => question.replay)).toEqual(["0,1", "0,2"]);
});

test("what an earlier search finds may not be possible any more: it is asked again from here", () => {
  const { asked, step } = lookout();
  step(0);
  asked[0].answer(SEARCHING);
  step(0, 1);
  asked[0].answer(CRASH);
  vi.runAllTimers();
  expect(asked.map(({ question }) => question.replay)).toEqual(["0", "0,1"]);
  expect(asked[0].thread.ended).toBe(true);
});

test("so it is where an earlier search ends at its bound", () => {
  const { asked, place, step } = lookout();
  step(0);
  asked[0].answer(SEARCHING);
  step(0, 1);
  asked[0].answer({ ...SEARCHING, searching: false });
  vi.runAllTimers();
  expect(asked.map(({ question }) => question.replay)).toEqual(["0", "0,1"]);
  asked[1].answer({ ...SEARCHING, searching: false });
  expect(place.textContent).toMatch(
    /^Not known: no crash in 64 random ways from here, nor in the first 1 000/,
  );
});

test("a step taken back, or one after a fault was found, gives the search up; so does the reader who leaves", () => {
  const { out, asked, place, step } = lookout();
  step(0, 1);
  asked[0].answer(SEARCHING);
  step(0);
  asked[1].answer(CRASH);
  expect(place.textContent).toBe("A crash can still happen: in 5 steps or fewer.");
  step(0, 2);
  out.stop();
  expect(asked.map(({ question, thread }) => [question.replay, thread.ended])).toEqual([
    ["0,1", true],
    ["0", true],
    ["0,2", true],
  ]);
  asked[2].answer(SAFE);
  expect(place.textContent).toBe("Looking ahead …");
});

test("what was found is of one kernel: after another run was chosen it is asked again", () => {
  const { out, asked, step } = lookout();
  step(0);
  asked[0].answer(SAFE);
  out.stop();
  step(0, 1);
  expect(asked.map(({ question }) => question.replay)).toEqual(["0", "0,1"]);
});

test("a search that the browser ends is said to be", () => {
  const { asked, place, step } = lookout();
  step(0);
  asked[0].thread.onerror?.({});
  expect(place.textContent).toBe("Not known: the browser has ended the search, for want of memory perhaps.");
});
