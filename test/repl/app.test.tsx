/** The Ink program without a terminal: what is on the screen after which keys. */
import { stripVTControlCharacters } from "node:util";
import { cleanup, render } from "ink-testing-library";
import { afterEach, expect, test, vi } from "vitest";
import { App } from "../../repl/app.js";
import { Desk, type Host, type Searched } from "../../src/lab/desk.js";

afterEach(cleanup);

function start(history: readonly string[] = []) {
  const remembered: string[] = [];
  let stop: (() => void) | null = null;
  const host = {
    columns: 100,
    rows: 40,
    color: false,
    explore: () =>
      new Promise<Searched>((resolve) => {
        stop = () =>
          resolve({ text: "stopped early", report: { verdict: "incomplete" } as Searched["report"] });
      }),
  } as unknown as Host;
  const interrupt = (): boolean => {
    stop?.();
    return stop !== null;
  };
  const ink = render(
    <App
      desk={new Desk(host)}
      history={history}
      remember={(line) => remembered.push(line)}
      interrupt={interrupt}
      progress={() => "42 states"}
    />,
  );
  /** The screen without the codes that show the cursor. */
  const screen = (): string => stripVTControlCharacters(ink.lastFrame() ?? "");
  const seen = (text: string): Promise<void> =>
    vi.waitFor(() => expect(screen()).toContain(text), { timeout: 5000 });
  const gone = (text: string): Promise<void> =>
    vi.waitFor(() => expect(screen()).not.toContain(text), { timeout: 5000 });
  return { seen, gone, screen, remembered, type: (text: string) => ink.stdin.write(text) };
}

test("a chunk with two lines runs both, in order, and they are remembered", async () => {
  const { type, seen, screen, remembered } = start();
  await seen("guplab>");
  type("until buffers-gone\rback\r");
  await seen("known up to");
  expect(screen()).toMatch(/0 L_U________P {3}4/);
  expect(remembered).toEqual(["until buffers-gone", "back"]);
});

test("a complaint stands in the answers; the prompt goes on", async () => {
  const { type, seen } = start();
  type("page 9\r");
  await seen("! there is no page 9: this machine has only page 0");
  type("page 0\r");
  await seen("page_maybe_dma_pinned");
});

test("the ghost, Tab and what it offers", async () => {
  const { type, seen } = start();
  type("unt");
  await seen("guplab> until");
  type("\tbuffers-");
  await seen("guplab> until buffers-gone");
  type("\x15pag\t\t");
  await seen("pages  page");
});

test("history from an earlier session", async () => {
  const { type, seen } = start(["step 3", "tasks"]);
  type("\x1b[A");
  await seen("guplab> tasks");
  type("\x12st");
  await seen('search "st": step 3');
});

test("Ctrl-C ends a search, then cancels a line, then asks, then leaves", async () => {
  const { type, seen, gone } = start();
  type("explore\r");
  await seen("explore 42 states  Ctrl-C ends it");
  type("\x03");
  await seen("stopped early");
  type("abc");
  await seen("guplab> abc");
  type("\x03");
  await gone("abc");
  type("\x03");
  await seen("Ctrl-C again, or Ctrl-D, leaves.");
  type("\x03");
  await gone("Ctrl-C again");
});
