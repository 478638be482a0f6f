/** Text for a terminal: columns, filled paragraphs, blocks. */

/** Rows as columns, each as wide as its widest cell; the first row is the head. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => (right.includes(at) ? cell.padStart(widths[at]) : cell.padEnd(widths[at])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Text as lines of at most so many characters. */
export function fill(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Two columns, the second filled to the width: what does not fit goes on under it. */
export function glossary(rows: readonly (readonly [term: string, about: string])[], width: number): string {
  const indent = Math.max(...rows.map(([term]) => term.length)) + 2;
  return rows
    .flatMap(([term, about]) =>
      fill(about, Math.max(20, width - indent)).map(
        (line, at) => `${(at === 0 ? term : "").padEnd(indent)}${line}`,
      ),
    )
    .join("\n");
}

/** Blocks of text with an empty line between. */
export const blocks = (...parts: readonly string[]): string =>
  parts.filter((part) => part !== "").join("\n\n");

/**
 * A number with three digits, in the form that a program reads: "1.23e+8".
 *
 * @example threeDigits(123456789) === "1.23e+8"
 */
export const threeDigits = (value: number): string => value.toExponential(2);

/** Insertions, deletions and replacements that make one word of another (Levenshtein's distance). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length];
}

/**
 * Of the names that there are those that somebody may have meant, the likeliest first.
 *
 * @example nearest("shrink_pagelist", ["kswapd", "shrink_page_list"]) // ["shrink_page_list"]
 */
export function nearest(name: string, known: Iterable<string>, most = 3): string[] {
  const wanted = name.toLowerCase();
  return [...new Set(known)]
    .map((each) => {
      const word = each.toLowerCase();
      const part = word.includes(wanted) || wanted.includes(word);
      return { each, far: part ? Math.min(distance(wanted, word), 2) : distance(wanted, word) };
    })
    .filter(({ each, far }) => far <= Math.max(2, Math.min(name.length, each.length) / 3))
    .sort((a, b) => a.far - b.far || (a.each < b.each ? -1 : 1))
    .slice(0, most)
    .map(({ each }) => each);
}

/** Names as one does in a sentence: "a, b or c". */
export const listed = (names: readonly string[], last: "or" | "and" = "or"): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;
