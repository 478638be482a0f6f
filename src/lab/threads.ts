/**
 * The sandbox's threads: what an order to one may be, what keeps it from being given, and the program that obeys it.
 *
 * Three threads are of process 0, the fourth is its child's, once fork has made one.
 */
import { errnoName } from "../kernel/errno.js";
import type { Kernel } from "../kernel/kernel.js";
import { branch, call, goto, label, path, pause, repeat, step, wait } from "../kernel/language.js";
import { mm_of } from "../kernel/mm/memory.js";
import { MM_FORKED, MM_GONE, mm_struct } from "../kernel/mm/mmap.js";
import { int } from "../kernel/types.js";
import { i32, struct, u8 } from "../machine/memory.js";
import type { Path } from "../machine/path.js";
import type { Operation } from "./operation.js";
import { OPERATIONS } from "./operations.js";

/** Threads that take orders, and their letters in schedules. */
export const THREADS = ["A", "B", "C", "D"] as const;
/** The thread of process 1, which fork makes; the others are of process 0. */
const CHILD = THREADS.indexOf("D");

const processOf = (id: number): number => (id === CHILD ? 1 : 0);

/** What a thread has been told to do, and what came of it. */
export const syscall = struct("syscall", {
  nr: u8("row of OPERATIONS plus one; 0 when the thread waits for orders"),
  a0: i32("first argument"),
  a1: i32("second argument"),
  a2: i32("third argument"),
  a3: i32("fourth argument"),
  ret: i32("what the last call gave"),
});

const ARGUMENTS = ["a0", "a1", "a2", "a3"] as const;

/** What stands in an array of pages, and the call that put it there: what lets go of it must know. */
export const taken = struct("taken", {
  nr: u8("row of OPERATIONS plus one; 0 when the array is empty"),
  a0: i32("first argument of that call"),
  a1: i32("second argument"),
  a2: i32("third argument"),
  a3: i32("fourth argument"),
});

/** @throws Error with one sentence when the machine does not have the operation */
function pathOf(k: Kernel, { name, pathOn, where, scenario: has }: Operation): Path<Kernel> {
  const found = pathOn(k.geometry);
  if (found === null) throw new Error(`${name} needs ${where}: say scenario ${has}`);
  return found;
}

const argumentNames = (k: Kernel, operation: Operation): string[] => Object.keys(pathOf(k, operation).args);

/** The array of pages that a call works on: its last argument of that kind, or -1. */
function arrayOf(k: Kernel, operation: Operation, values: readonly number[]): number {
  const at = argumentNames(k, operation).findIndex((name) => name === "pages" || name === "dio");
  return at < 0 ? -1 : values[at];
}

const argumentsOf = (k: Kernel, id: number): number[] => ARGUMENTS.map((name) => k.of(syscall)[name][id]);

/** Remember what a call has put into its array, or that it has emptied one. */
function keep(k: Kernel, id: number, ret: number): void {
  const operation = OPERATIONS[k.of(syscall).nr[id] - 1];
  const values = argumentsOf(k, id);
  const array = arrayOf(k, operation, values);
  const memory = k.of(taken);
  const kept = operation.takes && ret >= 0 && k.user_pages.nr[array] > 0;
  if (!kept && operation.releases.length === 0) return;
  memory.nr[array] = kept ? OPERATIONS.indexOf(operation) + 1 : 0;
  ARGUMENTS.forEach((name, at) => {
    memory[name][array] = kept ? values[at] : 0;
  });
}

/**
 * The arguments of a call that lets go of an array: those of the call that filled it.
 *
 * @throws Error with one sentence when another one filled it, or none
 */
function releaseArguments(k: Kernel, operation: Operation, array: number): readonly number[] {
  const memory = k.of(taken);
  const by = memory.nr[array] === 0 ? null : OPERATIONS[memory.nr[array] - 1];
  if (by === null || !operation.releases.includes(by.name))
    throw new Error(
      `${operation.name} lets go of what ${operation.releases.join(" or ")} took, and array ${array} ${by === null ? "is empty" : `is ${by.name}'s`}`,
    );
  const names = argumentNames(k, by);
  return argumentNames(k, operation).map((name) => memory[ARGUMENTS[names.indexOf(name)]][array]);
}

/** @throws Error with one sentence when a call that fills an array names one that has pages */
function checkArray(k: Kernel, operation: Operation, array: number): void {
  if (array < 0 || operation.array !== "empty" || k.user_pages.nr[array] === 0) return;
  throw new Error(
    `${operation.name} needs an empty array, and array ${array} has pages: let go of them, or name another`,
  );
}

/** What another thread is doing: its letter, its operation and the arguments of its call. */
interface Running {
  readonly id: number;
  readonly letter: string;
  readonly operation: Operation;
  readonly values: readonly number[];
}

/** What the threads other than this one are doing. */
const running = (k: Kernel, id: number): readonly Running[] =>
  THREADS.flatMap((letter, each) =>
    each === id || isIdle(k, each)
      ? []
      : [
          {
            id: each,
            letter,
            operation: OPERATIONS[k.of(syscall).nr[each] - 1],
            values: argumentsOf(k, each),
          },
        ],
  );

/** The virtual pages that a call names: a first one, and how many. */
function rangeOf(
  k: Kernel,
  operation: Operation,
  values: readonly number[],
): readonly [number, number] | null {
  const names = argumentNames(k, operation);
  const value = (...known: readonly string[]) => values[names.findIndex((name) => known.includes(name))];
  if (operation.args.every(({ name }) => name !== "at")) return null;
  const at = value("at", "start", "vaddr");
  return [at, value("nr") ?? 1];
}

/** The process whose own a call is, or null when anybody can make it. */
function callerOf(k: Kernel, operation: Operation, values: readonly number[]): number | null {
  if (operation.name === "exit") return values[0];
  if (operation.name === "fork") return 0;
  if (operation.owner !== null) return operation.owner;
  const range = operation.remote ? null : rangeOf(k, operation, values);
  return range === null ? null : mm_of(k, range[0]);
}

const isThere = (k: Kernel, mm: number): boolean => {
  const { life } = k.of(mm_struct);
  return mm === 0 ? life[0] !== MM_GONE : life[mm] === MM_FORKED;
};

/** @throws Error with one sentence when two calls would work on one array */
function checkSharing(
  k: Kernel,
  operation: Operation,
  values: readonly number[],
  others: readonly Running[],
) {
  const array = arrayOf(k, operation, values);
  if (array < 0) return;
  const sharer = others.find(
    (other) =>
      ((operation.array !== "shared" && other.operation.array !== "shared") ||
        operation === other.operation) &&
      arrayOf(k, other.operation, other.values) === array,
  );
  if (sharer !== undefined)
    throw new Error(
      `array ${array} is in use by ${sharer.operation.name} of thread ${sharer.letter}: name another`,
    );
}

/** @throws Error with one sentence when the virtual pages are not all of one process that is there */
function checkRange(k: Kernel, operation: Operation, values: readonly number[]): void {
  const range = rangeOf(k, operation, values);
  if (range === null) return;
  const last = range[0] + range[1] - 1;
  const mm = mm_of(k, range[0]);
  if (last >= k.geometry.virtualPages || mm_of(k, last) !== mm)
    throw new Error(
      `virtual pages ${range[0]} to ${last} are not all of one process: process ${mm} has pages ${pagesOf(k, mm)}`,
    );
  if (!isThere(k, mm))
    throw new Error(
      `virtual page ${range[0]} is process ${mm}'s, which is not there${mm === 1 ? ": fork makes it" : ""}`,
    );
}

/**
 * Refuse what no program can ask for: a call of a process that is gone or going, or of another one, two calls that share an array,
 * a range that begins in one process and ends in another.
 *
 * @throws Error with one sentence
 */
function checkOrder(k: Kernel, id: number, operation: Operation, values: readonly number[]): void {
  const { name } = operation;
  const others = running(k, id);
  const mine = processOf(id);
  const caller = callerOf(k, operation, values);
  if (!isThere(k, mine))
    throw new Error(
      mine === 0
        ? "process 0 is gone: go back, or begin anew"
        : "thread D is process 1's, which is not there: fork makes it",
    );
  if (caller !== null && caller !== mine)
    throw new Error(
      `${name} is for process ${caller} to call: say --by ${THREADS[caller === 1 ? CHILD : 0]}, or nothing`,
    );
  const going = others.find((other) => ["exit", "fork"].includes(other.operation.name));
  if (going !== undefined && (name === "exit" || name === "fork" || processOf(going.id) === mine))
    if (going.operation.name === "exit" || name !== operation.name || ["exit", "fork"].includes(name))
      throw new Error(`thread ${going.letter} is busy with ${going.operation.name}: let it end first`);
  if (name === "fork" && isThere(k, 1)) throw new Error("process 1 is there already: exit 1 ends it");
  if (name === "exit" && others.length > 0)
    throw new Error(
      `a process exits when nobody uses its memory, and thread ${others[0].letter} is in ${others[0].operation.name}`,
    );
  checkSharing(k, operation, values, others);
  checkRange(k, operation, values);
}

/** The virtual pages of a process, as a person says them. */
function pagesOf(k: Kernel, mm: number): string {
  const areas = k.geometry.vmas.filter((area) => area.mm === mm);
  const last = areas[areas.length - 1];
  return `${areas[0].start} to ${last.start + last.pages - 1}`;
}

interface ThreadFrame {
  id: number;
  nr: number;
  a0: number;
  a1: number;
  a2: number;
  a3: number;
  ret: number;
}

/** A thread's program on a machine: every operation that the machine has. */
export const threadOn = (has: (operation: Operation) => Path<Kernel> | null) => {
  const there = OPERATIONS.flatMap((operation) => {
    const called = has(operation);
    return called === null ? [] : [{ name: operation.name, called }];
  });
  return path(
    "thread",
    {
      source: "a process",
      args: { id: int },
      locals: { nr: int, a0: int, a1: int, a2: int, a3: int, ret: int },
    },
    [
      repeat(
        () => true,
        [
          pause("no orders"),
          wait(
            "next order",
            (k, f) => k.of(syscall).nr[f.id] !== 0,
            (k, f) => {
              const row = k.of(syscall);
              f.nr = row.nr[f.id];
              for (const name of ARGUMENTS) f[name] = row[name][f.id];
            },
          ),
          branch(
            (_, f) => f.nr - 1,
            OPERATIONS.map((operation) => (has(operation) === null ? "return" : operation.name)),
          ),
          ...there.flatMap(({ name, called }) => [
            label<ThreadFrame>(name),
            call<ThreadFrame, never>(
              () => called as Path<Kernel, never>,
              Object.fromEntries(Object.keys(called.args).map((arg, at) => [arg, ARGUMENTS[at]])) as never,
              called.returns ? "ret" : null,
            ),
            goto<ThreadFrame>("return"),
          ]),
          label("return"),
          step("returns", (k, f) => {
            const row = k.of(syscall);
            keep(k, f.id, f.ret);
            row.ret[f.id] = f.ret;
            row.nr[f.id] = 0;
            for (const name of ARGUMENTS) {
              row[name][f.id] = 0;
              f[name] = 0;
            }
            f.nr = 0;
            f.ret = 0;
          }),
        ],
      ),
    ],
  );
};

/** The operation of a name. @throws Error with one sentence */
export function findOperation(name: string): Operation {
  const found = OPERATIONS.find((each) => each.name === name);
  if (!found)
    throw new Error(
      `there is no operation "${name}"; known: ${OPERATIONS.map((each) => each.name).join(", ")}`,
    );
  return found;
}

/** What an order to a thread calls its path with. @throws Error with one sentence when it cannot be given */
function valuesOf(k: Kernel, id: number, operation: Operation, words: readonly string[]): readonly number[] {
  pathOf(k, operation);
  const said = operation.read(k, words, id);
  const values =
    operation.releases.length === 0 ? said : releaseArguments(k, operation, said[said.length - 1]);
  checkOrder(k, id, operation, values);
  if (operation.releases.length === 0) checkArray(k, operation, arrayOf(k, operation, said));
  return values;
}

/**
 * Write an order, "A store 0", into a thread's row; gives the thread.
 *
 * @throws Error with one sentence when it is no order or the thread is busy; nothing has changed then
 */
export function order(k: Kernel, line: string): number {
  const [who, name, ...words] = line.split(" ");
  const id = (THREADS as readonly string[]).indexOf(who);
  if (id < 0)
    throw new Error(`"${who}" is no thread: an order reads THREAD OPERATION NUMBERS, such as A store 0`);
  const operation = findOperation(name ?? "");
  const row = k.of(syscall);
  if (row.nr[id] !== 0) throw new Error(`thread ${who} is busy with ${OPERATIONS[row.nr[id] - 1].name}`);
  const values = valuesOf(k, id, operation, words);
  row.nr[id] = OPERATIONS.indexOf(operation) + 1;
  values.forEach((value, at) => {
    row[ARGUMENTS[at]][id] = value;
  });
  return id;
}

/**
 * The thread that an order is for when nobody says which: the first idle one of the process whose call it is.
 *
 * @throws Error with one sentence when no thread can take it
 */
export function threadFor(k: Kernel, operation: Operation, words: readonly string[]): number {
  let why: unknown = null;
  for (let id = 0; id < THREADS.length; id++) {
    if (!isIdle(k, id)) continue;
    try {
      valuesOf(k, id, operation, words);
      return id;
    } catch (error) {
      // What the child's thread cannot do says less than what the others cannot.
      if (why === null || callsFor(k, operation, words, id)) why = error;
    }
  }
  if (why !== null) throw why;
  throw new Error("every thread is busy: step moves them, tasks says where they are");
}

/** Whether a call is one of the thread's own process. */
function callsFor(k: Kernel, operation: Operation, words: readonly string[], id: number): boolean {
  try {
    return callerOf(k, operation, operation.read(k, words, id)) === processOf(id);
  } catch {
    return false;
  }
}

/** What a thread's last call gave, in words. */
export function resultOf(k: Kernel, id: number, operation: Operation): string {
  const ret = k.of(syscall).ret[id];
  if (!pathOf(k, operation).returns || ret === 0) return "done";
  return ret < 0 ? errnoName(ret) : String(ret);
}

/** Whether a thread has done what it was told. */
export const isIdle = (k: Kernel, id: number): boolean => k.of(syscall).nr[id] === 0;
