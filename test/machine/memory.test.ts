import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixed, i16, i32, Memory, observed, struct, total, u8, u16, u32 } from "../../src/machine/memory.js";

const page = struct("page", {
  flags: u8("flags"),
  count: i32("count"),
  mapping: u16("mapping"),
  small: i16("small"),
  index: u32("index"),
  size: fixed("size"),
  seen: observed("seen"),
  events: total("events"),
});
const disk = struct("disk", { head: u8("head") });

const make = () =>
  new Memory([
    [page, 3],
    [disk, 2],
  ]);

describe("Memory", () => {
  it("keeps every column apart: what is written to one cell is read there, and nowhere else", () => {
    const memory = make();
    const columns = memory.of(page);
    const fields = Object.keys(page.fields) as (keyof typeof columns)[];
    fields.forEach((field, at) => {
      for (let row = 0; row < 3; row++) columns[field][row] = 10 * at + row;
    });
    memory.of(disk).head.set([91, 92]);
    fields.forEach((field, at) => {
      expect([...columns[field]]).toEqual([10 * at, 10 * at + 1, 10 * at + 2]);
    });
    expect([...memory.of(disk).head]).toEqual([91, 92]);
  });

  it("has state first, and in `state` nothing that is fixed or statistics", () => {
    const memory = make();
    const { state } = memory;
    expect(state.byteOffset).toBe(0);
    const changes = (write: () => void): boolean => {
      const before = state.slice();
      write();
      return before.some((word, at) => word !== state[at]);
    };
    const { flags, count, mapping, small, index, size, seen, events } = memory.of(page);
    for (const column of [flags, count, mapping, small, index])
      expect(changes(() => column.fill(1))).toBe(true);
    for (const column of [size, seen, events]) expect(changes(() => column.fill(1))).toBe(false);
  });

  it("holds negative counts, and totals up to 2^53", () => {
    const { count, small, events } = make().of(page);
    count[0] = -2_000_000_000;
    small[0] = -1;
    events[0] = Number.MAX_SAFE_INTEGER;
    expect([count[0], small[0], events[0]]).toEqual([-2_000_000_000, -1, Number.MAX_SAFE_INTEGER]);
  });

  it("goes back to a snapshot whatever was written since, and the snapshot is no view", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(255)), { maxLength: 20 }), (writes) => {
        const memory = make();
        const { flags, count } = memory.of(page);
        flags.set([1, 2, 3]);
        count.set([-1, 0, 1]);
        const moment = memory.snapshot();
        for (const [row, value] of writes) {
          flags[row] = value;
          count[row] = -value;
        }
        memory.restore(moment);
        expect([...flags, ...count]).toEqual([1, 2, 3, -1, 0, 1]);
      }),
    );
  });

  it("names the cells in which two moments differ: struct, row, field, before, after", () => {
    const memory = make();
    const before = memory.snapshot();
    memory.of(page).count[1] = -5;
    memory.of(page).events[2] = 4;
    memory.of(disk).head[1] = 7;
    expect(memory.diff(before, memory.snapshot())).toEqual(
      expect.arrayContaining([
        { struct: "page", row: 1, field: "count", before: 0, after: -5 },
        { struct: "page", row: 2, field: "events", before: 0, after: 4 },
        { struct: "disk", row: 1, field: "head", before: 0, after: 7 },
      ]),
    );
    expect(memory.diff(before, memory.snapshot())).toHaveLength(3);
    expect(memory.diff(before, before)).toEqual([]);
  });

  it("a struct of no rows costs nothing", () => {
    expect(new Memory([[page, 0]]).bytes).toBe(0);
  });

  it("says what is wrong", () => {
    const memory = make();
    expect(
      () =>
        new Memory([
          [disk, 1],
          [disk, 1],
        ]),
    ).toThrow("Memory: struct disk is declared twice");
    expect(() => memory.of(struct("inode", { state: u8("state") }))).toThrow(
      "Memory: struct inode is not in this memory",
    );
    expect(() => memory.restore(new ArrayBuffer(4))).toThrow(
      `Memory.restore: the snapshot has 4 bytes, this memory ${memory.bytes}`,
    );
  });
});
