/**
 * The Ink program: finished answers go into the terminal's own scrollback, the live panels and the prompt stay below
 * them and never fill the screen.
 */
import { Box, Static, Text, useApp, useStdin, useStdout } from "ink";
import { type JSX, useEffect, useMemo, useReducer, useRef, useState } from "react";
import { complete, runLine, sentenceOf, statements } from "../src/cli/shell.js";
import type { Desk } from "../src/lab/desk.js";
import { hanging } from "./hanging.js";
import { keysOf } from "./keys.js";
import { clip, panelLines, standingOf } from "./panels.js";
import { emptyLine, type Line, press } from "./prompt.js";
import { type Style, styleOf } from "./style.js";

export interface AppProps {
  readonly desk: Desk;
  /** Lines of earlier sessions, oldest first. */
  readonly history: readonly string[];
  /** Keep a line for later sessions. */
  readonly remember: (line: string) => void;
  /** End what runs now; gives whether something did. */
  readonly interrupt: () => boolean;
  /** How far a search is, in words; empty when there is none. Asked ten times a second while something runs. */
  readonly progress: () => string;
}

const PROMPT = "guplab> ";
const KEYS = "Tab completes, Up recalls, Ctrl-R searches, Ctrl-C cancels, Ctrl-D leaves";
const GREETING =
  "guplab: crash a simulated kernel. guide walks through it, run crashes it, help lists the verbs.";

export function App({ desk, history: earlier, remember, interrupt, progress }: AppProps): JSX.Element | null {
  const { exit } = useApp();
  const { stdout } = useStdout();
  const { setRawMode, internal_eventEmitter: input } = useStdin();
  const style = useMemo(() => styleOf(desk.host.color), [desk]);
  const [answers, setAnswers] = useState<readonly string[]>([GREETING]);
  const [busy, setBusy] = useState("");
  const [note, setNote] = useState("");
  const [scrolled, setScrolled] = useState(0);
  const [left, setLeft] = useState(false);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const [size, setSize] = useState({ columns: stdout.columns || 80, rows: stdout.rows || 24 });
  const [standing, setStanding] = useState(() => standingOf(desk));

  // Several keys can come before the next frame, so what they change is kept outside React's state.
  const now = useRef({
    line: emptyLine(earlier),
    history: [...earlier],
    queue: [] as string[],
    busy: false,
    asked: false,
  });

  useEffect(() => {
    const resized = (): void => setSize({ columns: stdout.columns || 80, rows: stdout.rows || 24 });
    stdout.on("resize", resized);
    return () => {
      stdout.off("resize", resized);
    };
  }, [stdout]);

  useEffect(() => {
    if (busy === "") return;
    const timer = setInterval(redraw, 100);
    return () => clearInterval(timer);
  }, [busy]);

  useEffect(() => {
    if (left) exit();
  }, [left, exit]);

  useEffect(() => {
    const { current } = now;
    const answer = (text: string): void => setAnswers((all) => [...all, text]);

    const work = async (): Promise<void> => {
      if (current.busy) return;
      current.busy = true;
      for (let next = current.queue.shift(); next !== undefined && !desk.left; next = current.queue.shift()) {
        setBusy(next);
        // Let the frame that shows the command be drawn first.
        await new Promise((resolve) => setTimeout(resolve, 0));
        answer(`${style.dim(PROMPT)}${next}\n${await answered(desk, next, style)}`.trimEnd());
        setStanding(standingOf(desk));
        setScrolled(0);
      }
      current.busy = false;
      setBusy("");
      if (desk.left) setLeft(true);
    };

    const submit = (): void => {
      const text = current.line.text.join("").trim();
      if (text !== "" && text !== current.history.at(-1)) {
        current.history.push(text);
        remember(text);
      }
      current.line = emptyLine(current.history);
      current.queue.push(...statements(text));
      void work();
    };

    const interrupted = (cancelled: boolean): void => {
      if (current.busy) {
        current.queue.length = 0;
        interrupt();
      } else if (cancelled) {
        setNote("");
      } else if (current.asked) {
        setLeft(true);
      } else {
        current.asked = true;
        setNote("Ctrl-C again, or Ctrl-D, leaves.");
      }
    };

    const pressed = (piece: string): void => {
      for (const key of keysOf(piece)) {
        const before = current.line;
        const around = { history: current.history, complete: (text: string) => complete(desk, text) };
        const { line, wish } = press(before, key, around);
        current.line = line;
        if (wish !== "interrupt") {
          current.asked = false;
          setNote("");
        }
        if (wish === "submit") submit();
        else if (wish === "interrupt") interrupted(before.text.length > 0);
        else if (wish === "leave") setLeft(true);
        else if (wish === "clear-screen") stdout.write("\x1b[2J\x1b[3J\x1b[H");
        else if (wish === "page-up") setScrolled((by) => by - 4);
        else if (wish === "page-down") setScrolled((by) => by + 4);
      }
      redraw();
    };

    setRawMode(true);
    input.on("input", pressed);
    return () => {
      input.off("input", pressed);
      setRawMode(false);
    };
  }, [desk, input, setRawMode, remember, interrupt, stdout, style]);

  const { line, history } = now.current;
  const prompt = promptText(line, desk, style);
  const hint = busy !== "" ? `${busy} ${progress()}  Ctrl-C ends it` : hintText(line, note, history.length);
  // The prompt may need several rows, and a screen that is filled flickers.
  const promptRows = Math.max(1, Math.ceil((PROMPT.length + line.text.length + 24) / size.columns));
  const most = Math.max(12, Math.floor(size.rows * 0.62));
  const rows = Math.min(most, size.rows - 1) - promptRows - 1;
  const panels = panelLines(standing, { columns: size.columns, rows, scrolled }, style);
  return (
    <>
      <Static items={[...answers]}>
        {(text, at) => <Text key={at}>{hanging(text, size.columns)}</Text>}
      </Static>
      {left ? null : (
        <Box flexDirection="column">
          {panels.length > 0 ? <Text wrap="truncate">{panels.join("\n")}</Text> : null}
          <Text>{prompt}</Text>
          <Text wrap="truncate">{style.dim(clip(hint, size.columns))}</Text>
        </Box>
      )}
    </>
  );
}

/** What a statement gives, or why it could not be done. A fault of guplab is shown whole, and the session goes on. */
async function answered(desk: Desk, statement: string, style: Style): Promise<string> {
  try {
    return (await runLine(desk, statement)).text;
  } catch (error) {
    const sentence = sentenceOf(error);
    const whole = error instanceof Error ? error.stack : String(error);
    return style.bad(sentence === null ? `! This is a fault of guplab itself: ${whole}` : `! ${sentence}`);
  }
}

function promptText(line: Line, desk: Desk, { bold, dim, cursor }: Style): string {
  const { text, cursor: at, search } = line;
  const start = search === null ? bold(PROMPT) : bold(`search "${search}": `);
  const under = text[at];
  const before = text.slice(0, at).join("");
  const after = text.slice(at + 1).join("");
  if (under !== undefined) return `${start}${before}${cursor(under)}${after}`;
  const ghost = before === "" || search !== null ? "" : complete(desk, before).ghost;
  return `${start}${before}${cursor(ghost.charAt(0) || " ")}${dim(ghost.slice(1))}`;
}

const hintText = (line: Line, note: string, remembered: number): string => {
  if (note !== "") return note;
  if (line.offers.length > 0) return line.offers.join("  ");
  if (line.search !== null)
    return line.at < remembered || line.search === ""
      ? "Enter runs it, Ctrl-R looks further, Ctrl-C gives up"
      : "not in the history";
  return KEYS;
};
