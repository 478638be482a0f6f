import wrapAnsi from "wrap-ansi";

/** Where the columns of a table's row begin, the last one first: after gaps of two blanks or more. */
const columnsOf = (line: string): number[] =>
  [...line.matchAll(/ {2,}(?=\S)/g)].map((gap) => gap.index + gap[0].length).reverse();

const longestWord = (text: string): number => Math.max(...text.split(" ").map((word) => word.length));

/**
 * Text whose long rows go on under the beginning of a column, the last one in which each word has room, so that a table stays one in
 * a narrow terminal. Rows with escape sequences are left as they are: whoever coloured them knew the width.
 *
 * @param columns width of the terminal, in characters
 */
export function hanging(text: string, columns: number): string {
  const wrap = (line: string): string => {
    if (line.length <= columns || line.includes("\x1b")) return line;
    const start = columnsOf(line).find((column) => column + longestWord(line.slice(column)) <= columns);
    const rest = start === undefined ? line.trimStart() : line.slice(start);
    // What has no room where it stands is moved to the left as far as it needs.
    const indent = start ?? Math.max(0, Math.min(line.length - rest.length, columns - longestWord(rest)));
    const rows = wrapAnsi(rest, columns - indent, { hard: true }).replaceAll("\n", `\n${" ".repeat(indent)}`);
    return line.slice(0, indent) + rows;
  };
  return text.split("\n").map(wrap).join("\n");
}
