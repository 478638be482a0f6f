/** struct page of one page at a moment: its words from top to bottom, who owns each, what it holds, and what has changed. */
import { type Box, clipped, diagram, filled, type Note, paragraph, SHEET, SIZE } from "./diagram.js";
import { COLOR, type Figure, type TextForm } from "./figure.js";
import { hex } from "./pins.js";
import { textWidth } from "./text.js";

/** Whose a word is now: "never" is nobody's, "proposal" one that a proposal has taken, or by which it lets struct page grow. */
export type WordOwner = "always" | "sometimes" | "free" | "never" | "proposal";

export interface PageWordStory {
  /** From 0 on; from 8 on those by which struct page has grown. */
  readonly word: number;
  /** Fields of one word are separated by commas. */
  readonly field: string;
  readonly owner: WordOwner;
  /** What it is for. */
  readonly holds: string;
  /** What it holds now; empty where nobody has it. */
  readonly value: string;
  /** What it said at the earlier moment, where that was something else; null where it was the same, or nobody asked. */
  readonly before: string | null;
  /** What the word is in pages of other types: "pgmap (ZONE_DEVICE)". */
  readonly elsewhere: readonly string[];
}

export interface PageStory {
  readonly pfn: number;
  /** What the page is: "page cache", "ZONE_DEVICE". */
  readonly type: string;
  readonly tick: number;
  /** The earlier moment that it is compared with; null: with none. */
  readonly since: number | null;
  readonly words: readonly PageWordStory[];
  /** Since which release struct page has been like this, and what is uncertain of that, in a sentence. */
  readonly layout: string;
  /** "kara-2018 on v4.20". */
  readonly run: string;
  readonly replay: string;
}

interface Look extends Pick<Box, "fill" | "border" | "dash" | "thick"> {
  readonly says: string;
}

const LOOK: Readonly<Record<WordOwner, Look>> = {
  always: { fill: "#DCEAF5", border: COLOR.dim, says: "always its own" },
  sometimes: { fill: "#FBF3C0", border: COLOR.dim, says: "its own now" },
  free: { fill: "#FFFFFF", border: COLOR.dim, dash: "dash", says: "free now" },
  never: { fill: COLOR.pale, border: COLOR.rule, dash: "dot", says: "nobody's" },
  proposal: { fill: "#F8D5B5", border: COLOR.ink, thick: 2, says: "a proposal's" },
};

const WORD_BYTES = 8;
const FIELD = { x: 58, width: 300 };
const VALUE = { x: FIELD.x + FIELD.width + 14 };
const ROOM = SHEET - VALUE.x;

/**
 * The words of a struct page, a row for each with its offset in bytes: the field that the page's present type has there, whose the word
 * is, and what it holds. What has changed since the earlier moment has a thick frame and says what it was.
 *
 * @example session.report().plot.page().kind // "page"
 */
export function pageWordsSheet(story: PageStory): Figure {
  const { pfn, type, tick, since, words, run, replay } = story;
  const boxes: Box[] = [];
  const notes: Note[] = [];
  let y = 22;
  notes.push(
    { text: "byte", x: FIELD.x - 10, y: 10, anchor: "right", size: SIZE.small, color: COLOR.dim },
    { text: "the word, as this page has it", x: FIELD.x, y: 10, size: SIZE.small, color: COLOR.dim },
    { text: "what it holds", x: VALUE.x, y: 10, size: SIZE.small, color: COLOR.dim },
  );
  for (const word of words) {
    const row = rowOf(word, y);
    boxes.push(...row.boxes);
    notes.push(...row.notes);
    y += row.height;
  }
  const key = legend(y + 14, words, since);
  return diagram({
    kind: "page",
    title: `struct page of page ${hex(pfn)} at tick ${tick}: ${type}`,
    subtitle: run,
    height: key.bottom,
    boxes: [...boxes, ...key.boxes],
    notes: [...notes, ...key.notes],
    caption: captionOf(story),
    replay,
    text: textOf(story),
  });
}

function rowOf({ word, field, owner, holds, value, before, elsewhere }: PageWordStory, y: number) {
  const look = LOOK[owner];
  const shown = paragraph(valueText(owner, value), ROOM, SIZE.head);
  const was = before === null ? null : paragraph(`was: ${before}`, ROOM, SIZE.body);
  const others = elsewhere.length === 0 ? null : paragraph(elsewhereText(elsewhere), ROOM, SIZE.small);
  const about = paragraph(holds, FIELD.width - 14, SIZE.small);
  const height = Math.max(28 + about.height, 8 + shown.height + (was?.height ?? 0) + (others?.height ?? 0));
  const changed: Partial<Box> = before === null ? {} : { border: COLOR.vermillion, thick: 3, dash: "solid" };
  const { says, ...frame } = look;
  const parts = field.split(", ");
  const share = FIELD.width / parts.length;
  const size = parts.length > 2 ? SIZE.small : SIZE.head;
  const boxes = parts.map(
    (_, at): Box => ({
      x: FIELD.x + at * share,
      y: y + 2,
      width: share,
      height: height - 4,
      ...frame,
      ...changed,
    }),
  );
  const notes = parts.map(
    (part, at): Note => ({
      text: clipped(part, share - 12, size),
      x: FIELD.x + at * share + 7,
      y: y + 13,
      size,
    }),
  );
  if (parts.length === 1)
    notes.push({
      text: says,
      x: FIELD.x + FIELD.width - 7,
      y: y + 13,
      anchor: "right",
      size: SIZE.small,
      color: COLOR.dim,
    });
  notes.push(
    {
      text: about.text,
      x: FIELD.x + 7,
      y: y + 22,
      at: "top",
      size: SIZE.small,
      color: COLOR.dim,
    },
    { text: `+${word * WORD_BYTES}`, x: FIELD.x - 10, y: y + height / 2, anchor: "right" },
  );
  if (before !== null) notes.push({ text: "►", x: 2, y: y + height / 2, color: COLOR.vermillion });
  let at = y + 4;
  const put = (words: { text: string; height: number } | null, size: number, color: string): void => {
    if (words === null) return;
    notes.push({ text: words.text, x: VALUE.x, y: at, at: "top", size, color });
    at += words.height;
  };
  put(shown, SIZE.head, value === "" ? COLOR.dim : COLOR.ink);
  put(was, SIZE.body, COLOR.vermillion);
  put(others, SIZE.small, COLOR.dim);
  return { boxes, notes, height };
}

const valueText = (owner: WordOwner, value: string): string =>
  value !== "" ? value : owner === "always" || owner === "proposal" ? "not modelled" : "–";

const elsewhereText = (elsewhere: readonly string[]): string => `in other pages ${elsewhere.join(", ")}`;

/** What the looks of the boxes mean: those that occur. */
function legend(y: number, words: readonly PageWordStory[], since: number | null) {
  const boxes: Box[] = [];
  const notes: Note[] = [];
  let x = FIELD.x;
  const item = (look: Pick<Box, "fill" | "border" | "dash" | "thick">, text: string): void => {
    boxes.push({ ...look, x, y, width: 20, height: 12 });
    notes.push({ text, x: x + 26, y: y + 6, size: SIZE.small });
    x += 44 + textWidth(text, SIZE.small);
  };
  for (const [owner, { says, ...look }] of Object.entries(LOOK))
    if (words.some((word) => word.owner === owner)) item(look, says);
  if (since !== null && words.some(({ before }) => before !== null))
    item({ fill: "#FFFFFF", border: COLOR.vermillion, thick: 3 }, `► changed since tick ${since}`);
  return { boxes, notes, bottom: y + 20 };
}

function captionOf({ pfn, type, tick, since, words, layout }: PageStory): string {
  const bytes = words.length * WORD_BYTES;
  const changed = words.filter(({ before }) => before !== null).map(({ field }) => field);
  const taken = words.filter(({ owner }) => owner === "proposal").map(({ field }) => field);
  const said =
    since === null
      ? ""
      : changed.length === 0
        ? ` None of its words has changed since tick ${since}.`
        : ` Since tick ${since} ${changed.join(", ")} ${changed.length === 1 ? "has" : "have"} changed.`;
  const proposed = taken.length === 0 ? "" : ` A proposal has ${taken.join(", ")}.`;
  return (
    `The ${bytes} bytes of struct page of page ${hex(pfn)} after step ${tick}, a word of 8 bytes a row, as what they are in a page of type ` +
    `"${type}"; what the same words are in other pages is said in grey.${said}${proposed} ${layout}`
  );
}

/** From so many columns on a terminal has room for what the words are in other pages. */
const WIDE = 100;

/** The same as text art: the words as a ladder, what they hold beside it. */
function textOf({ words, since }: PageStory): TextForm {
  return ({ columns, paint }) => {
    const inside = Math.min(34, Math.floor(columns * 0.38));
    const rule = (left: string, right: string): string => `       ${left}${"─".repeat(inside + 2)}${right}`;
    const lines: string[] = [];
    const room = columns - inside - 12;
    words.forEach(({ word, field, owner, value, before, elsewhere }, at) => {
      const beside: string[] = [];
      const add = (text: string, color: string): void => {
        for (const line of filled("", text, room)) beside.push(color === "" ? line : paint(line, color));
      };
      add(valueText(owner, value), value === "" ? COLOR.dim : "");
      if (before !== null) add(`was: ${before}`, COLOR.vermillion);
      if (elsewhere.length > 0 && columns >= WIDE) add(elsewhereText(elsewhere), COLOR.dim);
      const says = LOOK[owner].says;
      const name = [...field].length > inside ? `${field.slice(0, inside - 1)}…` : field;
      const tag = name.length + says.length + 2 <= inside ? says : "";
      const body = `${name}${tag.padStart(inside - name.length)}`;
      const mark = before === null ? " " : paint("►", COLOR.vermillion);
      lines.push(rule(at === 0 ? "┌" : "├", at === 0 ? "┐" : "┤"));
      beside.forEach((text, nr) => {
        const offset = nr === 0 ? `${mark} ${`+${word * WORD_BYTES}`.padStart(4)} ` : "       ";
        lines.push(`${offset}│ ${nr === 0 ? body : " ".repeat(inside)} │ ${text}`);
      });
    });
    lines.push(rule("└", "┘"));
    if (since !== null) lines.push(`${paint("►", COLOR.vermillion)} changed since tick ${since}`);
    return lines;
  };
}
