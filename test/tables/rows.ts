/** What every table of the proposals' reference is held against: each of its rows is run, or listed with the reason why it cannot be. */
import { expect, it } from "vitest";

/** The tables, and how many rows the reference has of each: lines of the table, and what the text beside it states. */
export const TABLES = {
  D1: 18,
  D2: 27,
  D3: 13,
  D4: 14,
  D5: 20,
  D6: 70,
  D7: 81,
  D8: 14,
  D9: 22,
  D11: 5,
} as const;

/** Rows that v4.20, or guplab, cannot express, each with its reason. */
export type Listed = Readonly<Record<string, string>>;

/**
 * The test that a table is whole.
 *
 * @param name the table's name in the reference
 * @param rows every row that the reference has, by an identifier
 * @param run the rows that a test of this file computes; those that nothing computes are left over, and the test fails
 * @param listed the others
 */
export function whole(
  name: keyof typeof TABLES,
  rows: readonly string[],
  run: Iterable<string>,
  listed: Listed = {},
): void {
  const computed = new Set(run);
  const reasons = Object.keys(listed);
  it(`${name}: ${rows.length} rows, ${computed.size} run and ${reasons.length} listed`, () => {
    expect([rows.length, new Set(rows).size]).toEqual([TABLES[name], TABLES[name]]);
    expect([...computed, ...reasons].sort()).toEqual([...rows].sort());
    expect(Object.values(listed).filter((reason) => reason.length < 4)).toEqual([]);
  });
}
