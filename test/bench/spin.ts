/**
 * Side by side with Spin on the model that `guplab explore --emit-promela` writes: `npm run bench:spin`, or with scenarios' names after `--`.
 *
 * Each search is a process of its own, and all of its processor time counts, the start of Node included. A person who has changed a line of a
 * kernel path waits for Spin's C compiler as well, so both are told. Spin gets a table as large as the states need, and a second
 * time with its partial order reduction, where it need not visit every state.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "../../src/lab/world.js";
import { fresh, machine, seconds, table, thousands } from "./fresh.js";

const SCENARIOS = [
  "W7",
  "W11",
  "W14",
  "kara-2018-quiet",
  "W13",
  "kara-2018-private,drivers=2",
  "kara-2018-quiet,drivers=2",
  "kara-2018",
];
/** What a compiler may use before a lower level of optimization is tried. */
const COMPILE_S = 300;
const LEVELS = ["-O2", "-O1", "-O0"] as const;

interface Done {
  readonly ok: boolean;
  readonly output: string;
  readonly cpuSeconds: number;
}

/** Run a program; what its processes used is told by the shell that waits for it. */
function run(folder: string, words: readonly string[], limit_s: number): Done {
  const script = `ulimit -t ${limit_s}; "$@"; code=$?; times; exit $code`;
  const { status, stdout } = spawnSync("sh", ["-c", script, "sh", ...words], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const used = stdout.trimEnd().split("\n").at(-1) ?? "";
  const cpuSeconds = [...used.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, rest]) => sum + 60 * Number(minutes) + Number(rest),
    0,
  );
  return { ok: status === 0, output: stdout, cpuSeconds };
}

const installed = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;

interface Searched {
  readonly states: number;
  readonly compile_s: number;
  readonly search_s: number;
  readonly level: string;
}

/** Compile a model that spin has made C of, at the highest level that the limit allows, and search. */
function search(folder: string, flags: readonly string[], states: number): Searched | null {
  for (const level of LEVELS) {
    const compiled = run(folder, ["gcc", level, "-w", "-DSAFETY", ...flags, "-o", "pan", "pan.c"], COMPILE_S);
    if (!compiled.ok) continue;
    const width = Math.max(16, 33 - Math.clz32(states));
    const searched = run(folder, ["./pan", `-w${width}`, `-m${states + 100}`], Number.MAX_SAFE_INTEGER);
    const stored = /^\s*(\S+) states, stored/m.exec(searched.output);
    if (!stored) throw new Error(`pan printed no number of states: ${searched.output}`);
    const { cpuSeconds: search_s } = searched;
    return { states: Number(stored[1]), compile_s: compiled.cpuSeconds, search_s, level };
  }
  return null;
}

/** The clock by which a shell tells what its processes used. */
const TICK_S = 0.01;

/** "guplab, 3.4 x". */
function ahead(guplab_s: number, spin: number): string {
  const spin_s = Math.max(spin, TICK_S);
  const [who, times] = guplab_s <= spin_s ? ["guplab", spin_s / guplab_s] : ["Spin", guplab_s / spin_s];
  return `${who}, ${times.toFixed(1)} x`;
}

function row(scenario: string): string[] {
  process.stderr.write(`${scenario} ...\n`);
  const folder = mkdtempSync(join(tmpdir(), "guplab-spin-"));
  try {
    const own = fresh({ scenario });
    const guplab_s = own.processCpuSeconds;
    fresh({ scenario, promela: join(folder, "model.pml") });
    const made = run(folder, ["spin", "-a", "-o1", "-o2", "model.pml"], COMPILE_S);
    const all = made.ok ? search(folder, ["-DNOREDUCE"], own.states) : null;
    const head = [scenario, thousands(own.states), seconds(guplab_s)];
    if (all === null) return [...head, `more than ${COMPILE_S} s`, "", "", "", "", "guplab"];
    const reduced = search(folder, [], own.states);
    const compile_s = made.cpuSeconds + all.compile_s;
    const differs = all.states === own.states ? "" : ` for ${thousands(all.states)} states`;
    const best_s = Math.min(all.search_s, reduced?.search_s ?? all.search_s);
    return [
      ...head,
      `${seconds(compile_s)} ${all.level}`,
      `${seconds(all.search_s)}${differs}`,
      reduced === null ? "" : thousands(reduced.states),
      reduced === null ? "" : seconds(reduced.search_s),
      ahead(guplab_s, best_s),
      ahead(guplab_s, compile_s + best_s),
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function main(asked: readonly string[]): void {
  if (!["spin", "gcc"].every(installed)) {
    console.log("spin and gcc are not both installed here: there is nothing to set beside guplab.");
    return;
  }
  try {
    for (const name of asked) open(name, { record: false });
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
    return;
  }
  const [version] = spawnSync("spin", ["-V"], { encoding: "utf8" }).stdout.split("\n");
  const [compiler] = spawnSync("gcc", ["--version"], { encoding: "utf8" }).stdout.split("\n");
  const rows = [
    [
      "scenario",
      "states",
      "guplab",
      "spin and gcc",
      "Spin's search",
      "reduced to",
      "in",
      "ahead, search alone",
      "ahead, with compiling",
    ],
    ...asked.map(row),
  ];
  console.log(
    `\nguplab and Spin, seconds of processor time: ${machine()}; ${version}; ${compiler}\n` +
      `Spin stores as many states as guplab unless it says otherwise; gcc is given ${COMPILE_S} s at each of ${LEVELS.join(", ")}.\n` +
      `Spin's search is without partial order reduction, then with it; the shorter one is who guplab is held against.\n\n${table(rows, [1, 2, 5, 6])}\n`,
  );
}

main(process.argv.length > 3 ? process.argv.slice(3) : SCENARIOS);
