/** Where in a path a local of it holds a page reference. */

/** Where a task is in one of the paths on its call stack. */
export interface Position {
  readonly path: string;
  /** The step it will make next in this path itself, or "" when it is inside a call. */
  readonly step: string;
  /** Which of the path's steps of that name it is, from 0. */
  readonly nth: number;
  /** The path that this one is calling, or "". */
  readonly calling: string;
  readonly local: (name: string) => number;
  /** A page in a local that only some kernels' path has; -1 where there is none. */
  readonly page: (name: string) => number;
}

/** The pages that a task holds at a position, in the path's locals. */
export type Holder = (at: Position, chain: (first: number) => number[]) => readonly number[];
