/**
 * A simulated page's life beside a recorded one: the kernel functions that each went through, in order, aligned.
 *
 * The recording has probes on some fifty functions; only calls of functions that such a probe exists for are compared.
 * Names are v4.20's (equivalentStep translates the recorded kernel's).
 */
import { equivalentStep } from "../trace/ftrace.js";
import { pageHistory } from "../trace/history.js";
import type { Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { applySchedule, open, parseReplay } from "./world.js";

/** A call of a kernel function on a page, and what the page's words were when it began. */
export interface Call {
  readonly name: string;
  readonly time: number;
  readonly task: string;
  /** References, or -1 where the recording does not say. */
  readonly refcount: number;
  readonly mapcount: number;
  readonly pins: number;
  readonly buffers: boolean;
}

/** A row of the comparison: a call on both sides, or on one. */
export interface Beside {
  readonly name: string;
  readonly simulated: Call | null;
  readonly real: Call | null;
}

/**
 * The calls of kernel functions on a page during a simulated run, in order, with the page's words before each.
 *
 * @param replay a replay line
 * @param names only functions of these names
 */
export function simulatedCalls(replay: string, pfn: number, names: ReadonlySet<string>): Call[] {
  const { scenario, kernel, schedule } = parseReplay(replay);
  const world = open(scenario, { kernel });
  applySchedule(world, schedule);
  const { code, tasks } = world.machine;
  const events = world.recording();
  const calls: Call[] = [];
  const stacks = tasks.map((): readonly string[] => []);
  const known: Record<number, number> = {};
  let last = -1;
  for (let i = 0; i < events.length; i++) {
    const task = events.task[i];
    const at = events.step[i];
    const { stack, step } = code[at];
    if (events.word[i] === WORD.step) last = -1;
    if (events.pfn[i] !== pfn) continue;
    if (last !== at) {
      last = at;
      const before = stacks[task];
      let same = 0;
      while (same < before.length && before[same] === stack[same]) same++;
      stacks[task] = stack;
      const entered = new Set([...stack.slice(same), step]);
      for (const name of entered) {
        if (!names.has(name)) continue;
        calls.push({
          name,
          time: events.time[i],
          task: tasks[task].name,
          refcount: known[WORD.refcount] ?? -1,
          mapcount: known[WORD.mapcount] ?? -1,
          pins: known[WORD.pins] ?? -1,
          buffers: ((known[WORD.buffers] ?? 0) & 1) !== 0,
        });
      }
    }
    known[events.word[i]] = events.value[i];
  }
  return calls;
}

/**
 * The same of a recorded page, between two moments.
 *
 * @param from seconds; @param to seconds
 */
export function realCalls(recording: Recording, pfn: number, from: number, to: number): Call[] {
  const calls: Call[] = [];
  for (const { step, time, task, words } of pageHistory(recording, pfn)) {
    const name = equivalentStep(step);
    // A return probe tells of a call that its entry probe has told of.
    const entry = !step.endsWith("_ret") || step === "follow_page_pte_ret";
    if (name === undefined || !entry || time < from || time > to) continue;
    calls.push({
      name,
      time,
      task,
      refcount: words.refcount ?? -1,
      mapcount: words.mapcount ?? -1,
      pins: words.pins ?? -1,
      buffers: ((words.buffers ?? 0) & 1) !== 0,
    });
  }
  return calls;
}

/** Align two lives so that as many calls as possible stand beside one of the same name (longest common subsequence). */
export function beside(simulated: readonly Call[], real: readonly Call[]): Beside[] {
  const common = Array.from({ length: simulated.length + 1 }, () => new Uint16Array(real.length + 1));
  for (let s = simulated.length - 1; s >= 0; s--) {
    for (let r = real.length - 1; r >= 0; r--) {
      common[s][r] =
        simulated[s].name === real[r].name
          ? common[s + 1][r + 1] + 1
          : Math.max(common[s + 1][r], common[s][r + 1]);
    }
  }
  const rows: Beside[] = [];
  let s = 0;
  let r = 0;
  while (s < simulated.length || r < real.length) {
    const left = simulated[s];
    const right = real[r];
    if (left && right && left.name === right.name) {
      rows.push({ name: left.name, simulated: left, real: right });
      s++;
      r++;
    } else if (right && (!left || common[s][r + 1] > common[s + 1][r])) {
      rows.push({ name: right.name, simulated: null, real: right });
      r++;
    } else {
      rows.push({ name: left.name, simulated: left, real: null });
      s++;
    }
  }
  return rows;
}

/** The comparison as text: one row a call; "=" where both have it, "<" and ">" where only one side has. */
export function besideTable(rows: readonly Beside[], unit: string): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const taskWidth = Math.max(
    ...rows.flatMap(({ simulated, real }) => [simulated, real].map((call) => call?.task.length ?? 0)),
  );
  const side = (call: Call | null, time: string): string =>
    call === null
      ? " ".repeat(time.length + taskWidth + 16)
      : `${time} ${call.task.padEnd(taskWidth)} ${String(call.refcount).padStart(5)} ${call.buffers ? "buffers" : "      -"} `;
  const head = (what: string, time: string): string => `${time} ${what.padEnd(taskWidth)}  refs         `;
  return [
    `${head("simulated", "tick")} ${" ".repeat(width + 3)}${head("recorded", unit.padStart(8))}`.trimEnd(),
    ...rows.map(({ name, simulated, real }) => {
      const mark = simulated && real ? "=" : simulated ? "<" : ">";
      const left = side(simulated, (simulated?.time ?? 0).toFixed(0).padStart(4));
      return `${left}${mark} ${name.padEnd(width)} ${side(real, (real?.time ?? 0).toFixed(4).padStart(8))}`.trimEnd();
    }),
  ].join("\n");
}
