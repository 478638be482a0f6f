/** The REPL in a real terminal: tmux types and shows the screen. Waits are for what is on it, never for a time. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "dist", "src", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "guplab-repl-"));
let terminals = 0;

/** Each terminal has a server of its own: one that is leaving takes no new one. */
const tmux = (...args: string[]): string =>
  execFileSync("tmux", ["-L", `guplab-${process.pid}-${terminals}`, "-f", "/dev/null", ...args], {
    encoding: "utf8",
  });
const screen = (): string => tmux("capture-pane", "-p", "-t", "repl");
const seen = (text: string | RegExp): Promise<void> =>
  vi.waitFor(() => expect(screen()).toMatch(text), { timeout: 20_000, interval: 50 });
const keys = (...names: string[]): string => tmux("send-keys", "-t", "repl", ...names);
/** Type text and press Enter. */
const say = (text: string): void => {
  tmux("send-keys", "-t", "repl", "-l", text);
  keys("Enter");
};

/** A terminal of this size with guplab in it. */
async function open(columns: number, rows: number, settings = "", command = ""): Promise<void> {
  terminals++;
  const shell = `env CI=true XDG_STATE_HOME=${folder} ${settings} ${process.execPath} ${main} ${command}; echo "left with $?"; cat`;
  tmux("new-session", "-d", "-s", "repl", "-x", String(columns), "-y", String(rows), shell);
}

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
});
afterEach(() => {
  try {
    tmux("kill-server");
  } catch {}
});
afterAll(() => rmSync(folder, { recursive: true }));

test("crash the kernel, and step back to the moment before the buffers went", async () => {
  await open(80, 24);
  await seen(/^guplab>/m);
  say("run");
  await seen(/over {2}WARN BUG HANG/);
  expect(screen()).toMatch(/f flusher dead/);
  say("back buffers-gone");
  await seen(/^ {2}0 L_U________P {3}4 {3}0 {4}1 clean/m);
  expect(screen()).toMatch(/k kswapd {2}can move {2}ext4_releasepage: try_to_free_buffers/);
  say("step");
  await seen(/^ {2}0 L_U_________ {3}3 {3}0 {4}1 none/m);
  keys("C-d");
  await seen(/replay: kara-2018@v4\.20:r/);
  await seen(/left with 0/);
});

test("a resize in both directions leaves one frame", async () => {
  await open(80, 24);
  await seen(/^guplab>/m);
  say("step 20");
  await seen(/tick 20 ─/);
  for (const [columns, rows] of [
    [120, 40],
    [60, 12],
    [100, 30],
  ]) {
    tmux("resize-window", "-t", "repl", "-x", String(columns), "-y", String(rows));
    const whole = new RegExp(`^── kara-2018.*tick 20 ─{${columns - 40},}$`, "m");
    await seen(whole);
    await seen(/^guplab> *$/m);
  }
  expect(screen().match(/^── kara-2018/gm)).toHaveLength(1);
});

test("chunks: a paste with lines waits for Enter, typed lines run", async () => {
  await open(100, 30);
  await seen(/^guplab>/m);
  tmux("set-buffer", "step 3\npages # look\n");
  tmux("paste-buffer", "-p", "-t", "repl");
  await seen(/guplab> step 3; pages/);
  keys("Enter");
  await seen(/tick 3 ─/);
  tmux("set-buffer", "step 4\rfaults\rhelp pa");
  tmux("paste-buffer", "-r", "-t", "repl");
  await seen(/None so far\.[\s\S]*tick 7 ─[\s\S]*guplab> help pa/);
});

test("Ctrl-C cancels a line, ends a search, and leaves when pressed twice", async () => {
  await open(100, 30);
  await seen(/^guplab>/m);
  tmux("send-keys", "-t", "repl", "-l", "abcdef");
  await seen(/guplab> abcdef/);
  keys("C-c");
  await seen(/^guplab> *$/m);
  say("explore kara-2018-touch");
  await seen(/\d+ states, \d+ to expand/);
  keys("C-c");
  await seen(/not every interleaving: \d+ states/);
  await seen(/guplab> *\n *Tab completes/);
  keys("C-c");
  await seen(/Ctrl-C again, or Ctrl-D, leaves/);
  keys("C-c");
  await seen(/left with 0/);
});

test("completion, the ghost, and the history of an earlier session", async () => {
  await open(80, 24);
  await seen(/^guplab>/m);
  tmux("send-keys", "-t", "repl", "-l", "unt");
  await seen(/guplab> until/);
  keys("Tab");
  await seen(/guplab> until EVENT/);
  keys("C-u");
  say("step kswapd");
  await seen(/tick 1 ─/);
  keys("C-d");
  await seen(/left with 0/);
  tmux("kill-server");
  await open(80, 24);
  await seen(/^guplab>/m);
  keys("C-r");
  tmux("send-keys", "-t", "repl", "-l", "ksw");
  await seen(/search "ksw": step kswapd/);
  keys("Enter");
  await seen(/tick 1 ─/);
});

test("NO_COLOR: no colours, the cursor apart", async () => {
  await open(80, 24, "NO_COLOR=1");
  await seen(/^guplab>/m);
  say("run");
  await seen(/over {2}WARN BUG HANG/);
  const codes = tmux("capture-pane", "-e", "-p", "-t", "repl").split("\x1b[").slice(1);
  expect(
    codes.map((code) => code.split("m")[0]).filter((code) => !["0", "7", "27", "39", "49"].includes(code)),
  ).toEqual([]);
});

test("guplab explore shows how far it is; Ctrl-C ends it with the bound", async () => {
  await open(100, 30, "", "explore kara-2018-touch");
  await seen(/\d+ states, \d+ to expand, \d+ steps deep/);
  keys("C-c");
  await seen(/INCOMPLETE[\s\S]*not every interleaving: \d+ states[\s\S]*left with 0/);
});
