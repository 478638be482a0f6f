/** What each step of a run reads and changes, by the names of the cells: "page 0 flags". */
import type { Watch } from "../machine/watch.js";
import { open, type World } from "./world.js";

export interface Touched {
  readonly reads: ReadonlySet<string>;
  /** The cells whose value is another one after the step. */
  readonly changes: ReadonlySet<string>;
}

/** A scenario, running, that is watched: step by step. */
export class Touching {
  readonly world: World;
  private readonly names: readonly string[];
  private reads = new Set<number>();
  /** What each cell held that is written, before it was. */
  private written = new Map<number, number>();

  /** @throws Error with one sentence when a name does not fit */
  constructor(scenario: string, kernel: string) {
    const watch: Watch = {
      read: (cell) => this.reads.add(cell),
      write: (cell) => {
        const { column, row } = this.cells[cell];
        if (!this.written.has(cell)) this.written.set(cell, column[row]);
      },
    };
    // What is done before the first step is nobody's.
    let ready = false;
    this.world = open(scenario, {
      kernel,
      record: false,
      watch: {
        read: (cell) => ready && watch.read(cell),
        write: (cell) => ready && watch.write(cell),
      },
    });
    this.cells = this.world.k.memory.cells();
    this.names = this.cells.map(({ struct, row, field }) => `${struct.name} ${row} ${field}`);
    ready = true;
  }
  private readonly cells: ReturnType<World["k"]["memory"]["cells"]>;

  /** Whether there is a cell of this name. */
  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** Let a task make a step, its condition to run included. Its own place and locals are nobody else's: they are left out. */
  step(task: number): Touched {
    const { machine, k } = this.world;
    this.reads.clear();
    this.written.clear();
    k.tick++;
    machine.enabled(task);
    machine.step(task);
    const shared = (cell: number): boolean => machine.ownerOf(this.cells[cell]) < 0;
    const named = (cells: Iterable<number>): Set<string> =>
      new Set([...cells].filter(shared).map((cell) => this.names[cell]));
    const changed = [...this.written].filter(
      ([cell, before]) => this.cells[cell].column[this.cells[cell].row] !== before,
    );
    return { reads: named(this.reads), changes: named(changed.map(([cell]) => cell)) };
  }
}
