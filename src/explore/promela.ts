/**
 * The machine as a Promela model, for Spin: a second opinion on the search, and a measure of its speed.
 *
 * Written down is what the search has learned of the steps (learned.ts): each leaf of a decision tree is one transition, its reads the guard and
 * its writes the effect, in one atomic sequence. A task is a process whose labels are the values of its own component, every other component that
 * varies is a variable of as many bits as it needs, and all begin at 0. So Spin, without partial order reduction and told to keep variables
 * that no step reads, stores exactly as many states as the search found. A step that changes nothing is left out: Spin refuses it. Given to spin with -DFAULT_<kind>, the model fails an assertion where that fault happens in a step.
 *
 * What the model does not have is what is asked of states (LOST, STALE, deadlock with daemons that could still move), and the names of
 * values: a comment says which cell each variable is.
 */
import { type Engine, MOVED } from "./engine.js";
import type { Transition } from "./learned.js";

export interface PromelaOptions {
  /** A line for the head: which scenario on which kernel. */
  readonly title: string;
  readonly states: number;
  readonly taskNames: readonly string[];
  /** Name of a component that is no task's own. */
  readonly nameOf: (component: number) => string;
}

/** A task whose place others look at has it in a variable, too. */
const placeVariable = (task: number): string => `place${task}`;
const variable = (component: number): string => `c${component}`;

interface Step {
  readonly from: number;
  readonly to: number;
  readonly guard: readonly (readonly [component: number, number: number])[];
  readonly writes: readonly (readonly [component: number, number: number])[];
  readonly faults: readonly string[];
}

/** A transition of a task, its own component apart from the rest. */
function stepOf({ reads, writes, answer }: Transition, task: number, engine: Engine): Step {
  const own = (pairs: Transition["reads"]): number | undefined =>
    pairs.find(([component]) => component === task)?.[1];
  const from = own(reads) ?? 0;
  for (const [component] of writes)
    if (component !== task && component < engine.tasks)
      throw new Error("toPromela: a step writes what is another task's own");
  return {
    from,
    to: own(writes) ?? from,
    guard: reads.filter(([component]) => component !== task),
    writes: writes.filter(([component]) => component !== task),
    faults: engine.faultsOf(answer),
  };
}

/**
 * The Promela text of what an engine has learned.
 *
 * @param engine one whose search is complete: every step of every state has a leaf
 * @throws Error with one sentence when a step was not learned
 */
export function toPromela(engine: Engine, options: PromelaOptions): string {
  const { tasks, packing } = engine;
  const steps = Array.from({ length: tasks }, (_, task) =>
    engine
      .transitions(task)
      .filter(({ answer }) => answer >= MOVED)
      .map((transition) => stepOf(transition, task, engine))
      // Spin refuses a step that leads nowhere else.
      .filter(({ from, to, writes, faults }) => from !== to || writes.length > 0 || faults.length > 0),
  );
  const looked = new Set(steps.flat().flatMap(({ guard }) => guard.map(([component]) => component)));
  const kinds = [...new Set(steps.flat().flatMap(({ faults }) => faults))].sort();
  const reader = (component: number): string =>
    component < tasks ? placeVariable(component) : variable(component);
  const shared = Array.from({ length: engine.components - tasks }, (_, at) => tasks + at).filter(
    (component) => packing.counts[component] > 1,
  );
  const bits = (component: number): number => 32 - Math.clz32(packing.counts[component] - 1);
  const places = Array.from({ length: tasks }, (_, task) => task).filter((task) => looked.has(task));

  const optionOf = ({ to, guard, writes, faults }: Step, task: number): string => {
    const test = guard.map(([component, number]) => `${reader(component)} == ${number}`).join(" && ");
    const acts = [
      // What never varies has no variable.
      ...writes
        .filter(([component]) => packing.counts[component] > 1)
        .map(([component, number]) => `${variable(component)} = ${number}`),
      ...(places.includes(task) ? [`${placeVariable(task)} = ${to}`] : []),
      ...faults.map((kind) => kind),
    ];
    const guarded = test === "" ? "true" : test;
    const body = acts.length === 0 ? guarded : `atomic { ${[guarded, ...acts].join("; ")} }`;
    return `\t:: ${body}; goto end_${to}`;
  };
  const proctype = (task: number): string => {
    const from = new Map<number, Step[]>();
    for (const step of steps[task]) from.set(step.from, [...(from.get(step.from) ?? []), step]);
    const labels = Array.from({ length: packing.counts[task] }, (_, place) => {
      const options = (from.get(place) ?? []).map((step) => optionOf(step, task));
      // Where a task never goes on, it waits for ever.
      const body = options.length > 0 ? ["\tif", ...options, "\tfi"] : ["\tfalse"];
      return [`end_${place}:`, ...body].join("\n");
    });
    return [`active proctype ${options.taskNames[task]}() {`, ...labels, "}"].join("\n");
  };
  return `${[
    `/* ${options.title}: ${options.states} states.`,
    " * Written by guplab: each option is a step as the search has learned it.",
    " *   spin -a -o1 -o2 FILE; gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c; ./pan -w24 -m1000000",
    " * -o1 and -o2 keep variables that no step reads; -DNOREDUCE visits every state: there are then as many as above.",
    " */",
    ...kinds.map((kind) =>
      [
        `#ifdef FAULT_${kind}`,
        `#define ${kind} assert(false)`,
        "#else",
        `#define ${kind} skip`,
        "#endif",
      ].join("\n"),
    ),
    ...shared.map(
      (component) =>
        `unsigned ${variable(component)} : ${bits(component)}; /* ${options.nameOf(component)} */`,
    ),
    ...places.map(
      (task) =>
        `unsigned ${placeVariable(task)} : ${Math.max(1, bits(task))}; /* where ${options.taskNames[task]} is */`,
    ),
    "",
    ...Array.from({ length: tasks }, (_, task) => proctype(task)),
  ].join("\n")}\n`;
}
