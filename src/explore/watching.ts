/** One look at a machine: what it reads and writes while it answers a question or makes a step. */
import type { Watch } from "../machine/watch.js";

/** What was seen: the components that were read, in order, and written, each once. */
export interface Look {
  readonly reads: readonly number[];
  readonly written: readonly number[];
  readonly answer: number;
}

/**
 * Listens to a machine's memory. A component that is several cells counts as read when one of its cells is written, because what
 * becomes of it depends on the others.
 */
export class Watching implements Watch {
  wiping = false;
  private on = false;
  private reads: number[] = [];
  private readonly seen = new Set<number>();
  private readonly written = new Set<number>();

  constructor(
    /** The component of each cell. */
    private readonly componentOf: Int32Array,
    /** Whether a component is more than one cell. */
    private readonly joint: readonly boolean[],
  ) {}

  read(cell: number): void {
    if (!this.on) return;
    const component = this.componentOf[cell];
    if (this.seen.has(component) || this.written.has(component)) return;
    this.seen.add(component);
    this.reads.push(component);
  }

  write(cell: number): void {
    if (!this.on) return;
    const component = this.componentOf[cell];
    // What is wiped is wiped whole.
    if (this.joint[component] && !this.wiping) this.read(cell);
    this.written.add(component);
  }

  /** Let it run and say what it answered and touched. */
  look(run: () => number): Look {
    this.reads = [];
    this.seen.clear();
    this.written.clear();
    this.on = true;
    const answer = run();
    this.on = false;
    return { reads: this.reads, written: [...this.written], answer };
  }
}
