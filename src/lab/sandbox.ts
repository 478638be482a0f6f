/**
 * sandbox: a machine without a story, for somebody who wants to say himself what happens.
 *
 * Threads wait for orders. An order is one call of one kernel path ("store 0", "pread 0 2"): it is written into the
 * thread's syscall row between two steps, and the thread then makes the call, step by step, among the daemons. Orders are part of the
 * schedule, in brackets, so that such a run replays like any other.
 */
import { disk_daemon } from "../kernel/block/disk.js";
import { cache_file } from "../kernel/boot.js";
import { device } from "../kernel/drivers/device.js";
import { errnoName } from "../kernel/errno.js";
import { dma_engine } from "../kernel/fs/direct_io.js";
import { wb_workfn } from "../kernel/fs/fs_writeback.js";
import type { Kernel } from "../kernel/kernel.js";
import { branch, call, goto, label, path, pause, repeat, step, wait } from "../kernel/language.js";
import { mm_of } from "../kernel/mm/memory.js";
import { MM_FORKED, MM_GONE, mm_struct } from "../kernel/mm/mmap.js";
import { kswapd } from "../kernel/mm/vmscan.js";
import { FS } from "../kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../kernel/structs.js";
import { int } from "../kernel/types.js";
import { i32, struct, u8 } from "../machine/memory.js";
import type { Path } from "../machine/path.js";
import { ARRAYS, OPERATIONS, type Operation, REGION } from "./operations.js";
import { choice, scenario, type TaskPlan, whole } from "./scenario.js";

/** Threads that take orders, and their letters in schedules. */
export const THREADS = ["A", "B", "C"] as const;

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
const taken = struct("taken", {
  nr: u8("row of OPERATIONS plus one; 0 when the array is empty"),
  a0: i32("first argument of that call"),
  a1: i32("second argument"),
  a2: i32("third argument"),
  a3: i32("fourth argument"),
});

/** The array of pages that a call works on: its last argument of that kind, or -1. */
const arrayOf = ({ path: called }: Operation, values: readonly number[]): number => {
  const at = Object.keys(called.args).findIndex((name) => name === "pages" || name === "dio");
  return at < 0 ? -1 : values[at];
};

const argumentsOf = (k: Kernel, id: number): number[] => ARGUMENTS.map((name) => k.of(syscall)[name][id]);

/** Remember what a call has put into its array, or that it has emptied one. */
function keep(k: Kernel, id: number, ret: number): void {
  const operation = OPERATIONS[k.of(syscall).nr[id] - 1];
  const values = argumentsOf(k, id);
  const array = arrayOf(operation, values);
  const memory = k.of(taken);
  const kept = operation.takes && ret >= 0 && k.user_pages.nr[array] > 0;
  if (!kept && operation.releases === null) return;
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
  if (by === null || by.name !== operation.releases)
    throw new Error(
      `${operation.name} lets go of what ${operation.releases} took, and array ${array} ${by === null ? "is empty" : `is ${by.name}'s`}`,
    );
  const names = Object.keys(by.path.args);
  return Object.keys(operation.path.args).map((name) => memory[ARGUMENTS[names.indexOf(name)]][array]);
}

/** @throws Error with one sentence when a call that fills an array names one that has pages */
function checkArray(k: Kernel, operation: Operation, array: number): void {
  if (array < 0 || operation.name === "dma" || k.user_pages.nr[array] === 0) return;
  throw new Error(
    `${operation.name} needs an empty array, and array ${array} has pages: let go of them, or name another`,
  );
}

/** What another thread is doing: its letter, its operation and the arguments of its call. */
interface Running {
  readonly letter: string;
  readonly operation: Operation;
  readonly values: readonly number[];
}

/** What the threads other than this one are doing. */
const running = (k: Kernel, id: number): readonly Running[] =>
  THREADS.flatMap((letter, each) =>
    each === id || isIdle(k, each)
      ? []
      : [{ letter, operation: OPERATIONS[k.of(syscall).nr[each] - 1], values: argumentsOf(k, each) }],
  );

/** The virtual pages that a call names: a first one, and how many. */
function rangeOf({ path: called }: Operation, values: readonly number[]): readonly [number, number] | null {
  const names = Object.keys(called.args);
  const value = (...known: readonly string[]) => values[names.findIndex((name) => known.includes(name))];
  const at = names.includes("nr") ? value("at", "start") : value("at", "vaddr");
  return at === undefined ? null : [at, value("nr") ?? 1];
}

/**
 * Refuse what no program can ask for: a call for a process that is gone or going, two calls that share an array, a range that
 * begins in one process and ends in another.
 *
 * @throws Error with one sentence
 */
function checkOrder(k: Kernel, id: number, operation: Operation, values: readonly number[]): void {
  const others = running(k, id);
  const { life } = k.of(mm_struct);
  const array = arrayOf(operation, values);
  const sharer = others.find((other) => arrayOf(other.operation, other.values) === array);
  if (array >= 0 && operation.name !== "dma" && sharer !== undefined && sharer.operation.name !== "dma")
    throw new Error(
      `array ${array} is in use by ${sharer.operation.name} of thread ${sharer.letter}: name another`,
    );
  const going = others.find((other) => ["exit", "fork"].includes(other.operation.name));
  if (going !== undefined && ["exit", "fork"].includes(operation.name))
    throw new Error(`thread ${going.letter} is busy with ${going.operation.name}: let it end first`);
  if (operation.name === "fork" && life[1] === MM_FORKED)
    throw new Error("process 1 is there already: exit 1 ends it");
  if (operation.name === "exit" && others.length > 0)
    throw new Error(
      `a process exits when its threads have come back from the kernel, and thread ${others[0].letter} is in ${others[0].operation.name}`,
    );
  if (going?.operation.name === "exit" || (life[0] === MM_GONE && operation.name !== "exit"))
    throw new Error("process 0 is gone: go back, or begin anew");
  const range = rangeOf(operation, values);
  if (range === null) return;
  const last = range[0] + range[1] - 1;
  if (last >= k.geometry.virtualPages || mm_of(k, range[0]) !== mm_of(k, last))
    throw new Error(
      `virtual pages ${range[0]} to ${last} are not all of one process: it has pages ${pagesOf(k, mm_of(k, range[0]))}`,
    );
}

/** The virtual pages of a process, as a person says them. */
function pagesOf(k: Kernel, mm: number): string {
  const areas = k.geometry.vmas.filter((area) => area.mm === mm);
  const last = areas[areas.length - 1];
  return `${areas[0].start} to ${last.start + last.pages - 1}`;
}

const thread = path(
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
          OPERATIONS.map(({ name }) => name),
        ),
        ...OPERATIONS.flatMap(({ name, path: called }) => [
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

interface ThreadFrame {
  id: number;
  nr: number;
  a0: number;
  a1: number;
  a2: number;
  a3: number;
  ret: number;
}

/** The operation of a name. @throws Error with one sentence */
export function findOperation(name: string): Operation {
  const found = OPERATIONS.find((each) => each.name === name);
  if (!found)
    throw new Error(
      `there is no operation "${name}"; known: ${OPERATIONS.map((each) => each.name).join(", ")}`,
    );
  return found;
}

/**
 * Write an order, "A store 0", into a thread's row; gives the thread.
 *
 * @throws Error with one sentence when it is no order or the thread is busy; nothing has changed then
 */
function order(k: Kernel, line: string): number {
  const [who, name, ...words] = line.split(" ");
  const id = (THREADS as readonly string[]).indexOf(who);
  if (id < 0)
    throw new Error(`"${who}" is no thread: an order reads THREAD OPERATION NUMBERS, such as A store 0`);
  const operation = findOperation(name ?? "");
  const row = k.of(syscall);
  if (row.nr[id] !== 0) throw new Error(`thread ${who} is busy with ${OPERATIONS[row.nr[id] - 1].name}`);
  const said = operation.read(k, words, id);
  if (operation.releases === null) checkArray(k, operation, arrayOf(operation, said));
  const values = operation.releases === null ? said : releaseArguments(k, operation, said[said.length - 1]);
  checkOrder(k, id, operation, values);
  row.nr[id] = OPERATIONS.indexOf(operation) + 1;
  values.forEach((value, at) => {
    row[ARGUMENTS[at]][id] = value;
  });
  return id;
}

/** What a thread's last call gave, in words. */
export function resultOf(k: Kernel, id: number, { path: called }: Operation): string {
  const ret = k.of(syscall).ret[id];
  if (!called.returns || ret === 0) return "done";
  return ret < 0 ? errnoName(ret) : String(ret);
}

/** Whether a thread has done what it was told. */
export const isIdle = (k: Kernel, id: number): boolean => k.of(syscall).nr[id] === 0;

const FILESYSTEM = { ext4: FS.ext4, tmpfs: FS.tmpfs } as const;

export const sandbox = scenario({
  name: "sandbox",
  help: "a machine that does what you say: store, pread, fsync, reclaim ...",
  story:
    "One process with a file of a few pages, cached and mapped from virtual page 0 on, and as much anonymous memory after it. Its threads A, B and C wait for orders: each verb " +
    "that names a kernel operation is one. A child that fork makes has the same pages again, after these. kswapd and the flusher sleep until you step them; the card writes " +
    "into registered pages when you step it. Everything you say is part of the replay line.",
  parameters: {
    fs: choice("the file's filesystem", { ext4: "a disk filesystem with buffers", tmpfs: "memory" }),
    pages: whole("pages of the file", 4, 1, 64),
    map: choice("how the file is mapped", { shared: "MAP_SHARED", private: "MAP_PRIVATE" }),
  },
  setup: ({ fs, pages, map }) => {
    const tasks: TaskPlan[] = [
      ...THREADS.map((letter, id) => ({ name: letter, letter, path: thread, args: [id], daemon: true })),
      { name: "kswapd", letter: "k", path: kswapd, args: [], daemon: true },
      { name: "flusher", letter: "f", path: wb_workfn, args: [], daemon: true },
      { name: "disk", letter: "d", path: disk_daemon, args: [0], daemon: true },
      ...THREADS.map((letter, dio) => ({
        name: `dma${letter}`,
        letter: `m${letter.toLowerCase()}`,
        path: dma_engine,
        args: [dio],
        daemon: true,
      })),
      { name: "card", letter: "c", path: device, args: [REGION, 0], daemon: true },
    ];
    return {
      geometry: {
        pages: 4 * pages,
        files: [{ pages, fs: FILESYSTEM[fs] }],
        vmas: [
          { pages, file: 1, flags: VM_WRITE | (map === "shared" ? VM_SHARED : 0) },
          { pages, flags: VM_WRITE },
          { pages, flags: 0, mm: 1, forked: 0 },
          { pages, flags: 0, mm: 1, forked: 1 },
        ],
        mms: 2,
        dios: ARRAYS,
        dioPages: pages,
        config: ["mmap", "truncate", "mlock", "rlimit"],
      },
      tasks,
      pace: { kswapd: 100, flusher: 150, disk: 20 },
      prepare: (k) => cache_file(k, 1),
      tables: [
        { struct: syscall, rows: () => THREADS.length },
        { struct: taken, rows: () => ARRAYS },
      ],
      input: order,
    };
  },
});
