/** Keys and the line that they write. */
import { describe, expect, test } from "vitest";
import { keysOf } from "../../repl/keys.js";
import { emptyLine, type Line, press, type Wish } from "../../repl/prompt.js";
import type { Completion } from "../../src/cli/shell.js";

const WORDS = ["run", "page", "pages"];
const complete = (text: string): Completion => {
  const from = text.lastIndexOf(" ") + 1;
  const candidates = WORDS.filter((word) => word.startsWith(text.slice(from)));
  return { from, candidates, ghost: (candidates[0] ?? "").slice(text.length - from) };
};

/** Type pieces of input as a terminal sends them; gives what is written, with | for the cursor, and the last wish. */
function type(
  pieces: readonly string[],
  history: readonly string[] = [],
): { shown: string; wish: Wish; line: Line } {
  let line = emptyLine(history);
  let wish: Wish = null;
  for (const key of pieces.flatMap(keysOf)) ({ line, wish } = press(line, key, { history, complete }));
  const shown = `${line.text.slice(0, line.cursor).join("")}|${line.text.slice(line.cursor).join("")}`;
  return { shown, wish, line };
}
const UP = "\x1b[A";
const DOWN = "\x1b[B";
const RIGHT = "\x1b[C";
const LEFT = "\x1b[D";

describe("keys", () => {
  test("a chunk holds many keys", () => {
    expect(keysOf("ab\rc\t\x7f\x03")).toEqual([
      { char: "a" },
      { char: "b" },
      { name: "enter" },
      { char: "c" },
      { name: "tab" },
      { name: "backspace" },
      { name: "ctrl-c" },
    ]);
  });
  test("an escape sequence is one key, an unknown one none", () => {
    expect(keysOf("\x1b[A")).toEqual([{ name: "up" }]);
    expect(keysOf("\x1b[99~")).toEqual([]);
    expect(keysOf("\x1b")).toEqual([{ name: "escape" }]);
  });
  test("characters, not code units", () => expect(keysOf("a😀")).toEqual([{ char: "a" }, { char: "😀" }]));
});

describe("editing", () => {
  test.each([
    ["abc", [], "abc|"],
    ["abc", [LEFT, "x"], "abx|c"],
    ["abc", [LEFT, LEFT, "\x1b[3~"], "a|c"],
    ["abc", ["\x7f"], "ab|"],
    ["step kswapd 3", ["\x01"], "|step kswapd 3"],
    ["step kswapd 3", ["\x01", "\x05"], "step kswapd 3|"],
    ["step kswapd 3", ["\x17"], "step kswapd |"],
    ["step kswapd 3", ["\x1b[1;5D", "\x1b[1;5D"], "step |kswapd 3"],
    ["step kswapd 3", ["\x01", "\x1b[1;5C"], "step| kswapd 3"],
    ["step kswapd", ["\x1bb", "\x0b"], "step |"],
    ["step kswapd", ["\x1bb", "\x15"], "|kswapd"],
    ["step", ["\x01", "\x04"], "|tep"],
  ] as const)("%s then %j", (text, keys, shown) => expect(type([text, ...keys]).shown).toBe(shown));

  test("Enter submits; Ctrl-D leaves on an empty line only; Ctrl-C cancels", () => {
    expect(type(["run\r"]).wish).toBe("submit");
    expect(type(["\x04"]).wish).toBe("leave");
    expect(type(["run\x04"]).wish).toBe(null);
    expect(type(["run\x03"])).toMatchObject({ shown: "|", wish: "interrupt" });
  });
});

describe("history", () => {
  const history = ["run", "page 0", "until BUG"];
  test("up and down, and the draft comes back", () => {
    expect(type([UP], history).shown).toBe("until BUG|");
    expect(type([UP, UP, UP, UP], history).shown).toBe("run|");
    expect(type(["dra", UP, UP, DOWN, DOWN], history).shown).toBe("dra|");
  });
  test("Ctrl-R finds the newest, then older ones", () => {
    expect(type(["\x12u"], history).shown).toBe("until BUG|");
    expect(type(["\x12u\x12"], history).shown).toBe("run|");
    expect(type(["\x12pa\r"], history)).toMatchObject({ shown: "page 0|", wish: "submit" });
    expect(type(["x", "\x12pa\x03"], history).shown).toBe("x|");
    expect(type(["\x12pa", RIGHT, "0"], history).shown).toBe("page 00|");
  });
});

describe("completion", () => {
  test("Tab writes what is certain, then offers", () => {
    expect(type(["r\t"]).shown).toBe("run |");
    expect(type(["p\t"]).shown).toBe("page|");
    expect(type(["p\t\t"]).line.offers).toEqual(["page", "pages"]);
    expect(type(["x\t"]).shown).toBe("x|");
  });
  test("the right arrow takes the ghost", () => expect(type(["r", RIGHT]).shown).toBe("run|"));
});

describe("a paste", () => {
  test("waits for Enter; its lines become statements", () => {
    const pasted = type(["\x1b[200~", "run 3 # three\r\npage\t0\r", "\x1b[201~"]);
    expect(pasted).toMatchObject({ shown: "run 3; page 0|", wish: null });
  });
  test("a text without line ends goes in as it is", () => {
    expect(type(["page ", "\x1b[200~", "0", "\x1b[201~"]).shown).toBe("page 0|");
  });
});
