/**
 * The sandbox as a program sees it: every operation of operations.ts is a method, with its arguments by position or by name.
 *
 * One call is one order: a thread is told, and goes on until it has done it or waits for a daemon, as at the prompt. What the
 * methods are is read from the table of operations, their types too.
 */
import { DISPLAY } from "../plot/index.js";
import { obey } from "./obey.js";
import type { Operation } from "./operation.js";
import type { OperationName, ValuesOf } from "./operations.js";
import { OPERATIONS } from "./operations.js";
import type { KernelName } from "./own_patches.js";
import { type Plots, type Run, reportRun } from "./run.js";
import type { SandboxDriver } from "./sandbox.js";
import type { Values } from "./scenario.js";
import { Session } from "./session.js";
import { isIdle, resultOf, syscall, THREADS, threadFor } from "./threads.js";
import { logLine, logOf, type PageView, pageView } from "./views.js";
import type { World } from "./world.js";

/** What came of an order. */
export interface OrderResult {
  /** Whether the thread has come back; false when it waits for a daemon, or was only told. */
  readonly done: boolean;
  /** What the call gave: 0 or more, or a negative error number; null when it is not done. */
  readonly result: number | null;
  /** The steps that were made, as lines. */
  readonly steps: readonly string[];
  /** The faults that were met, as sentences. */
  readonly faults: readonly string[];
  toString(): string;
}

/** An operation as a method: its arguments in their order, or by name; then who does it, and whether he is only told. */
type Method<N extends OperationName> = (
  ...said: readonly (number | string)[] | readonly [ValuesOf<N> & OrderOptions]
) => OrderResult;

export interface OrderOptions {
  /** The thread: A, B, C, or D for the child; default the first that has nothing to do. */
  readonly by?: (typeof THREADS)[number];
  /** Only tell the thread; `step` moves it. Default false. */
  readonly hold?: boolean;
}

/** Every operation of the sandbox as a method. */
type Orders = { readonly [N in OperationName]: Method<N> };

export interface BoxOptions {
  readonly kernel?: KernelName;
  /** What the file lies on: "ext4", "ext4-delalloc", "xfs", "btrfs", "ext4-dax" ...; default "ext4". */
  readonly fs?: string;
  /** Pages of the file, 1 to 64; default 4. */
  readonly pages?: number;
  /** How it is mapped; default "shared". */
  readonly map?: "shared" | "private";
  /** Pages of a swap area on a disk of its own; default 0, none. */
  readonly swap?: number;
  /** A driver or a disk besides; default "none". */
  readonly driver?: SandboxDriver;
}

/** What a sandbox has beside its operations. */
interface Controls {
  readonly world: World;
  /** The line that replays all that was done. */
  readonly replay: string;
  readonly outcomes: Run["outcomes"];
  /** Its figures: pins(), dirty(), life(pfn) ... */
  readonly plot: Plots;
  /** Let a task make so many steps, or as many as it can: "disk", "flusher", "kswapd", "card", "A" ... Gives how many it made. */
  step(task: string, steps?: number): number;
  /** Go back so many steps. */
  back(steps: number): void;
  /** Everything about a page: references and who holds them, flags, PTE, buffers, tags. */
  page(pfn: number): PageView;
  /** What an operation does and what its arguments are. */
  help(operation?: OperationName): string;
  toString(): string;
}

export type Box = Controls & Orders;

const helpOf = ({ name, help, details, args, example }: Operation): string =>
  [
    `${name}(${args.map((arg) => arg.name).join(", ")}): ${help}`,
    ...details.map((line) => `  ${line}`),
    ...args.map(
      (arg) => `  ${arg.name}: ${arg.help}${arg.words ? ` (${Object.keys(arg.words).join(", ")})` : ""}`,
    ),
    `  at the prompt: ${example}`,
  ].join("\n");

/** The words of an order, from what a method was called with. */
function wordsOf(
  { name, args }: Operation,
  said: readonly unknown[],
): { readonly words: readonly string[]; readonly options: OrderOptions } {
  const [first] = said;
  if (typeof first !== "object" || first === null) return { words: said.map(String), options: {} };
  const { by, hold, ...values } = first as OrderOptions & Readonly<Record<string, unknown>>;
  for (const key of Object.keys(values))
    if (args.every((arg) => arg.name !== key))
      throw new Error(
        `${name} has no argument ${key}; it has ${args.map((arg) => arg.name).join(", ") || "none"}`,
      );
  const last = args.findLastIndex((arg) => values[arg.name] !== undefined);
  const words = args.slice(0, last + 1).map((arg) => {
    const value = values[arg.name] ?? arg.default;
    const named = Object.entries(arg.words ?? {}).find(([, number]) => number === value)?.[0];
    if (value === undefined || Number(value) < 0)
      throw new Error(`${name} needs ${arg.name} before ${args[last].name}`);
    return String(named ?? value);
  });
  return { words, options: { by, hold } };
}

/**
 * A sandbox to drive from a notebook or a program.
 *
 * @throws Error with one sentence when an option does not fit; so does each method, and nothing has changed then
 * @example
 * const box = sandboxOf({ fs: "ext4", pages: 1 });
 * box.gup(0);
 * box.writeback();
 * box.step("disk");
 * box.reclaim(); box.reclaim(); box.reclaim();
 * box.dma();
 * box.unpin();
 * box.fsync({ inode: 1 });
 * box.outcomes; // ["BUG", "WARN"]
 */
export function sandboxOf({ kernel, ...parameters }: BoxOptions = {}): Box {
  const session = new Session("sandbox", { kernel, parameters: parameters as Values });
  const task = (name: string): number => {
    const { tasks } = session.world.machine;
    const at = tasks.findIndex((each) => each.name === name);
    if (at < 0)
      throw new Error(`there is no task "${name}"; known: ${tasks.map((each) => each.name).join(", ")}`);
    return at;
  };
  const method =
    (operation: Operation) =>
    (...said: readonly unknown[]): OrderResult => {
      const { world } = session;
      const { words, options } = wordsOf(operation, said);
      const id =
        options.by === undefined ? threadFor(world.k, operation, words) : THREADS.indexOf(options.by);
      const from = session.tick;
      session.say([THREADS[id] ?? options.by, operation.name, ...words].join(" "));
      if (options.hold !== true) obey(session, id);
      const done = isIdle(world.k, id);
      const steps = logOf(world.recording(), from + 1).map((entry) => logLine(entry));
      const faults = world.faults
        .filter((fault) => fault.tick > from)
        .map(({ kind, message }) => `${kind}: ${message}`);
      const what = done
        ? resultOf(world.k, id, operation)
        : `not done: ${world.enabled(id) ? "it was only told" : world.whyNot(id)}`;
      const text = [...steps.slice(-12), ...faults, `${THREADS[id]} ${operation.name}: ${what}`].join("\n");
      const result = {
        done,
        result: done ? world.k.of(syscall).ret[id] : null,
        steps,
        faults,
        toString: () => text,
      };
      return Object.assign(result, { [DISPLAY]: () => ({ "text/plain": text }) });
    };
  const report = (): Run => reportRun(session.world, true);
  const controls: Controls = {
    world: session.world,
    get replay() {
      return session.world.replay;
    },
    get outcomes() {
      return report().outcomes;
    },
    get plot() {
      return report().plot;
    },
    step: (name, steps = Number.POSITIVE_INFINITY) => {
      const mover = task(name);
      let made = 0;
      for (; made < steps && made < LONGEST && session.world.enabled(mover); made++) {
        session.step(mover);
        if (steps === Number.POSITIVE_INFINITY && session.world.machine.paused(mover)) {
          made++;
          break;
        }
      }
      return made;
    },
    back: (steps) => session.back(steps),
    page: (pfn) => pageView(session.world, pfn),
    help: (name) =>
      OPERATIONS.filter((each) => name === undefined || each.name === name)
        .map((each) => (name === undefined ? `${each.name}: ${each.help}` : helpOf(each)))
        .join("\n"),
    toString: () => report().toString(),
  };
  const orders = Object.fromEntries(OPERATIONS.map((operation) => [operation.name, method(operation)]));
  return Object.defineProperties(
    Object.assign(orders, { [DISPLAY]: () => ({ "text/plain": String(report()) }) }),
    {
      ...Object.getOwnPropertyDescriptors(controls),
    },
  ) as unknown as Box;
}

/** Steps after which `step` without a number comes back, whatever the task does. */
const LONGEST = 100_000;
