/**
 * Keys from what a terminal sends. One chunk can hold many keys (fast typing, a paste, a test): Ink splits escape
 * sequences off, and everything else comes as one text that has to be taken apart here.
 */

/** Names of keys that are no characters. */
export type KeyName =
  | "enter"
  | "tab"
  | "backspace"
  | "delete"
  | "left"
  | "right"
  | "word-left"
  | "word-right"
  | "up"
  | "down"
  | "home"
  | "end"
  | "page-up"
  | "page-down"
  | "escape"
  | "paste-begin"
  | "paste-end"
  | `ctrl-${string}`;

export type Key = { readonly name: KeyName } | { readonly char: string };

const SEQUENCES: Readonly<Record<string, KeyName>> = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  OA: "up",
  OB: "down",
  OC: "right",
  OD: "left",
  "[H": "home",
  "[F": "end",
  OH: "home",
  OF: "end",
  "[1~": "home",
  "[4~": "end",
  "[7~": "home",
  "[8~": "end",
  "[3~": "delete",
  "[5~": "page-up",
  "[6~": "page-down",
  "[1;5C": "word-right",
  "[1;5D": "word-left",
  "[1;3C": "word-right",
  "[1;3D": "word-left",
  f: "word-right",
  b: "word-left",
  "[200~": "paste-begin",
  "[201~": "paste-end",
};

const CONTROLS: Readonly<Record<string, KeyName>> = {
  "\r": "enter",
  "\n": "enter",
  "\t": "tab",
  "\x7f": "backspace",
  "\b": "backspace",
  "\x1b": "escape",
};

/**
 * The keys of one piece of input: an escape sequence, or any text.
 *
 * @example keysOf("a\r") // [{ char: "a" }, { name: "enter" }]
 */
export function keysOf(piece: string): Key[] {
  if (piece.length > 1 && piece.startsWith("\x1b")) {
    const name = SEQUENCES[piece.slice(1)];
    return name ? [{ name }] : [];
  }
  return [...piece].map((char) => {
    if (CONTROLS[char]) return { name: CONTROLS[char] };
    const code = char.codePointAt(0) as number;
    return code < 32 ? { name: `ctrl-${String.fromCharCode(code + 96)}` as const } : { char };
  });
}
