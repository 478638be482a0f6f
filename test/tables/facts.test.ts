/**
 * The checkable facts F1 to F78 of the semantics reference: each that holds for v4.20 is named by a test that checks it; each
 * that does not is listed here with its reason, never dropped. The invariants of 14.1 are in test/lab/invariants.test.ts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

/** Facts that speak of later kernels, and the change that they came with. */
const LATER: Readonly<Record<string, string>> = {
  F17: "the test of pins in shrink_folio_list came with v6.4",
  F19: "the test of pins before a swap slot is allotted came with FOLL_PIN",
  F31: "GUP_PIN_COUNTING_BIAS came with v5.7",
  F32: "page_maybe_dma_pinned came with v5.7",
  F33: "pins of the zero page came with FOLL_PIN",
  F40: "write_protect_seq came with v5.11",
  F48: "ext4 warns instead of dying from v5.18 on",
  F73: "fork copies pinned pages from v5.9 on",
};

/** Facts of v4.20 about what guplab does not have: why no test can speak of them. */
const WITHOUT: Readonly<Record<string, string>> = {
  F13: "every filesystem here whose pages are on an LRU has a writepage, as those of v4.20 that are modelled do",
  F65: "a tracepoint: guplab records words of pages; the importer reads this event of real kernels as an attempt",
  F66: "a tracepoint: guplab's own events carry the page frame; the importer reads this one by inode and offset",
  F68: "a file in /proc: guplab has none, and shows both counts of a page",
  F67: "a build option of Linux: guplab records every reference count, with or without page_ref events",
};

const LAST = 78;

/** Titles of tests in a file: the first argument of describe, it and test. */
const titlesOf = (text: string): string[] =>
  [...text.matchAll(/\b(?:describe|it|test)(?:\.each\([^)]*\))?\(\s*(["'`])((?:(?!\1)[\s\S])*)\1/g)].map(
    (match) => match[2],
  );

const files = (readdirSync("test", { recursive: true }) as string[]).filter(
  (file) => file.endsWith(".test.ts") && !file.endsWith("facts.test.ts"),
);

/** Where each fact is named: in a test's title, or in a row of a table of cases. */
const named = new Map<string, string[]>();
for (const file of files) {
  const text = readFileSync(join("test", file), "utf8");
  const rows = [...text.matchAll(/^\s*(?:\[|(?:fact|name): )?["'`].*\bF\d+\b.*/gm)].map(([row]) => row);
  for (const where of [...titlesOf(text), ...rows])
    for (const [fact] of where.matchAll(/\bF\d+\b/g)) named.set(fact, [...(named.get(fact) ?? []), file]);
}

describe("the facts of v4.20", () => {
  for (let number = 1; number <= LAST; number++) {
    const fact = `F${number}`;
    const reason = LATER[fact] ?? WITHOUT[fact];
    it(reason === undefined ? `${fact} is named by a test` : `${fact} is not of v4.20: ${reason}`, () => {
      if (reason === undefined) expect(named.get(fact) ?? []).not.toEqual([]);
      else expect(reason).not.toBe("");
    });
  }

  it("no test names a fact that there is not", () => {
    const known = Array.from({ length: LAST }, (_, at) => `F${at + 1}`);
    expect([...named.keys()].filter((fact) => !known.includes(fact))).toEqual([]);
  });
});
