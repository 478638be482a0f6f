/** Texts in pictures: how wide they are in a sans-serif font, well enough to place labels without a font file. */

const NARROW = new Set("iljtfI.,:;'|!()[] ");
const WIDE = new Set("mwMWGOQ@%—×");

/** Width in pixels, on the wide side of Helvetica's. */
export function textWidth(text: string, size: number): number {
  let ems = 0;
  for (const char of text) {
    if (NARROW.has(char)) ems += 0.31;
    else if (WIDE.has(char)) ems += 0.87;
    else ems += char >= "A" && char <= "Z" ? 0.69 : 0.56;
  }
  return ems * size;
}

/** Break a text at spaces into lines no wider than `width` pixels; a longer word stays whole. */
export function wrap(text: string, size: number, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && textWidth(longer, size) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === "" ? lines : [...lines, line];
}

/** Pixels from one row of a legend to the next. */
export const LEGEND_ROW = 20;

/** Width of a legend's entry: its sample and its name at 12 pixels. */
export const legendItemWidth = (name: string): number => 44 + textWidth(name, 12);

/** The legend's entries in rows no wider than `width` pixels. */
export function legendRows(names: readonly string[], width: number): string[][] {
  const rows: string[][] = [];
  let used = Number.POSITIVE_INFINITY;
  for (const name of names) {
    if (used + legendItemWidth(name) > width) {
      rows.push([]);
      used = 0;
    }
    rows.at(-1)!.push(name);
    used += legendItemWidth(name);
  }
  return rows;
}

/** How many rows plotly makes of a legend: one where all fit, else columns as wide as the widest entry. */
export function legendHeight(names: readonly string[], width: number): number {
  const rows = legendRows(names, width).length;
  if (rows < 2) return rows;
  const columns = Math.max(1, Math.floor(width / Math.max(...names.map(legendItemWidth))));
  return Math.max(rows, Math.ceil(names.length / columns));
}

/** A text as XML or HTML, in an element or an attribute. */
export const escapeXml = (s: string): string =>
  s.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
