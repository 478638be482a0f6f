/** A recording of any size in which everything that figures show goes on all the time: for benchmarks and for zooming. */
import { Recorder, type Recording } from "../../src/trace/recording.js";
import { BUFFER_BIT, pg, RECLAIM, WORD, type Word } from "../../src/trace/words.js";

const TASKS = ["app", "kswapd", "flusher", "disk", "gup", "nic"];
const ENDS = [RECLAIM.reclaimed, RECLAIM.activated, RECLAIM.kept];

/** At least so many events of so many pages; the same ones each time. */
export function large(pages: number, events: number): Recording {
  const recorder = new Recorder();
  const flags = new Int32Array(pages);
  const pins = new Int32Array(pages);
  let state = 12345;
  /** A number below `most`, by a linear congruential generator whose low bits are left out. */
  const any = (most: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % most;
  };
  for (let tick = 1; recorder.length < events; tick++) {
    const page = (any(pages) + Math.floor(tick / 7)) % pages;
    const [task, step] = [any(TASKS.length), any(40)];
    const write = (word: Word, value: number): void => recorder.add(tick, task, step, page, word, value);
    const pin = (change: 1 | -1): void => {
      pins[page] += change;
      write(WORD.pins, pins[page]);
      write(WORD.refcount, 2 + pins[page]);
    };
    write(WORD.step, 1);
    const what = any(9);
    if (what < 2) {
      flags[page] ^= pg(what === 0 ? "dirty" : "writeback");
      write(WORD.flags, flags[page]);
    } else if (what === 2) pin(1);
    else if (what === 3 && pins[page] > 0) pin(-1);
    else if (what === 4) write(WORD.buffers, any(20) > 0 ? BUFFER_BIT.attached : 0);
    else if (what === 5) write(WORD.pte, any(8));
    else if (what === 6) write(WORD.device, any(20) > 0 ? 0 : 1);
    else if (what === 7) {
      write(WORD.reclaim, RECLAIM.scanned);
      if (any(4) > 0) write(WORD.reclaim, RECLAIM.unmapped);
      if (any(3) > 0) write(WORD.reclaim, RECLAIM.stripped);
      write(WORD.reclaim, pins[page] > 0 ? RECLAIM.backed_out : ENDS[any(3)]);
    } else if (what === 8) write(WORD.wait, any(2));
  }
  return recorder.finish({
    source: "simulated",
    title: `${pages} pages, ${events} events`,
    kernel: "v4.20",
    replay: "made up: no line replays it",
    timeUnit: "tick",
    tasks: TASKS.map((name) => ({ name, letter: name[0], daemon: false })),
    steps: Array.from({ length: 40 }, (_, i) => ({ path: "shrink_page_list", step: `step_${i}` })),
    faults: [],
  });
}
