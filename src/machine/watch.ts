/**
 * A memory that says which of its cells are read and written.
 *
 * A watched column is a proxy around a typed array: a step that runs on it does what it always does, and somebody learns of each
 * cell that it touches. It is some hundred times slower than the array, so it is for those who look at a step once and remember
 * what they saw (the explorer, an explanation), and costs everybody else nothing.
 */

/** Somebody who wants to know. Cells are numbered as Memory.cells lists them. */
export interface Watch {
  read(cell: number): void;
  write(cell: number): void;
  /** Set while everything that is written becomes zero, whatever it was: Memory.wipe. */
  wiping?: boolean;
}

/** What a column is made of. */
export type Numbers = Uint8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float64Array;

const isRow = (key: string): boolean => {
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57;
};

type Method = (...args: unknown[]) => unknown;

/** The methods that columns have beyond those of every array. */
const OWN = {
  subarray:
    (column: Numbers, first: number, watch: Watch): Method =>
    (from, end) => {
      const part = column.subarray(from as number, end as number);
      return watched(part, first + (part.byteOffset - column.byteOffset) / column.BYTES_PER_ELEMENT, watch);
    },
  set:
    (column: Numbers, first: number, watch: Watch): Method =>
    (source, offset = 0) => {
      const from = source as ArrayLike<number>;
      for (let at = 0; at < from.length; at++) {
        watch.write(first + (offset as number) + at);
        column[(offset as number) + at] = from[at];
      }
    },
};

/** The same column, watched. `first` is the number of its first cell. */
export function watched<A extends Numbers>(column: A, first: number, watch: Watch): A {
  const proxy: A = new Proxy(column, {
    get(target, key) {
      if (typeof key === "symbol")
        return key === Symbol.iterator
          ? () => Array.prototype.values.call(proxy)
          : Reflect.get(target, key, target);
      if (isRow(key)) {
        const row = Number(key);
        if (row < target.length) watch.read(first + row);
        return target[row];
      }
      if (key === "subarray" || key === "set") return OWN[key](target, first, watch);
      const value = Reflect.get(target, key, target) as unknown;
      // What every array has works on anything that has a length and rows; a typed array's own methods want the real one.
      return typeof value === "function" && key in Array.prototype
        ? (Array.prototype as unknown as Record<string, Method>)[key].bind(proxy)
        : value;
    },
    set(target, key, value) {
      const row = Number(key as string);
      if (row < target.length) watch.write(first + row);
      target[row] = value as number;
      return true;
    },
  });
  return proxy;
}
