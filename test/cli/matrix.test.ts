/** guplab matrix as a program: it keeps what it has computed, goes on where it was ended, and puts results of several machines together. */
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "dist", "src", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "guplab-matrix-"));
const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache") };
const kept = join(folder, "cache", "guplab", "matrix");

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

const guplab = (...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [main, "matrix", ...args], { cwd: folder, env, encoding: "utf8" });

describe("guplab matrix --cell", () => {
  test("prints the outcomes with their bounds; 3 for a fault, 0 for none", () => {
    const torn = guplab("--cell", "hubbard-ttu-2018", "W6");
    expect(torn.status).toBe(3);
    expect(torn.stdout).toMatch(
      /^W6 \(write-during-wb\) on v4\.20\+hubbard-ttu-2018\nbound: 1 page, 1 driver, every interleaving: /,
    );
    expect(torn.stdout).toMatch(/^TORN: \d+ steps, \d+ switches, no way is shorter$/m);
    const fine = guplab("--cell", "v4.20", "W2", "--json");
    expect([fine.status, JSON.parse(fine.stdout).outcomes[0].kind]).toEqual([0, "OK"]);
  });

  test("one sentence for a row or a column that is not there, and 1", () => {
    for (const [args, sentence] of [
      [["v4.20", "W40"], 'guplab: there is no column "W40"; the matrix has W1 to W18\n'],
      [["v4.20"], "guplab: --cell takes a row and a column: guplab matrix --cell hubbard-ttu-2018 W1\n"],
    ] as const) {
      const { status, stdout, stderr } = guplab("--cell", ...args);
      expect([status, stdout, stderr]).toEqual([1, "", sentence]);
    }
    expect(guplab("--cell", "nobody", "W1").stderr).toMatch(/^guplab: there is no kernel "nobody"/);
  });
});

describe("cells are kept", () => {
  test("and read when the same is asked again; --fresh computes them anew", () => {
    const args = ["--rows", "v4.20", "--columns", "W9", "W18", "--json"];
    const first = guplab(...args);
    const files = readdirSync(kept);
    // Whoever reads a kept cell does not see how long it took to compute it: change it to know.
    for (const name of files) {
      const file = join(kept, name);
      writeFileSync(file, readFileSync(file, "utf8").replace('"states":', '"states":1000'));
    }
    const again = JSON.parse(guplab(...args).stdout);
    expect(again.rows[0].cells.W18.states).toBeGreaterThan(10_000);
    expect(guplab(...args, "--fresh").stdout).toBe(first.stdout);
    expect(readdirSync(kept)).toEqual(files);
  });

  test("one that cannot be read is computed anew", () => {
    const args = ["--rows", "v4.20", "--columns", "W12", "--json"];
    const first = guplab(...args);
    for (const name of readdirSync(kept)) writeFileSync(join(kept, name), "half a fi");
    expect(guplab(...args).stdout).toBe(first.stdout);
  });

  test("Ctrl-C ends it, says so, and the same command goes on from there", async () => {
    const child = spawn(
      process.execPath,
      [main, "matrix", "--rows", "v4.20", "--columns", "W11", "W1", "--jobs", "1", "--json"],
      { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] },
    );
    let [out, err] = ["", ""];
    child.stdout.on("data", (text) => {
      out += text;
    });
    child.stderr.on("data", (text) => {
      err += text;
    });
    const before = readdirSync(kept).length;
    while (readdirSync(kept).length === before) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGINT");
    await once(child, "close");
    expect(err).toBe("guplab: ended after 1 of 2 cells; the same command goes on from there\n");
    expect(Object.keys(JSON.parse(out).rows[0].cells)).toEqual(["W11"]);
  });
});

describe("several machines", () => {
  test("--plan prints a command for each cell, and --merge puts their results together", () => {
    const plan = guplab("--plan", "parts", "--rows", "v4.20", "2026", "--columns", "W9", "W18");
    const lines = plan.stdout.trim().split("\n");
    expect(lines[0]).toBe("guplab matrix --cell v4.20 W9 --result parts/v4.20-W9.json");
    expect(lines.length).toBe(4);
    for (const line of lines) guplab(...line.split(" ").slice(2));
    expect(readdirSync(join(folder, "parts")).length).toBe(4);
    const merged = guplab("--merge", "parts", "--json");
    expect(merged.stdout).toBe(guplab("--rows", "v4.20", "2026", "--columns", "W9", "W18", "--json").stdout);
  });

  test("results of another version are left out with a sentence, and what is no result is refused", () => {
    const file = join(folder, "parts", "v4.20-W9.json");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace(/"program":"./, '"program":"x'));
    const merged = guplab("--merge", "parts", "--json");
    expect(merged.stderr).toBe("guplab: 1 results in parts are of another version, and are left out\n");
    expect(Object.keys(JSON.parse(merged.stdout).rows[0].cells)).toEqual(["W18"]);
    writeFileSync(file, "{}");
    expect(guplab("--merge", "parts").stderr).toMatch(/^guplab: v4\.20-W9\.json is no cell of a matrix: /);
    expect(guplab("--merge", "nowhere").stderr).toBe("guplab: nowhere is no folder that can be read\n");
  });
});

test("without --rows the plan has every row and every column", () => {
  const lines = guplab("--plan").stdout.trim().split("\n");
  expect(lines.length % 18).toBe(0);
  expect(lines.filter((line) => line.includes("--cell 2026+"))).not.toEqual([]);
});
