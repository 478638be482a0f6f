/** Commands that search and explain, as programs: a good run of each on a small scenario, and bad input. */
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatDuration } from "../../src/lab/durations.js";
import { TIMES } from "../../src/lab/rate.js";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "dist", "src", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "guplab-searches-"));
const TORN = "dio-write-race@v4.20:w10t1m2";

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

const guplab = (...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: "utf8" });

describe("guplab danger", () => {
  it("names the point of no return, and tells of each step; 3, for the fault can be reached", () => {
    const { status, stdout, stderr } = guplab("danger", TORN);
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout).toContain("bound: every interleaving, 139 states");
    expect(stdout).toContain(
      "The point of no return is step 11 (toucher, cpu_access: access): after it no way avoids TORN.",
    );
    expect(stdout).toMatch(/^11 {2}CERTAIN +2 {2}toucher/m);
  });

  it("--json: a status for each step", () => {
    const report = JSON.parse(guplab("danger", TORN, "--kind", "torn", "--json").stdout);
    expect(report).toMatchObject({ kind: "TORN", certainFrom: 11, happenedAt: 13, complete: true });
    expect(report.steps).toHaveLength(13);
    expect(report.steps[9].status).toBe("possible");
  });
});

describe("guplab orderings", () => {
  it("says which are necessary", () => {
    const { status, stdout, stderr } = guplab("orderings", "dio-write-race");
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout).toMatch(/^NECESSARY {2}11 toucher: access +13 dma: DMA +content 0 version$/m);
    const { orderings } = JSON.parse(guplab("orderings", "dio-write-race", "--json").stdout);
    expect(orderings.map(({ necessary }: { necessary: boolean }) => necessary)).toEqual([true, true, true]);
  });

  it("draws them, as danger draws a run", () => {
    const [svg, png, none] = ["before.svg", "danger.png", join("none", "x.svg")].map((name) =>
      join(folder, name),
    );
    expect(guplab("orderings", "dio-write-race", "--svg", svg).status).toBe(3);
    expect(readFileSync(svg, "utf8")).toContain("in every way to the fault");
    guplab("danger", TORN, "--png", png);
    expect(readFileSync(png).toString("latin1", 1, 4)).toBe("PNG");
    expect(guplab("orderings", "dio-write-race", "--svg", none)).toMatchObject({
      status: 1,
      stderr: `guplab: ${none} cannot be written: there is no such file or folder\n`,
    });
  });
});

describe("guplab rate", () => {
  it("--help names each time with the mean that it has", () => {
    const help = guplab("rate", "--help").stdout.replace(/\s+/g, " ");
    for (const [name, { standard }] of Object.entries(TIMES)) {
      const [, told] = help.split(`--${name.replace("_", "-")} <time>`);
      expect(told.split(" --")[0], name).toContain(`default ${formatDuration(standard)}`);
    }
  });

  it("says how often, and that it is synthetic; 0 where it never happens", () => {
    const { status, stdout, stderr } = guplab("rate", "dio-write-race", "--dma", "10ms", "--think", "1s");
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout).toMatch(
      /^mean time to TORN: 3\.35 minutes \(2\.01e\+2 s\) \[synthetic: step=1us dma=10ms/m,
    );
    const report = JSON.parse(guplab("rate", "dio-write-race", "--pinned", "2", "--json").stdout);
    expect(report.synthetic).toMatchObject({ pinned: 2, times_s: { dma: 1e-3 } });
    expect(report.exact.exact).toBe(true);
    const never = guplab("rate", "kara-2018-quiet");
    expect([never.status, never.stderr]).toEqual([0, ""]);
  });
});

describe("guplab walk", () => {
  it("counts what is met, the same twice; 0 where nothing is", () => {
    const once = guplab("walk", "kara-2018-quiet", "--walks", "50", "--json");
    expect([once.status, once.stderr]).toEqual([0, ""]);
    const report = JSON.parse(once.stdout);
    expect(report.strategies.map(({ strategy }: { strategy: string }) => strategy)).toEqual([
      "pct",
      "sticky",
      "uniform",
    ]);
    expect(guplab("walk", "kara-2018-quiet", "--walks", "50", "--json").stdout).toBe(once.stdout);
  });

  it("3 where a fault is met, with a line that leads to it", () => {
    const { status, stdout } = guplab("walk", "dio-write-race", "--strategy", "sticky", "--walks", "100");
    expect(status).toBe(3);
    expect(stdout).toMatch(/^ {2}TORN: in \d+ \(/m);
    const replay = /^replay: (\S+)$/m.exec(stdout)?.[1] ?? "";
    expect(guplab("run", "dio-write-race", "--schedule", replay).status).toBe(3);
  });
});

describe("guplab explore", () => {
  it("--fewest switches adds the way with the fewest context switches", () => {
    const args = ["explore", "dio-write-race", "--json"];
    const report = JSON.parse(guplab(...args, "--fewest", "switches").stdout);
    expect(report.simplest).toMatchObject([{ kind: "TORN", switches: 2, steps: 13, proven: true }]);
    expect(report.simplestSteps).toHaveLength(13);
    expect(Object.keys(JSON.parse(guplab(...args).stdout))).not.toContain("simplest");
  });

  it("--certificate writes what guplab check confirms", () => {
    const { status, stdout, stderr } = guplab("explore", "kara-2018-quiet", "--certificate", "quiet.json");
    expect([status, stderr, stdout.split("\n")[0]]).toEqual([0, "", "kara-2018-quiet on v4.20: SAFE"]);
    const checked = guplab("check", "quiet.json");
    expect([checked.status, checked.stderr]).toEqual([0, ""]);
    expect(checked.stdout).toMatch(/^kara-2018-quiet on v4\.20: confirmed: 3165 states, /);
    const claimed = JSON.parse(readFileSync(join(folder, "quiet.json"), "utf8"));
    writeFileSync(join(folder, "wrong.json"), JSON.stringify({ ...claimed, states: 3164 }));
    const wrong = guplab("check", "wrong.json", "--json");
    expect(wrong.status).toBe(3);
    expect(JSON.parse(wrong.stdout)).toMatchObject({
      confirmed: false,
      differences: [{ what: "states", claimed: 3164, found: 3165 }],
    });
  });

  it("--certificate writes none of a search that was cut short, whose verdict is printed", () => {
    const args = ["explore", "kara-2018-touch", "--max-states", "5000", "--certificate", "none.json"];
    const { status, stdout, stderr } = guplab(...args);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^kara-2018-touch on v4\.20: INCOMPLETE$/m);
    expect(stderr).toBe("guplab: no certificate was written: the search is not complete\n");
    expect(existsSync(join(folder, "none.json"))).toBe(false);
  });

  it("--emit-promela writes a model with a process for each task", () => {
    const { status, stdout, stderr } = guplab("explore", "kara-2018-quiet", "--emit-promela", "quiet.pml");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toBe("wrote quiet.pml: its first lines say how Spin takes it\n");
    const model = readFileSync(join(folder, "quiet.pml"), "utf8");
    expect(model).toMatch(/^\/\* kara-2018-quiet on v4\.20: 3165 states\.$/m);
    expect(model.match(/^active proctype \w+/gm)).toHaveLength(4);
  });

  it("Ctrl-C ends a search for a model: 1, one sentence, and no file", async () => {
    const child = spawn(
      process.execPath,
      [main, "explore", "kara-2018,drivers=2", "--emit-promela", "c.pml"],
      {
        cwd: folder,
      },
    );
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    setTimeout(() => child.kill("SIGINT"), 3000);
    expect(await once(child, "exit")).toEqual([1, null]);
    expect(stderr).toBe(
      "guplab: kara-2018,drivers=2 on v4.20: no model can be written, the search is not complete\n",
    );
    expect(existsSync(join(folder, "c.pml"))).toBe(false);
  });
});

describe("why, in the REPL", () => {
  it("tells the chain of steps behind a word", () => {
    const { status, stdout } = guplab("repl", "-e", `replay ${TORN}; why content:0 version`);
    expect(status).toBe(3);
    expect(stdout).toMatch(/^content 0 version \d+→\d+ in step 11, toucher, cpu_access: access$/m);
  });
});

describe("bad input: 1, one sentence, nothing written", () => {
  it.each([
    [["danger", "frob"], /^"frob" is no replay line: it reads scenario@kernel:schedule/],
    [["danger", TORN, "--kind", "frob"], /^there is no kind of fault "frob"; known: BUG, UAF/],
    [["danger", TORN, "--kind", "BUG"], /^no BUG was found here; found: TORN$/],
    [["danger", TORN, "--max-states", "0"], /'0' is invalid\. It is a whole number from 1 /],
    [["danger", "kara-2018-quiet@v4.20:r2"], /^no fault was found here: there is no danger to tell of$/],
    [["danger", "dio-write-race@v4.20:m1"], /^the schedule does not fit .*: at step 1, dma cannot move/],
    [["danger", "sandbox@v4.20:"], /^sandbox takes orders: /],
    [["orderings", "kara-2018-quiet"], /no fault was found that could need an ordering$/],
    [["orderings", "nope"], /^there is no scenario "nope"/],
    [["orderings", "dio-write-race", "--max-states", "0"], /'0' is invalid/],
    [["rate", "dio-write-race", "--dma", "soon"], /^"soon" is no time: write a number and ns, us, ms, /],
    [["rate", "dio-write-race", "--kswapd", "1s"], /^dio-write-race has no time "kswapd": /],
    [["rate", "dio-write-race", "--pinned", "0"], /'0' is invalid/],
    [["rate", "dio-write-race", "--method", "guess"], /Allowed choices are exact, brute, sampling, all\.$/],
    [["walk", "kara-2018-quiet", "--strategy", "frob"], /Allowed choices are pct, sticky, uniform\.$/],
    [["walk", "kara-2018-quiet", "--walks", "0"], /'0' is invalid\. It is a whole number from 1 /],
    [["walk", "kara-2018-quiet", "--depth", "0"], /'0' is invalid/],
    [["walk", "sandbox"], /^sandbox takes orders: /],
    [["check", "nowhere.json"], /^nowhere\.json cannot be read: there is no such file$/],
    [["check", main], /^this is no certificate: it is not whole JSON; guplab explore SCENARIO --certificate/],
    [["explore", "sandbox"], /^sandbox takes orders: what can happen to it depends on what is said$/],
    [["explore", "kara-2018-quiet", "--max-states", "0"], /'0' is invalid\. It is a whole number from 1 /],
    [["explore", "kara-2018-quiet", "--fewest", "frob"], /Allowed choices are steps, switches\.$/],
    [["explore", "W10,pages=65"], /^pages of scenario pressure is a whole number from 1 to 64, not 65$/],
    [["explore", "kara-2018-quiet", "--emit-promela", "no/where"], /^no\/where cannot be written: /],
    [["explore", "kara-2018", "--max-states", "9", "--emit-promela", "x"], /no model can be written/],
    [["repl", "-e", "why 0 PG_frob"], /^why 0 PG_frob: there is no cell "page 0 PG_frob"/],
    [["repl", "-e", "why 7 flags"], /^why 7 flags: there is no /],
  ] as const)("%j", (args, sentence) => {
    const { status, stdout, stderr } = guplab(...args);
    expect(status).toBe(1);
    if (args[0] !== "repl") expect(stdout).toBe("");
    expect(stderr.startsWith("guplab: ")).toBe(true);
    expect(stderr.trimEnd().slice("guplab: ".length)).toMatch(sentence);
    for (const file of ["no", "x"]) expect(existsSync(join(folder, file))).toBe(false);
  });
});
