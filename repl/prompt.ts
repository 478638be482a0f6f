/**
 * The line that is being written: editing, history, search and completion as one function from a line and a key to the
 * next line. It knows nothing of terminals, so that every key can be tested alone.
 */
import { type Completion, statements } from "../src/cli/shell.js";
import type { Key } from "./keys.js";

export interface Line {
  /** What is written, as characters. */
  readonly text: readonly string[];
  /** Characters before the cursor. */
  readonly cursor: number;
  /** Which line of the history is shown, or its length when none is. */
  readonly at: number;
  /** What was written before the history was looked at. */
  readonly draft: readonly string[];
  /** What is searched for in the history; null when nothing is. */
  readonly search: string | null;
  /** What has been pasted so far; null outside a paste. */
  readonly paste: string | null;
  /** What Tab offered. */
  readonly offers: readonly string[];
}

/** What the surroundings know. */
export interface Around {
  /** Oldest first. */
  readonly history: readonly string[];
  readonly complete: (text: string) => Completion;
}

/** What a key asks for besides changing the line. */
export type Wish = "submit" | "interrupt" | "leave" | "clear-screen" | "page-up" | "page-down" | null;

export const emptyLine = (history: readonly string[]): Line => ({
  text: [],
  cursor: 0,
  at: history.length,
  draft: [],
  search: null,
  paste: null,
  offers: [],
});

const written = (line: Line): string => line.text.join("");

/** The line with another text, and the cursor at its end. */
const showing = (line: Line, text: string): Line => ({ ...line, text: [...text], cursor: [...text].length });

/** Put text at the cursor. */
function insert(line: Line, added: string): Line {
  const { text, cursor } = line;
  const characters = [...added];
  return {
    ...line,
    text: [...text.slice(0, cursor), ...characters, ...text.slice(cursor)],
    cursor: cursor + characters.length,
  };
}

/** Take the characters from one place to another out. */
const cut = (line: Line, from: number, to: number): Line => ({
  ...line,
  text: [...line.text.slice(0, from), ...line.text.slice(to)],
  cursor: from,
});

/** Where the word before the cursor begins, or the one after it ends. */
function wordEnd({ text, cursor }: Line, by: 1 | -1): number {
  let at = cursor;
  const next = (): string | undefined => text[by < 0 ? at - 1 : at];
  while (next() === " ") at += by;
  while (next() !== undefined && next() !== " ") at += by;
  return at;
}

/** The newest line of the history before `before` that contains what is searched for, or -1. */
export function searched(history: readonly string[], query: string, before = history.length): number {
  for (let at = before - 1; at >= 0; at--) if (history[at].includes(query)) return at;
  return -1;
}

/** What follows when a key is pressed. */
export function press(old: Line, key: Key, around: Around): { line: Line; wish: Wish } {
  if (old.paste !== null) return { line: pasting(old, key), wish: null };
  if (old.search !== null) return searching({ ...old, offers: [] }, old.search, key, around);
  const line = { ...old, offers: [] };
  const stay = (next: Line): { line: Line; wish: Wish } => ({ line: next, wish: null });
  const wish = (what: Wish): { line: Line; wish: Wish } => ({ line, wish: what });
  const { text, cursor } = line;
  if ("char" in key) return stay(insert(line, key.char));
  switch (key.name) {
    case "enter":
      return wish("submit");
    case "tab":
      return stay(completed(line, around));
    case "left":
    case "ctrl-b":
      return stay({ ...line, cursor: Math.max(0, cursor - 1) });
    case "right":
    case "ctrl-f":
      return stay(cursor === text.length ? ghostTaken(line, around) : { ...line, cursor: cursor + 1 });
    case "end":
    case "ctrl-e":
      return stay(cursor === text.length ? ghostTaken(line, around) : { ...line, cursor: text.length });
    case "home":
    case "ctrl-a":
      return stay({ ...line, cursor: 0 });
    case "word-left":
      return stay({ ...line, cursor: wordEnd(line, -1) });
    case "word-right":
      return stay({ ...line, cursor: wordEnd(line, 1) });
    case "backspace":
      return stay(cursor > 0 ? cut(line, cursor - 1, cursor) : line);
    case "ctrl-d":
      return text.length === 0 ? wish("leave") : stay(cut(line, cursor, cursor + 1));
    case "delete":
      return stay(cut(line, cursor, cursor + 1));
    case "ctrl-u":
      return stay(cut(line, 0, cursor));
    case "ctrl-k":
      return stay(cut(line, cursor, text.length));
    case "ctrl-w":
      return stay(cut(line, wordEnd(line, -1), cursor));
    case "up":
    case "ctrl-p":
      return stay(recalled(line, line.at - 1, around));
    case "down":
    case "ctrl-n":
      return stay(recalled(line, line.at + 1, around));
    case "ctrl-r":
      return stay({ ...line, search: "", draft: text, at: around.history.length });
    case "ctrl-c":
      return text.length === 0 ? wish("interrupt") : { line: emptyLine(around.history), wish: "interrupt" };
    case "ctrl-l":
      return wish("clear-screen");
    case "page-up":
    case "page-down":
      return wish(key.name);
    case "paste-begin":
      return stay({ ...line, paste: "" });
    default:
      return stay(line);
  }
}

/** A pasted text waits for Enter; its lines become statements of one line. */
function pasting(line: Line, key: Key): Line {
  const paste = line.paste as string;
  if ("char" in key) return { ...line, paste: paste + key.char };
  if (key.name === "enter") return { ...line, paste: `${paste}\n` };
  if (key.name === "tab") return { ...line, paste: `${paste} ` };
  if (key.name !== "paste-end") return line;
  return insert({ ...line, paste: null }, paste.includes("\n") ? statements(paste).join("; ") : paste);
}

function recalled(line: Line, at: number, { history }: Around): Line {
  if (at < 0 || at > history.length) return line;
  const draft = line.at === history.length ? line.text : line.draft;
  return { ...showing(line, at === history.length ? draft.join("") : history[at]), at, draft };
}

/** Search backwards in the history, as shells do. */
function searching(line: Line, query: string, key: Key, { history }: Around): { line: Line; wish: Wish } {
  const look = (next: string, before: number): { line: Line; wish: Wish } => {
    const at = searched(history, next, before);
    const found = at < 0 ? { ...line, search: next } : { ...showing(line, history[at]), at, search: next };
    return { line: found, wish: null };
  };
  if ("char" in key) return look(query + key.char, history.length);
  switch (key.name) {
    case "backspace":
      return look([...query].slice(0, -1).join(""), history.length);
    case "ctrl-r":
      return look(query, line.at);
    case "enter":
      return { line: { ...line, search: null }, wish: "submit" };
    case "ctrl-c":
    case "ctrl-g":
      return {
        line: { ...showing(line, line.draft.join("")), at: history.length, search: null },
        wish: null,
      };
    default:
      return { line: { ...line, search: null }, wish: null };
  }
}

/** Tab: as much as is certain; when nothing is, the offers. */
function completed(line: Line, { complete }: Around): Line {
  const before = line.text.slice(0, line.cursor).join("");
  const { from, candidates } = complete(before);
  const typed = before.slice(from);
  if (candidates.length === 0) return line;
  let common = candidates[0];
  for (const each of candidates) while (!each.startsWith(common)) common = common.slice(0, -1);
  const added = common.slice(typed.length);
  if (candidates.length === 1) return insert(line, `${added} `);
  return added === "" ? { ...line, offers: candidates } : insert(line, added);
}

/** The right arrow at the end takes what is shown behind the cursor, where that is the rest of a word. */
function ghostTaken(line: Line, { complete }: Around): Line {
  const { from, candidates, ghost } = complete(written(line));
  return candidates.length > 0 && from < line.text.length ? insert(line, ghost) : line;
}
