/**
 * Who can end a wait. A lock is given back by who holds it (waits.ts); what is no lock is ended by whoever comes to a step that ends it: the
 * tasks whose code leads there from where they are. That is more than who will: code leads past a step as well.
 *
 * Waits that nobody can end but who waits for ever himself are found from it, circles through a disk or a flusher among them.
 */
import type { Kernel } from "../kernel/kernel.js";
import type { Machine } from "../machine/machine.js";
import { END, type Instruction } from "../machine/program.js";
import { holdersFor, waitsForLock } from "./waits.js";
import type { World } from "./world.js";

type Ends = (at: Instruction) => boolean;

const inPath =
  (...names: string[]): Ends =>
  ({ stack }) =>
    names.some((name) => stack.includes(name));
const isStep =
  (...names: string[]): Ends =>
  ({ step }) =>
    names.includes(step);

/** Whoever has pages of get_user_pages in an array, and puts them; in patches by a path of its own. */
const putsPages: Ends = ({ step, stack, frame }) =>
  step === "put_page" && ("pages" in frame || stack.includes("put_user_page"));
/** A device that goes through the pages of a request, which are in an array. */
const transfers: Ends = ({ step, frame }) => step === "DMA" && "pages" in frame;

/** In which code each wait ends, by the names that AWAITED (awaited.ts) has; waits that are not here have nobody who is known. */
export const ENDED_IN: Readonly<Record<string, Ends>> = {
  wait_on_page_writeback: inPath("end_page_writeback"),
  wait_for_dma_pinned_to_clear: putsPages,
  wait_for_short_pins: putsPages,
  "wait_dax_page: schedule": putsPages,
  pfmemalloc_wait: inPath("balance_pgdat"),
  wb_wait_for_completion: inPath("wb_workfn"),
  jbd2_log_wait_commit: inPath("jbd2_journal_commit_transaction"),
  dio_await_completion: transfers,
  blk_io_schedule: transfers,
  submit_bio_wait: transfers,
  blk_peek_request: isStep("submit_bio", "ext4_io_submit"),
  wait4: inPath("exit_mm"),
};

/** Whether code leads from an instruction to one that ends a wait; what was found is kept for each code. */
const found = new WeakMap<readonly Instruction[], Map<string, boolean>>();

function leadsTo(code: readonly Instruction[], from: number, wait: string): boolean {
  const known = found.get(code) ?? new Map<string, boolean>();
  found.set(code, known);
  const key = `${from} ${wait}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const ends = ENDED_IN[wait];
  const seen = new Set([from]);
  let leads = false;
  // A set can be added to while it is gone through.
  for (const at of seen) {
    const { op, next, otherwise, targets } = code[at];
    if (op === END) continue;
    leads = ends(code[at]);
    if (leads) break;
    for (const to of [next, otherwise, ...targets]) if (to >= 0 && to < code.length) seen.add(to);
  }
  known.set(key, leads);
  return leads;
}

/** The name of a wait in ENDED_IN; null for a lock, and where nobody is known who ends it. */
function waitOf(machine: Machine<Kernel>, task: number): string | null {
  const { path, step } = machine.at(task);
  if (!machine.waiting(task) || waitsForLock(machine, task)) return null;
  return [`${path}: ${step}`, step].find((name) => name in ENDED_IN) ?? null;
}

/** The tasks that can end a wait that is for no lock; none when nobody is known. */
export function endersOf(world: World, task: number): readonly number[] {
  const { machine } = world;
  const wait = waitOf(machine, task);
  if (wait === null) return [];
  return machine.tasks.flatMap((_, each) =>
    each !== task && !world.gone(each) && leadsTo(machine.image.code, machine.pcOf(each), wait) ? [each] : [],
  );
}

/**
 * For each task that waits for ever, those for which it does: a holder of the lock that waits for ever, or, of what is no lock, all who can
 * end it. What cannot be decided is not among them.
 */
export function stuckIn(world: World): ReadonlyMap<number, readonly number[]> {
  const { machine } = world;
  const after = new Map<number, { readonly lock: boolean; readonly whom: readonly number[] }>();
  machine.tasks.forEach((_, task) => {
    if (!machine.waiting(task)) return;
    const lock = waitsForLock(machine, task);
    const whom = lock ? holdersFor(machine, () => world.lockdep, task) : endersOf(world, task);
    if (whom.length > 0) after.set(task, { lock, whom });
  });
  // Who could go on lets those go on who wait for him, until nobody is left but those who cannot.
  for (let before = -1; before !== after.size; ) {
    before = after.size;
    for (const [task, { lock, whom }] of after) {
      const stays = (each: number): boolean => after.has(each) || world.gone(each);
      if (lock ? !whom.some(stays) : !whom.every(stays)) after.delete(task);
    }
  }
  return new Map([...after].map(([task, { whom }]) => [task, whom.filter((each) => after.has(each))]));
}
