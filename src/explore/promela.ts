/**
 * The machine as a Promela model, for Spin: a second opinion on the search, and a measure of its speed.
 *
 * Written down is what the search has learned of the steps (learned.ts): each leaf of a decision tree is an option, its reads the guard and
 * its writes the effect. A task is a process whose labels are the values of its own component, every other component that varies is a
 * variable of as many bits as it needs, and all begin at 0. So Spin, without partial order reduction and told to keep variables that no
 * step reads, stores exactly as many states as the search found. A step that changes nothing is left out: Spin refuses it. Given to spin
 * with -DFAULT_<kind>, the model fails an assertion where that fault happens in a step.
 *
 * Steps from one place to another are options of one deterministic sequence, those with the same effect one option: Spin makes a case of a
 * switch of each sequence, and a C compiler that is to optimize takes for ever over a switch with as many cases as there are leaves.
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

/** Options of a sequence: Spin takes no longer ones than this with their effects. */
const SEQUENCE = 64;

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

function grouped<K, V>(values: readonly V[], keyOf: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) {
    const known = groups.get(keyOf(value));
    if (known) known.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
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

  const guardOf = ({ guard }: Step): string =>
    guard.length === 0
      ? "true"
      : guard.map(([component, number]) => `${reader(component)} == ${number}`).join(" && ");
  const effectOf = ({ to, writes, faults }: Step, task: number): string =>
    [
      // What never varies has no variable.
      ...writes
        .filter(([component]) => packing.counts[component] > 1)
        .map(([component, number]) => `${variable(component)} = ${number}`),
      ...(places.includes(task) ? [`${placeVariable(task)} = ${to}`] : []),
      ...faults,
    ].join("; ");
  /** The options of the steps from one place to another. */
  const optionsOf = (to: number, from: readonly Step[], task: number): string[] => {
    const alike = grouped(from, (step) => effectOf(step, task));
    const anyOf = (each: readonly Step[]): string => each.map((step) => `(${guardOf(step)})`).join(" || ");
    const still = alike.get("");
    alike.delete("");
    const options = [...alike].map(([effect, each]) => `\t\t:: ${anyOf(each)} -> ${effect}`);
    const sequences: string[] = still === undefined ? [] : [`\t:: ${anyOf(still)}; goto end_${to}`];
    for (let at = 0; at < options.length; at += SEQUENCE)
      sequences.push(
        ["\t:: d_step { if", ...options.slice(at, at + SEQUENCE), `\t\tfi }; goto end_${to}`].join("\n"),
      );
    return sequences;
  };
  const proctype = (task: number): string => {
    const from = grouped(steps[task], (step) => step.from);
    const labels = Array.from({ length: packing.counts[task] }, (_, place) => {
      const ways = grouped(from.get(place) ?? [], (step) => step.to);
      const options = [...ways].flatMap(([to, each]) => optionsOf(to, each, task));
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
