/**
 * The whole state of a simulated machine in one ArrayBuffer.
 *
 * A struct is a table: a fixed number of rows, one typed column per field, described by a schema (unit, width, and
 * whether the field is state, fixed or statistics). A page, a task, a disk block is a row number. Because all of it is one
 * buffer, a snapshot is a copy, stepping back is a copy, two moments are compared cell by cell with their names, and
 * the explorer's state is the first `stateWords` words of the buffer, exactly.
 *
 * State comes first, then what is fixed when the machine is built, then statistics (event totals such as
 * pgscan_kswapd): a statistic never decides what a step does, so two states that differ in statistics only are the
 * same state.
 */
import { type Numbers, type Watch, watched } from "./watch.js";

type Width = "u8" | "u16" | "i16" | "u32" | "i32" | "f64";

type ArrayOf<W extends Width> = W extends "u8"
  ? Uint8Array
  : W extends "u16"
    ? Uint16Array
    : W extends "i16"
      ? Int16Array
      : W extends "u32"
        ? Uint32Array
        : W extends "i32"
          ? Int32Array
          : Float64Array;

/** One field of a struct: its width, what a value means, and whether it is state. */
export interface ColumnSpec<W extends Width = Width> {
  readonly width: W;
  /** What a value means, with its unit. */
  readonly note: string;
  readonly kind: "state" | "fixed" | "statistics";
  /** How it names a task, where it does: the values of this form do. */
  readonly names?: "task + 1" | "-(task + 1)";
}

const column =
  <W extends Width>(width: W) =>
  (note: string): ColumnSpec<W> => ({ width, note, kind: "state" });

export const u8 = column("u8");
export const u16 = column("u16");
export const i16 = column("i16");
export const u32 = column("u32");
export const i32 = column("i32");

/** A field that names a task: its number plus one. */
export const taskPlusOne = (note: string): ColumnSpec<"u16"> => ({ ...u16(note), names: "task + 1" });

/** A field that is set when the machine is built and never changes: not part of the state. */
export const fixed = (note: string): ColumnSpec<"u32"> => ({ width: "u32", note, kind: "fixed" });

/** Something that only an observer wants to know: no step reads it, so it is not part of the state. */
export const observed = (note: string): ColumnSpec<"u8"> => ({ width: "u8", note, kind: "statistics" });

/** An event total: never read by a step, not part of the state, exact up to 2^53. */
export const total = (note: string): ColumnSpec<"f64"> => ({ width: "f64", note, kind: "statistics" });

export type Fields = Record<string, ColumnSpec>;

/** A table's schema. The number of rows is given when a Memory is made. */
export interface Struct<C extends Fields = Fields> {
  readonly name: string;
  readonly fields: C;
  /** Its place among all that were declared: how a memory finds its columns. */
  readonly id: number;
  /** The kind of number (path.ts) by which its rows go, as many rows for each; none where they go by something else. */
  readonly per?: string;
}

/** The live columns of a struct: one typed array per field. */
export type Columns<C extends Fields> = { readonly [N in keyof C]: ArrayOf<C[N]["width"]> };

/**
 * Declare a struct.
 *
 * @param per the kind of number by which its rows go, as many rows for each
 * @example const disk = struct("disk", { generation: u32("content generation of the block") });
 */
export const struct = <C extends Fields>(name: string, fields: C, per?: string): Struct<C> => ({
  name,
  fields,
  id: declared++,
  ...(per === undefined ? {} : { per }),
});

let declared = 0;

/** The same struct on a machine where fixed fields (those named, or all) change after all: they are part of the state. */
export const thawed = <C extends Fields>(
  table: Struct<C>,
  names: readonly (keyof C & string)[] = Object.keys(table.fields),
): Struct<C> => ({
  ...table,
  fields: Object.fromEntries(
    Object.entries(table.fields).map(([name, spec]) => [
      name,
      spec.kind === "fixed" && names.includes(name) ? { ...spec, kind: "state" } : spec,
    ]),
  ) as C,
});

/** One named cell that differs between two moments. */
export interface CellChange {
  readonly struct: string;
  readonly row: number;
  readonly field: string;
  readonly before: number;
  readonly after: number;
}

const BYTES: Record<Width, number> = { u8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f64: 8 };

const VIEW = {
  u8: Uint8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f64: Float64Array,
} as const;

/** Cells start at their own width; statistics start at a multiple of eight. */
const ORDER: readonly Width[] = ["f64", "i32", "u32", "i16", "u16", "u8"];

interface Placed {
  readonly struct: Struct;
  readonly field: string;
  readonly spec: ColumnSpec;
  readonly rows: number;
  offset: number;
}

/** One cell of the state: a field of a row. */
export interface Cell {
  readonly struct: Struct;
  readonly field: string;
  readonly row: number;
  /** Where it is: `column[row]`. Nobody hears of it who looks here. */
  readonly column: Numbers;
}

export class Memory {
  readonly buffer: ArrayBuffer;
  /** The state as 32-bit words, padded with zero: what an explorer copies, hashes and compares. */
  readonly state: Uint32Array;
  private readonly placed: Placed[] = [];
  private readonly columns: Columns<Fields>[] = [];

  /**
   * @param tables the structs and how many rows each has; a struct of no rows costs nothing
   * @param watch told of each cell of the state that is read or written through the columns, by its number in `cells`
   * @param bytes those of another memory of the same tables, of which this is a second face; default its own
   */
  constructor(
    tables: readonly (readonly [Struct, number])[],
    private readonly watch: Watch | null = null,
    bytes: ArrayBuffer | null = null,
  ) {
    for (const [table, rows] of tables) {
      if (this.columns[table.id]) throw new Error(`Memory: struct ${table.name} is declared twice`);
      this.columns[table.id] = {};
      for (const [field, spec] of Object.entries(table.fields)) {
        this.placed.push({ struct: table, field, spec, rows, offset: 0 });
      }
    }
    const place = (kind: ColumnSpec["kind"], start: number): number => {
      let at = start;
      for (const width of ORDER) {
        for (const cell of this.placed) {
          if (cell.spec.kind !== kind || cell.spec.width !== width) continue;
          cell.offset = at;
          at += cell.rows * BYTES[width];
        }
      }
      return Math.ceil(at / 8) * 8;
    };
    const stateBytes = place("state", 0);
    const size = place("statistics", place("fixed", stateBytes));
    if (bytes !== null && bytes.byteLength !== size)
      throw new Error(`Memory: ${size} bytes cannot be a face of ${bytes.byteLength}`);
    this.buffer = bytes ?? new ArrayBuffer(size);
    this.state = new Uint32Array(this.buffer, 0, stateBytes / 4);
    let cell = 0;
    for (const { struct: table, field, spec, rows, offset } of this.placed) {
      const column = new VIEW[spec.width](this.buffer, offset, rows);
      const seen = watch !== null && spec.kind === "state";
      (this.columns[table.id] as Record<string, unknown>)[field] = seen
        ? watched(column, cell, watch)
        : column;
      if (spec.kind === "state") cell += rows;
    }
  }

  /** Make the state zero but for some structs. */
  wipe(kept: readonly Struct[]): void {
    if (this.watch !== null) this.watch.wiping = true;
    for (const { struct, field, spec } of this.placed)
      if (spec.kind === "state" && !kept.some(({ id }) => id === struct.id))
        (this.columns[struct.id] as Record<string, Numbers>)[field].fill(0);
    if (this.watch !== null) this.watch.wiping = false;
  }

  /** The cells of the state, as a watch numbers them. */
  cells(): Cell[] {
    return this.placed
      .filter(({ spec }) => spec.kind === "state")
      .flatMap(({ struct, field, spec, rows, offset }) => {
        const column = new VIEW[spec.width](this.buffer, offset, rows);
        return Array.from({ length: rows }, (_, row) => ({ struct, field, row, column }));
      });
  }

  get bytes(): number {
    return this.buffer.byteLength;
  }

  /** The columns of a struct. */
  of<C extends Fields>(table: Struct<C>): Columns<C> {
    const columns = this.columns[table.id];
    if (!columns) throw new Error(`Memory: struct ${table.name} is not in this memory`);
    return columns as Columns<C>;
  }

  /** Whether a struct is in this memory. */
  has(table: Struct<Fields>): boolean {
    return this.columns[table.id] !== undefined;
  }

  /** A copy of everything, statistics included. */
  snapshot(): ArrayBuffer {
    return this.buffer.slice(0);
  }

  /** Become the moment that `snapshot` was taken at. */
  restore(snapshot: ArrayBuffer): void {
    if (snapshot.byteLength !== this.bytes) {
      throw new Error(
        `Memory.restore: the snapshot has ${snapshot.byteLength} bytes, this memory ${this.bytes}`,
      );
    }
    new Uint8Array(this.buffer).set(new Uint8Array(snapshot));
  }

  /** The named cells in which two snapshots differ, in layout order. */
  diff(before: ArrayBuffer, after: ArrayBuffer): CellChange[] {
    const changes: CellChange[] = [];
    for (const { struct: table, field, spec, rows, offset } of this.placed) {
      const a = new VIEW[spec.width](before, offset, rows);
      const b = new VIEW[spec.width](after, offset, rows);
      for (let row = 0; row < rows; row++) {
        if (a[row] !== b[row])
          changes.push({ struct: table.name, row, field, before: a[row], after: b[row] });
      }
    }
    return changes;
  }
}
