/** guplab's kernel under Jupyter itself: the public test suite, and nbclient beside our own runner. Debian's packages. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Cell, type Output, readNotebook } from "../../src/notebook/format.js";
import { dataFolder, installSpec } from "../../src/notebook/kernel/spec.js";
import { runNotebook } from "../../src/notebook/run.js";
import { temporaryFolder } from "../notebook/fixture.js";

const folder = temporaryFolder();
const project = { kind: "project", folder: folder.path } as const;
const scripts = new URL("./jupyter/", import.meta.url).pathname;
beforeAll(() => {
  installSpec(project);
});
afterAll(() => folder.remove());

/** Debian's Python, which has Debian's packages, and a Jupyter that finds our kernel. */
const python = (script: string, ...args: string[]) =>
  spawnSync("/usr/bin/python3", [join(scripts, script), ...args], {
    cwd: folder.path,
    encoding: "utf8",
    env: { ...process.env, JUPYTER_PATH: dataFolder(project) },
  });

test("jupyter_kernel_test passes in full", () => {
  const { status, stderr } = python("kernel_tests.py");
  expect(stderr).toMatch(/^OK\b/m);
  expect(status).toBe(0);
  // What has no samples is passed over: only the pager, which a kernel need not have.
  const passed = [...stderr.matchAll(/^test_(\w+) .*\.\.\. ok$/gm)].map(([, name]) => name);
  expect(passed.sort()).toEqual(
    "clear_output completion display_data error execute_result execute_stderr execute_stdout history inspect is_complete kernel_info".split(
      " ",
    ),
  );
});

test("nbclient's outputs of a notebook are ours", async () => {
  const sources = [
    'console.log("one");\nconsole.error("two");\nfor (let i = 0; i < 2_000; i++) console.log(i);',
    'display("before", { display_id: "d" });\nshow(lab.run("kara-2018").plot.pins());',
    'display("after", { display_id: "d", update: true });\nlab.run("kara-2018").outcomes',
    'import { strict as assert } from "assert";\nassert.equal(1, 1);\nawait null;\n({ a: 1 })',
  ];
  const [ours, theirs] = ["ours.ipynb", "theirs.ipynb"].map((name) => folder.notebook(name, ...sources));
  await runNotebook(ours, { timeout_s: 60, progress: () => {} });
  // Their notebook must name its kernel.
  const { metadata } = JSON.parse(readFileSync(ours, "utf8"));
  folder.file("theirs.ipynb", JSON.stringify({ ...JSON.parse(readFileSync(theirs, "utf8")), metadata }));
  const { status, stderr } = python("execute.py", theirs);
  expect(`${status} ${stderr}`).toMatch(/^0 /);
  const outputsOf = (path: string) =>
    readNotebook(path).cells.map((cell: Cell) => (cell.cell_type === "code" ? comparable(cell.outputs) : []));
  expect(outputsOf(theirs)).toEqual(outputsOf(ours));
});

/** nbclient keeps each message of a stream as an output of its own; and a live notebook is brought plotly, a file is not. */
function comparable(outputs: readonly Output[]): Output[] {
  const joined: Output[] = [];
  for (const output of outputs) {
    if ("metadata" in output && output.metadata.guplab === "plotly") continue;
    const last = joined.at(-1);
    if (output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name)
      joined[joined.length - 1] = { ...last, text: last.text + output.text };
    else joined.push(output);
  }
  return joined;
}
