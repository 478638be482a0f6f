/**
 * Runs drawn from one number: which kernel, which scenario, which machine, who does what when. A run that goes wrong names its number and
 * its replay line.
 *
 * The workloads run with parameters and schedules that are drawn; in the sandbox the orders are drawn as well, so that every
 * operation that a person can give meets every other one.
 */
import { MM_GONE, mm_struct } from "../../src/kernel/mm/mmap.js";
import { PagePrivate } from "../../src/kernel/mm/page.js";
import type { OperationArgument } from "../../src/lab/operation.js";
import { OPERATIONS } from "../../src/lab/operations.js";
import { sandbox } from "../../src/lab/sandbox.js";
import type { Parameter, Value } from "../../src/lab/scenario.js";
import { scenarios } from "../../src/lab/scenarios.js";
import { isIdle, THREADS } from "../../src/lab/threads.js";
import { open, type World } from "../../src/lab/world.js";
import { Random } from "../../src/machine/random.js";
import { kernels } from "../../src/patches/kernels.js";
import { Invariants } from "./invariants.js";

/** Numbers of a machine are drawn from the lowest ones: races need few pages, and small machines show them sooner. */
const SMALL = 4;

/** The sandbox, which has no story; and those whose drivers break the count of references on purpose. */
const UNTOLD: readonly string[] = [sandbox.name, "misuse", "counting"];

/** How often somebody says something to a sandbox: once in so many steps. */
const ORDER_EVERY = 12;

/** Steps after which another machine has its turn, at the latest; a run in so many goes on for ten times as long. */
const LONGEST = 2000;
const LONGER = 10;
const LONG_EVERY = 8;

/** How often a run asks whether anything is left to happen. */
const ASK_EVERY = 250;

const oneOf = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)];

/** How often a kernel is none that was released: one in so many, and one in so many has a patch of a later one besides. */
const BETWEEN = 4;
const STABLE = 8;

/** What stable kernels took out of its turn, and what it needs of them. */
const BACKPORTS = [
  { patch: "ext4-page-without-buffers", needs: null },
  { patch: "keep-private-of-pinned", needs: "track-foll-pin" },
] as const;

/** A kernel with a patch that it did not have when it was released. */
function stableKernel(random: Random): string {
  const { patch, needs } = oneOf(random, BACKPORTS);
  const takes = kernels.filter(({ patches }) => {
    const has = (wanted: string) => patches.some(({ name }) => name === wanted);
    return !has(patch) && (needs === null || has(needs));
  });
  return `${oneOf(random, takes).name}+${patch}`;
}

/** A kernel of the list, a stable one, or one on the way from an older one to it, as a bisection puts them together. */
function drawnKernel(random: Random): string {
  if (random.below(STABLE) === 0) return stableKernel(random);
  const { name, patches } = oneOf(random, kernels);
  const older = kernels.filter(
    (each) => each.name !== name && each.patches.every((had) => patches.includes(had)),
  );
  const between = random.below(BETWEEN) === 0;
  if (!between || older.length === 0) return name;
  const start = oneOf(random, older);
  const added = patches.filter((patch) => !start.patches.includes(patch));
  const count = random.below(added.length + 1);
  return [start.name, ...added.slice(0, count).map((patch) => patch.name)].join("+");
}

function drawn(random: Random, parameter: Parameter): Value {
  if ("choices" in parameter) return oneOf(random, Object.keys(parameter.choices));
  const { min, max } = parameter;
  return min + random.below(Math.min(max - min, SMALL - 1) + 1);
}

/** How often a machine is one of those on which something was found wrong, in what else it has drawn anew: one in so many. */
const FOUND_EVERY = 6;

/** Scenarios, parameters and kernels that once broke an invariant. */
const FOUND: readonly (Found & { readonly kernel: string })[] = [
  { scenario: "trunc-cache", parameters: { holder: "amdgpu", fs: "ext4" }, kernel: "v6.11" },
  {
    scenario: "sandbox",
    parameters: { fs: "ext4-nodelalloc", map: "private", driver: "amdgpu" },
    kernel: "v6.4",
  },
  {
    scenario: "sandbox",
    parameters: { map: "private", driver: "nvme-abortable", user: "root" },
    kernel: "v6.12",
  },
  { scenario: "sandbox", parameters: { fs: "hugetlbfs", driver: "aio" }, kernel: "v6.1+iomap-dio-pins" },
];

/** A scenario, and what of it is not drawn. */
interface Found {
  readonly scenario: string;
  readonly parameters: Readonly<Record<string, Value>>;
}

/** A scenario with every other parameter drawn, on a kernel. */
function machine(random: Random, { scenario: name, parameters: fixed }: Found, kernel: string): World {
  const { parameters } = scenarios.find((each) => each.name === name) as (typeof scenarios)[number];
  for (let tries = 1; ; tries++) {
    const values = Object.entries(parameters).map(([key, parameter]) => [key, drawn(random, parameter)]);
    try {
      return open(name, { kernel, parameters: { ...Object.fromEntries(values), ...fixed }, record: false });
    } catch (error) {
      // Values that do not go together are refused; all of them cannot be.
      if (tries === 20) throw error;
    }
  }
}

/** A word for an argument; sometimes none, where none need be said. */
function argument(
  random: Random,
  world: World,
  { words, min, max, ...arg }: OperationArgument,
): string | null {
  if (arg.default !== undefined && random.below(3) === 0) return null;
  if (words !== undefined) return oneOf(random, Object.keys(words));
  return String(min + random.below(max(world.k) - min + 1));
}

/** Say something to a sandbox, if the thread it is for is idle and the order is one. */
function order(random: Random, world: World): void {
  const thread = random.below(THREADS.length);
  if (!isIdle(world.k, thread)) return;
  const { name, args } = oneOf(random, OPERATIONS);
  const words: string[] = [];
  for (const arg of args) {
    const word = argument(random, world, arg);
    if (word === null) break;
    words.push(word);
  }
  try {
    world.say([THREADS[thread], name, ...words].join(" "));
  } catch {
    // An array that has pages, an argument that does not fit the others: refused, and nothing has changed.
  }
}

/**
 * Whether a task's next step puts a page too often: v4.20's btrfs, when writeback meets a page without PG_private behind the end of its file.
 * Nothing that counts references holds from then on.
 */
function putsTooOften({ machine, k }: World, task: number): boolean {
  const { path, step } = machine.at(task);
  return (
    path === "btrfs_invalidatepage" && step === "__btrfs_releasepage" && !PagePrivate(k, machine.page(task))
  );
}

/**
 * Whether a task's next step puts a page that a notifier of amdgpu is about to dirty: v4.20's submission puts the old pages of an object
 * while invalidations go over them, and neither keeps the other away. What is dirtied then may be anybody's page, or nobody's
 * (test/kernel/drivers/notified.test.ts).
 */
function putsWhatIsMarked({ machine }: World, task: number): boolean {
  const { path, step } = machine.at(task);
  if (path !== "release_pages" || step !== "put_page") return false;
  const page = machine.page(task);
  return machine.tasks.some(
    (_, other) =>
      other !== task &&
      machine.at(other).stack.includes("amdgpu_ttm_tt_mark_user_pages") &&
      machine.page(other) === page,
  );
}

/** One machine's run: gives the steps that it made. */
function follow(random: Random, world: World, most: number, each: (world: World) => void): number {
  const scheduler = world.scheduler(random.bits());
  each(world);
  for (let made = 0; made < most; made++) {
    if (world.takesOrders && random.below(ORDER_EVERY) === 0) order(random, world);
    const over = world.takesOrders
      ? world.k.of(mm_struct).life[0] === MM_GONE
      : made % ASK_EVERY === 0 && world.settled();
    if (over) return made;
    const task = scheduler.next();
    if (task < 0 || putsTooOften(world, task) || putsWhatIsMarked(world, task)) return made;
    world.step(task);
    each(world);
  }
  return most;
}

/** What a run is drawn from: any scenario, or the sandbox with its orders. */
export type Draw = "scenario" | "sandbox";

/**
 * The run of one number.
 *
 * @param kernel the kernel that it runs on; null for one that is drawn
 * @param each called before the first step and after each
 * @param most the steps that it makes at most; null for what is drawn
 * @returns the world where it ended, and the steps that it made
 */
export function randomRun(
  draw: Draw,
  seed: number,
  kernel: string | null = null,
  each: (world: World) => void = () => {},
  most: number | null = null,
): { readonly world: World; readonly steps: number } {
  const random = new Random(seed);
  const on = drawnKernel(random);
  const told = scenarios.filter(({ name }) => !UNTOLD.includes(name)).map(({ name }) => name);
  const any = { scenario: draw === "sandbox" ? sandbox.name : oneOf(random, told), parameters: {} };
  const known = FOUND.filter(({ scenario }) => (scenario === sandbox.name) === (draw === "sandbox"));
  const found = random.below(FOUND_EVERY) === 0 ? oneOf(random, known) : null;
  const longest = random.below(LONG_EVERY) === 0 ? LONGEST * LONGER : LONGEST;
  const world = machine(random, found ?? any, kernel ?? found?.kernel ?? on);
  return { world, steps: follow(random, world, most ?? longest, each) };
}

/** What a series of random runs came across. */
export interface Met {
  readonly runs: number;
  readonly outcomes: ReadonlySet<string>;
  readonly kernels: ReadonlySet<string>;
}

/**
 * Random runs until so many steps are made, each held against the invariants at every step.
 *
 * @param first the number of the first run; the others follow it
 * @param kernel the kernel of all of them; null for one that each draws
 * @returns how many runs that took, and what they met
 * @throws Error that names the run, what did not hold and the replay line
 */
export function randomRuns(draw: Draw, first: number, steps: number, kernel: string | null = null): Met {
  const outcomes = new Set<string>();
  const on = new Set<string>();
  let runs = 0;
  for (let made = 0; made < steps; runs++) {
    let running: World | null = null;
    let invariants: Invariants | null = null;
    try {
      const run = randomRun(draw, first + runs, kernel, (world) => {
        if (running !== world) invariants = new Invariants(world);
        running = world;
        const violated = invariants?.violated() ?? null;
        if (violated !== null) throw new Error(violated);
      });
      made += Math.max(run.steps, 1);
      on.add(run.world.kernel.name);
      for (const { kind } of run.world.k.faults) outcomes.add(kind);
      if (run.world.lostWrites().length > 0) outcomes.add("LOST");
    } catch (error) {
      const replay = (running as World | null)?.replay ?? "it did not start";
      throw new Error(`random ${draw} ${first + runs}: ${(error as Error).message}\nreplay: ${replay}`, {
        cause: error,
      });
    }
  }
  return { runs, outcomes, kernels: on };
}
