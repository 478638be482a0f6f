/**
 * The verbs that are kernel operations: each gives an order to a thread of the sandbox and lets the machine run until the
 * thread has done it, or can go no further.
 */
import type { Desk } from "../desk.js";
import { obey } from "../obey.js";
import type { Operation, OperationArgument } from "../operation.js";
import { exampleOf, OPERATIONS } from "../operations.js";
import { isFault } from "../outcomes.js";
import { isIdle, resultOf, syscall, THREADS, threadFor } from "../threads.js";
import { logLine, logOf } from "../views.js";
import { type Argument, count, oneOf, optional, type Result, result, type Verb } from "./verb.js";

/** What an order did: its last steps, and its result. */
function report(desk: Desk, from: number, id: number, operation: Operation): Result {
  const { world, tick } = desk;
  const steps = logOf(world.recording(), from + 1);
  const faults = world.faults.filter((fault) => fault.tick > from);
  const done = isIdle(world.k, id);
  const why = done
    ? resultOf(world.k, id, operation)
    : world.enabled(id)
      ? `told: step ${THREADS[id]} moves it`
      : `not done: ${world.whyNot(id)}`;
  const shown = steps.slice(-12);
  const left = steps.length - shown.length;
  const text = [
    ...(left > 0 ? [`  ... ${left} steps (log ${steps.length} shows them)`] : []),
    ...shown.map((entry) => logLine(entry)),
    `${THREADS[id]} ${operation.name}: ${why}`,
  ].join("\n");
  const { ret } = world.k.of(syscall);
  return result(
    text,
    { tick, done, result: done ? ret[id] : null, steps, faults },
    faults.filter(({ kind }) => isFault(kind)),
  );
}

/** What an argument is for, and what it is when nothing is said. */
function helpOf({ help, default: standard, words }: OperationArgument): string {
  const named = Object.entries(words ?? {}).find(([, value]) => value === standard)?.[0];
  return standard === undefined || standard < 0 ? help : `${help}; default ${named ?? standard}`;
}

function verbOf(operation: Operation): Verb {
  const args: Record<string, Argument<unknown>> = {};
  for (const argument of operation.args) {
    const { name, words } = argument;
    const help = helpOf(argument);
    args[name] =
      words === undefined ? optional(count(0), help) : optional(oneOf(name, Object.keys(words)), help);
  }
  return {
    name: operation.name,
    help: operation.help,
    details: [
      ...operation.details,
      "An order to a thread of the scenario sandbox. The thread is stepped until it has done it; disks and devices move when it waits for them, kswapd and the flusher do not. With --hold it is only told, and step moves it.",
    ],
    example: `scenario ${operation.scenario}; ${exampleOf(operation)}`,
    args,
    options: {
      by: optional(oneOf("thread", THREADS), "the thread; default the first that has nothing to do"),
      hold: optional(oneOf("answer", ["yes", "no"] as const), "yes: only tell the thread"),
    },
    run: (desk, values) => {
      const { world, tick: from } = desk;
      if (world.scenario.name !== "sandbox")
        throw new Error(
          `${operation.name} is an order, and ${world.scenario.name} takes none: say scenario sandbox`,
        );
      const said = operation.args
        .map(({ name }) => values[name])
        .filter((value) => value !== undefined)
        .map(String);
      const id =
        values.by === undefined
          ? threadFor(world.k, operation, said)
          : THREADS.indexOf(values.by as (typeof THREADS)[number]);
      desk.say([THREADS[id], operation.name, ...said].join(" "));
      if (values.hold !== "yes") obey(desk, id);
      return report(desk, from, id, operation);
    },
  };
}

/** A verb for each operation. */
export const orders: readonly Verb[] = OPERATIONS.map(verbOf);
