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
