/**
 * A large machine for the benchmarks: eight drivers that read by O_DIRECT, 64 pages at a time, into shared mappings of
 * eight ext4 files that fill all of memory, with kswapd, the flusher, the disks and the DMA engines under way.
 */
import { disk_daemon } from "../../src/kernel/block/disk.js";
import { cache_file } from "../../src/kernel/boot.js";
import { dma_engine, do_blockdev_direct_IO } from "../../src/kernel/fs/direct_io.js";
import { wb_workfn } from "../../src/kernel/fs/fs_writeback.js";
import { completeGeometry } from "../../src/kernel/geometry.js";
import { Kernel, kernelTables } from "../../src/kernel/kernel.js";
import { call, local, path, pause, repeat } from "../../src/kernel/language.js";
import { operations, operationsFor, tables } from "../../src/kernel/linux.js";
import { kswapd } from "../../src/kernel/mm/kswapd.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { dio_nr, int, vpn } from "../../src/kernel/types.js";
import { Machine, machineTables, type TaskSpec } from "../../src/machine/machine.js";
import { Memory } from "../../src/machine/memory.js";
import { link } from "../../src/machine/program.js";
import { SeededScheduler } from "../../src/machine/schedule.js";

const DIO_PAGES = 64;

/** A process that reads into its mapping from the start to the end, again and again. */
const driver = path(
  "driver",
  {
    source: "a process",
    args: { start: vpn, pages: int, dio: dio_nr },
    locals: { at: vpn, nr: int, done: int },
  },
  [
    repeat(
      () => true,
      [
        pause("thinks"),
        local((k, f) => {
          f.nr = k.geometry.dioPages;
          f.at = f.start + f.done;
          f.done = f.done + f.nr >= f.pages ? 0 : f.done + f.nr;
        }),
        call(() => do_blockdev_direct_IO, { at: "at", nr: "nr", dio: "dio" }),
      ],
    ),
  ],
);

export interface LargeMachine {
  readonly k: Kernel;
  readonly memory: Memory;
  readonly machine: Machine<Kernel>;
  readonly scheduler: SeededScheduler<Kernel>;
  /** Let the scheduler make so many steps. */
  readonly run: (steps: number) => void;
}

/** Make one with this many pages, all of them cached, split evenly over the drivers' files. */
export function largeMachine(pages: number, drivers = 8): LargeMachine {
  const filePages = pages / drivers;
  const geometry = completeGeometry({
    pages,
    files: Array.from({ length: drivers }, (_, disk) => ({ pages: filePages, disk })),
    vmas: Array.from({ length: drivers }, (_, nr) => ({
      pages: filePages,
      file: nr + 1,
      flags: VM_WRITE | VM_SHARED,
    })),
    disks: drivers,
    dios: drivers,
    dioPages: DIO_PAGES,
    priority: 12,
  });
  const image = link(
    [driver, kswapd, wb_workfn, disk_daemon, dma_engine],
    operationsFor(operations, geometry),
    { tasks: [drivers, 1, 1, drivers, drivers] },
  );
  const each = (name: string, letter: string, program: number, args: (nr: number) => readonly number[]) =>
    Array.from(
      { length: drivers },
      (_, nr): TaskSpec => ({
        name: `${name}${nr}`,
        letter: letter + String.fromCharCode(97 + nr),
        program,
        args: args(nr),
        daemon: true,
      }),
    );
  const tasks: TaskSpec[] = [
    ...each("driver", "r", 0, (nr) => [nr * filePages, filePages, nr]),
    { name: "kswapd", letter: "k", program: 1, args: [], daemon: true },
    { name: "flusher", letter: "f", program: 2, args: [], daemon: true },
    ...each("disk", "d", 3, (nr) => [nr]),
    ...each("dma", "m", 4, (nr) => [nr]),
  ];
  const memory = new Memory([...machineTables(image, tasks, false), ...kernelTables(geometry, tables)]);
  const k = new Kernel(
    memory,
    geometry,
    image,
    tasks.map(({ name }) => name),
  );
  for (let nr = 0; nr < drivers; nr++) cache_file(k, nr + 1);
  const machine = new Machine(k, image, memory, tasks);
  const pace = Object.fromEntries(tasks.map(({ name }) => [name, 20]));
  const scheduler = new SeededScheduler(machine, 1, pace);
  const run = (steps: number): void => {
    for (let made = 0; made < steps; made++) {
      const task = scheduler.next();
      if (task < 0) throw new Error("largeMachine: nobody can move");
      machine.step(task);
      k.tick++;
    }
  };
  return { k, memory, machine, scheduler, run };
}
