/** Verbs that move a run on and back. */
import type { Desk } from "../desk.js";
import { eventNames, MOMENTS, watchFor } from "../events.js";
import { isFault } from "../outcomes.js";
import { faultLine } from "../run.js";
import { columns } from "../text.js";
import { made, taskOrCount, where } from "./kinds.js";
import { count, none, optional, required, result, verb, word } from "./verb.js";

/** The number of a task by its name or letter. @throws Error that lists them */
function taskNumber(desk: Desk, text: string): number {
  const all = desk.world.machine.tasks;
  const task = all.findIndex(({ name, letter }) => name === text || letter === text);
  if (task < 0)
    throw new Error(`there is no task "${text}"; here are ${all.map(({ name }) => name).join(", ")}`);
  return task;
}

export const step = verb({
  name: "step",
  help: "Make one step or N: of a task, or of whom the seed chooses",
  details: [
    "step makes one step, step 5 five, step kswapd one of kswapd, step kswapd 3 three. A task may be named by its letter. After going back, step without a task makes the same steps again; with a task it may lead somewhere else.",
  ],
  example: "step reader 3",
  args: {
    task: optional(taskOrCount, "a task, by name or letter; or a number of steps"),
    n: optional(count(1), "how many steps; default 1"),
  },
  run: (desk, { task, n }) => {
    const from = desk.tick;
    if (task === undefined || /^\d+$/.test(task)) {
      if (task !== undefined && n !== undefined)
        throw new Error(`"${task}" is no task: write step TASK N, or step N`);
      const steps = task === undefined ? 1 : count(1).read(task, desk);
      if (desk.forward(steps) === 0)
        throw new Error(`the run is over at tick ${from}: goto, back or scenario go elsewhere`);
    } else {
      const number = taskNumber(desk, task);
      for (let each = 0; each < (n ?? 1); each++) {
        if (!desk.world.enabled(number)) {
          const why = desk.world.whyNot(number);
          if (each === 0) throw new Error(why);
          const stopped = made(desk, from, 20);
          return { ...stopped, text: `${stopped.text}\nAfter ${each} steps: ${why}.` };
        }
        desk.step(number);
      }
    }
    return made(desk, from, 20);
  },
});

const MOST_STEPS = 100_000;

export const run = verb({
  name: "run",
  help: "Let the seed choose until the run is over, or for N steps",
  details: [
    `At most ${MOST_STEPS} steps at a time. A run is over when every process has finished, died or hangs, and the daemons have nothing left to write.`,
  ],
  example: "run",
  args: { n: optional(count(1), "how many steps") },
  run: (desk, { n = MOST_STEPS }) => {
    const from = desk.tick;
    desk.forward(n);
    return made(desk, from, 4);
  },
});

export const until = verb({
  name: "until",
  help: "Run until something has happened",
  details: [
    "EVENT is one of: a tick, such as 120; a fault (BUG, WARN, HANG, LOST, ... or fault for any); a moment of a page; the name of a task, of a path or of a step, once that task, path or step has run; or two names with a colon, such as kswapd:trylock_page.",
    `Moments of a page:\n${columns(MOMENTS.map((moment) => [`  ${moment.name}`, moment.help]))}`,
    "The run stops after the step in which it happened: back 1 is the moment before.",
  ],
  example: "until buffers-gone",
  args: {
    event: required(
      word((desk) => eventNames(desk.world)),
      "what to wait for",
    ),
  },
  run: (desk, { event }) => {
    const from = desk.tick;
    const watch = watchFor(desk.world, event);
    let happened = false;
    desk.forward(MOST_STEPS, () => {
      happened = watch.happened();
      return happened;
    });
    watch.end();
    const done = made(desk, from, 4);
    const text = happened
      ? `${done.text}\n${event}: tick ${desk.tick}`
      : `${done.text}\n${event} did not happen from tick ${from} on; goto 0 begins again.`;
    return { ...done, text: text.trimStart(), json: { event, happened, ...(done.json as object) } };
  },
});

export const back = verb({
  name: "back",
  help: "Take back one step or N, or go to the moment before an event",
  details: [
    "back takes back one step, back 20 twenty. back buffers-gone goes to the moment before the buffers last went: any event of until will do.",
    "What was taken back is not forgotten: run, step and goto make the same steps again, until you make another.",
  ],
  example: "run; back buffers-gone",
  args: {
    "n|event": optional(
      word((desk) => eventNames(desk.world)),
      "how many steps, default 1; or an event (help until)",
    ),
  },
  run: (desk, { "n|event": how = "1" }) => {
    const { tick } = desk;
    if (/^\d+$/.test(how)) {
      const steps = count(1).read(how, desk);
      if (steps > tick) throw new Error(`there are ${tick} steps to take back, not ${steps}`);
      desk.goTo(tick - steps);
    } else {
      const last = desk.lastTime(how);
      if (last < 0)
        throw new Error(`${how} has not happened in the ${tick} steps up to here; until ${how} looks ahead`);
      desk.goTo(last - 1);
    }
    return where(desk);
  },
});

export const goto = verb({
  name: "goto",
  help: "Go to a tick of the past, or forward again",
  example: "run; goto 100",
  args: { tick: required(count(0), "the tick") },
  run: (desk, { tick }) => {
    desk.goTo(tick);
    return where(desk);
  },
});

export const replay = verb({
  name: "replay",
  help: "Print the line that repeats this run anywhere, or go where such a line leads",
  details: [
    "A replay line reads scenario@kernel:schedule. The schedule is letters of tasks and numbers of steps: r12k3 lets the reader make 12 steps, then kswapd 3.",
  ],
  example: "replay kara-2018@v4.20:r14f14",
  args: { line: optional(word(none), "a replay line") },
  run: (desk, { line }) => {
    if (line === undefined) return result(desk.world.replay, { replay: desk.world.replay });
    if (!line.includes("@"))
      throw new Error(
        `"${line}" is no replay line: it reads scenario@kernel:schedule, for example kara-2018@v4.20:r14f14`,
      );
    desk.start(line);
    const { text, json } = where(desk);
    const { faults } = desk.world;
    return result(
      [text, ...faults.map(faultLine)].join("\n"),
      { ...(json as object), faults },
      faults.filter(({ kind }) => isFault(kind)),
    );
  },
});
