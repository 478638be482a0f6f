/** The guplab command as a program: output, exit codes, one JSON document and nothing else. */
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "dist", "src", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "guplab-cli-"));

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** Run guplab with these arguments in a folder of its own; standard input is a pipe. */
const guplab = (args: readonly string[], input = ""): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [main, ...args], { cwd: folder, input, encoding: "utf8" });

describe("guplab run", () => {
  test("--json: the report, byte for byte the same twice; 3 for a fault", () => {
    const first = guplab(["run", "kara-2018", "--json"]);
    expect([first.status, first.stderr]).toEqual([3, ""]);
    const report = JSON.parse(first.stdout);
    expect(Object.keys(report)).toEqual(["scenario", "kernel", "outcomes", "faults", "counters", "replay"]);
    expect(report).toMatchObject({
      scenario: "kara-2018",
      kernel: "v4.20",
      outcomes: ["BUG", "HANG", "WARN"],
    });
    for (const fault of report.faults)
      expect(Object.keys(fault)).toEqual(["kind", "path", "step", "pfn", "task", "tick"]);
    expect(report.counters).toMatchObject({ pgsteal_kswapd: 0 });
    expect(guplab(["run", "kara-2018", "--json"]).stdout).toBe(first.stdout);
    expect(guplab(["run", "kara-2018", "--schedule", report.replay, "--json"]).stdout).toBe(first.stdout);
    const schedule = report.replay.split(":")[1];
    expect(guplab(["run", "kara-2018", "--schedule", schedule, "--json"]).stdout).toBe(first.stdout);
  });

  test("0 when nothing is wrong", () => {
    const { status, stdout } = guplab(["run", "kara-2018-quiet", "--seed", "2"]);
    expect([status, stdout.split("\n")[0]]).toEqual([
      0,
      expect.stringMatching(/^kara-2018-quiet on v4\.20: OK/),
    ]);
  });

  test("--plot writes a page and a picture of each figure", () => {
    const beside = ["--beside", "kara-2018@v6.4"];
    expect(guplab(["run", "kara-2018", "--plot", "figures", ...beside]).status).toBe(3);
    expect(readdirSync(join(folder, "figures")).sort()).toEqual([
      "beside.svg",
      "dirty.svg",
      "figures.html",
      "flow.svg",
      "heat.svg",
      "lanes.svg",
      "life.svg",
      "owners.svg",
      "page.svg",
      "pins.svg",
      "reclaim.svg",
      "waits.svg",
    ]);
    const page = readFileSync(join(folder, "figures", "figures.html"), "utf8");
    expect(page.match(/class="guplab-figure"/g)).toHaveLength(11);
    expect(page.length).toBeLessThan(4e6);
  });

  test("--png writes a picture in pixels beside each, and says what it needs", () => {
    expect(guplab(["run", "kara-2018-quiet", "--seed", "2", "--plot", "pixels", "--png"]).status).toBe(0);
    const pictures = readdirSync(join(folder, "pixels")).filter((name) => name.endsWith(".png"));
    expect(pictures).toHaveLength(10);
    for (const name of pictures)
      expect(readFileSync(join(folder, "pixels", name)).toString("latin1", 1, 4)).toBe("PNG");
    expect(guplab(["run", "kara-2018-quiet", "--png"])).toMatchObject({
      status: 1,
      stderr: "guplab: --png says how the figures of --plot are written: write --plot FOLDER as well\n",
    });
  });
});

describe("guplab explore", () => {
  test("--json on a control: safe, with the number of states", () => {
    const { status, stdout, stderr } = guplab(["explore", "kara-2018-quiet", "--json"]);
    expect([status, stderr]).toEqual([0, ""]);
    const report = JSON.parse(stdout);
    expect(Object.keys(report)).toEqual([
      "scenario",
      "kernel",
      "pages",
      "drivers",
      "verdict",
      "outcomes",
      "states",
      "transitions",
      "witness",
      "lockdep",
    ]);
    expect(report).toMatchObject({ verdict: "safe", outcomes: ["OK"], pages: 1, drivers: 1, witness: null });
    expect(guplab(["explore", "kara-2018-quiet", "--json"]).stdout).toBe(stdout);
  });

  test("--timing adds the processor time, --max-states a bound", () => {
    const timed = JSON.parse(guplab(["explore", "kara-2018-private", "--json", "--timing"]).stdout);
    expect(timed.cpuSeconds).toBeGreaterThan(0);
    const bounded = guplab(["explore", "kara-2018-touch", "--max-states", "5000", "--json"]);
    expect(bounded.status).toBe(0);
    expect(JSON.parse(bounded.stdout)).toMatchObject({ verdict: "incomplete", cutShort: { by: "states" } });
    const small = guplab(["explore", "kara-2018-touch", "--max-memory", "1", "--json"]);
    expect(JSON.parse(small.stdout)).toMatchObject({ verdict: "incomplete", cutShort: { by: "memory" } });
    const short = guplab(["explore", "kara-2018,drivers=2", "--max-seconds", "1", "--json"]);
    expect(JSON.parse(short.stdout)).toMatchObject({ verdict: "fault", cutShort: { by: "time" } });
  });

  test("a fault: 3, and the shortest schedule as named steps, which leads to it", () => {
    const { status, stdout } = guplab(["explore", "kara-2018", "--max-states", "400000", "--json"]);
    expect(status).toBe(3);
    const { witness, verdict, outcomes } = JSON.parse(stdout);
    expect(verdict).toBe("fault");
    expect(outcomes[0]).toBe("BUG");
    expect(witness.steps.at(-1)).toMatchObject({ task: "flusher", pfn: 0 });
    const replayed = guplab(["run", "kara-2018", "--schedule", witness.replay, "--json"]);
    expect(JSON.parse(replayed.stdout).outcomes).toContain("BUG");
  });
});

describe("guplab compare", () => {
  const recording = join(root, "notebooks", "data", "c-pvmw-pageout-6.1");

  test("0 where guplab does what the real kernel did, and what was looked at", () => {
    const { status, stdout, stderr } = guplab(["compare", recording]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^c-pvmw-pageout-6\.1: strip pvmw pageout .* against v6\.1\.192: agree\n {2}compared: 9 outcomes, 25 counters, 16 lives of pages\n/,
    );
  });

  test("3 where it does not, each difference named; --json is one document", () => {
    const { status, stdout } = guplab(["compare", recording, "--kernel", "v6.1", "--json"]);
    const { agree, compared, scripts } = JSON.parse(stdout);
    expect([status, agree]).toEqual([3, false]);
    expect(compared.filter((each: { agree: boolean }) => !each.agree)[0]).toMatchObject({
      what: "buffers_stripped_while_pinned",
      real: "false",
      guplab: "true",
    });
    expect(scripts[0]).toContain("madvise 0 16 pageout --by A");
  });

  test.each([
    ["/nowhere", "/nowhere is no folder: a recording is a folder with outcome.json and trace.txt.gz"],
    [join(root, "src"), "src has no outcome.json"],
  ])("%s: 1, one sentence", (where, sentence) => {
    const { status, stderr, stdout } = guplab(["compare", where]);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(sentence);
  });
});

describe("guplab repl, and commands on a pipe", () => {
  test("a session end to end", () => {
    const script = "# crash it\nrun; goto 0\npage 0\nuntil buffers-gone; save crash.json\n";
    const { status, stdout, stderr } = guplab([], script);
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout.match(/^> .*/gm)).toEqual([
      "> run",
      "> goto 0",
      "> page 0",
      "> until buffers-gone",
      "> save crash.json",
    ]);
    expect(JSON.parse(readFileSync(join(folder, "crash.json"), "utf8"))).toMatchObject({
      scenario: "kara-2018",
    });
    const loaded = guplab(["repl", "-e", "open crash.json; page 0", "--json"]);
    expect(loaded.status).toBe(0);
    const [, page] = JSON.parse(loaded.stdout);
    expect(page).toMatchObject({ command: "page 0", result: { buffers: "none", pins: 1 } });
  });

  test("without a command: the guided crash", () => {
    const { status, stdout } = guplab([]);
    expect(status).toBe(3);
    expect(stdout).toContain("1/8 tick");
    expect(stdout).toContain("| BUG: page_buffers: BUG_ON(!PagePrivate(page))");
    expect(stdout.split("\n").length).toBeLessThan(50);
    expect(guplab([]).stdout).toBe(stdout);
  });

  test("a script file, and quit in the middle", () => {
    writeFileSync(join(folder, "script.txt"), "step 3\nquit\npage 99\n");
    expect(guplab(["repl", "script.txt"]).status).toBe(0);
  });

  test("a line that cannot be done ends it: 1, the sentence, and the JSON is whole", () => {
    const { status, stdout, stderr } = guplab(["repl", "--json", "-e", "step; page 9; tasks"]);
    expect([status, stderr]).toEqual([
      1,
      "guplab: page 9: there is no page 9: this machine has only page 0\n",
    ]);
    expect(JSON.parse(stdout)).toMatchObject([
      { command: "step" },
      { command: "page 9", error: "there is no page 9: this machine has only page 0" },
    ]);
  });

  test("lines are answered as they come", async () => {
    const child = spawn(process.execPath, [main], { cwd: folder });
    let stdout = "";
    const answered = new Promise<void>((resolve) => {
      child.stdout.on("data", (chunk) => {
        stdout += chunk;
        if (stdout.includes("kswapd")) resolve();
      });
    });
    child.stdin.write("tasks\n");
    await answered;
    child.stdin.end("quit\n");
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});

test.each([["scenarios"], ["kernels"], ["proposals"]])("guplab %s: a list, and as JSON", (name) => {
  expect(guplab([name]).stdout).toMatch(/^ {2}\S/);
  expect(JSON.parse(guplab([name, "--json"]).stdout).length).toBeGreaterThan(0);
});

describe("what a verdict rests on", () => {
  test("explore --power-cut is power-cut=yes", () => {
    const { status, stdout } = guplab(["explore", "kara-2018-private", "--power-cut", "--json"]);
    expect([status, JSON.parse(stdout).scenario]).toEqual([0, "kara-2018-private,power-cut=yes"]);
  });

  test("safety: 0 for a safe verdict, vacuous or not; 3 for a fault", () => {
    const { status, stdout } = guplab(["safety", "W5", "-k", "2026", "--json"]);
    expect([status, JSON.parse(stdout).verdict]).toEqual([0, "safe"]);
    expect(JSON.parse(stdout).vacuous).toContain("no page is pinned");
    expect(guplab(["safety", "fork-write"]).status).toBe(3);
  });

  test("liveness: 3 where something goes on for ever for certain", () => {
    const { status, stdout } = guplab(["liveness", "pressure", "-k", "2026"]);
    expect([status, stdout.split("\n")[0]]).toEqual([3, "pressure on 2026: SOMETHING GOES ON FOR EVER"]);
    expect(guplab(["liveness", "trunc-cache"]).status).toBe(0);
  });
});

test.each([[[]], [["run"]], [["explore"]], [["nb"]], [["repl"]]])(
  "%j --help teaches with examples",
  (command) => {
    const { status, stdout, stderr } = guplab([...command, "--help"]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("Examples:");
    expect(stdout).toContain("Exit codes:");
  },
);

describe("usage and input errors: 1, one sentence, nothing on standard output, nothing written", () => {
  test.each([
    [["frob"], 'there is no command "frob"; guplab --help lists them'],
    [["run"], "missing required argument 'scenario'"],
    [["run", "kara-2018", "extra"], "too many arguments for 'run'. Expected 1 argument but got 2."],
    [["run", "nope"], /^there is no scenario "nope"; known: kara-2018/],
    [["run", "kara-2018", "-k", "v9"], /^there is no kernel "v9"; known: v4\.20/],
    [["run", "kara-2018", "--seed", "x"], /'x' is invalid\. It is a whole number from 0 to 1000000000\.$/],
    [["run", "kara-2018", "--seed", "1", "--schedule", "r1"], /cannot be used with option/],
    [["run", "kara-2018", "--schedule", "!"], /^"!" is not a schedule: write letters and counts/],
    [
      ["run", "kara-2018", "--schedule", "d1"],
      /^the schedule does not fit kara-2018 on v4\.20: at step 1, disk cannot move/,
    ],
    [
      ["run", "kara-2018", "--schedule", "kara-2018-quiet@v4.20:r1"],
      "the replay line is of kara-2018-quiet, not of kara-2018",
    ],
    [
      ["run", "kara-2018", "--beside", "kara-2018@v6.4"],
      "--beside adds a figure to those of --plot: write --plot FOLDER as well",
    ],
    [["run", "kara-2018", "--plot", "none/there"], "none/there cannot be made a folder for the figures"],
    [["run", "kara-2018", "--frob"], "unknown option '--frob'"],
    [["explore", "nope"], /^there is no scenario "nope"/],
    [
      ["explore", "kara-2018", "--pages", "65"],
      "pages of scenario kara-2018 is a whole number from 1 to 64, not 65",
    ],
    [
      ["explore", "kara-2018-touch", "--drivers", "2"],
      /^scenario kara-2018-touch has no parameter "drivers"/,
    ],
    [["nb", "frob"], 'guplab nb does run, check or render, not "frob"'],
    [["repl", "none.txt"], "none.txt cannot be read: there is no such file"],
    [["repl", "x", "-e", "y"], "guplab repl takes commands from a file or from -e, not from both"],
  ])("%j", (args, sentence) => {
    mkdirSync(join(folder, "empty"), { recursive: true });
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
      cwd: join(folder, "empty"),
      input: "",
      encoding: "utf8",
    });
    expect([status, stdout]).toEqual([1, ""]);
    const lines = stderr.trimEnd().split("\n");
    expect(lines[0].startsWith("guplab: ")).toBe(true);
    const said = lines[0].slice("guplab: ".length);
    if (typeof sentence === "string") expect(said).toBe(sentence);
    else expect(said).toMatch(sentence);
    expect(stderr).not.toContain("    at ");
    expect(readdirSync(join(folder, "empty"))).toEqual([]);
  });
});

test("a reader that has seen enough is no fault", async () => {
  const child = spawn(process.execPath, [main, "repl", "-e", "run; log 200; paths; counters"], {
    cwd: folder,
  });
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  await once(child, "exit");
  expect(stderr).toBe("");
});
