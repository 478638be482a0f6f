/** 32-bit integers that become more: an array that doubles when it is full. */
export class Growing {
  /** What there is, and behind it room; another array after each call that needs more. */
  array = new Int32Array(1 << 10);
  length: number;

  constructor(first: readonly number[] = []) {
    this.array.set(first);
    this.length = first.length;
  }

  /** Gives the place of the value. */
  push(value: number): number {
    this.reserve(1);
    this.array[this.length] = value;
    return this.length++;
  }

  /** Make room for so many more; gives the place of the first of them. */
  reserve(more: number): number {
    if (this.length + more > this.array.length) {
      const array = new Int32Array(Math.max(this.array.length * 2, this.length + more));
      array.set(this.array);
      this.array = array;
    }
    return this.length;
  }

  /** What there is, without signs; a view. */
  get values(): Uint32Array {
    return new Uint32Array(this.array.buffer, 0, this.length);
  }
}
