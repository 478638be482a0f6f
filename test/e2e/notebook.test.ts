/**
 * Debian's classic Jupyter notebook in a real browser: cells run on guplab's kernel, their figures are live and linked,
 * and a notebook that nobody trusts shows their pictures.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { KERNELSPEC } from "../../src/notebook/kernel/spec.js";
import { freePorts } from "../../src/notebook/kernel-client.js";
import { temporaryFolder } from "../notebook/fixture.js";
import { keepPicture, launch } from "./browser.js";

const RUN = 'lab.run("kara-2018", { kernel: "v4.20", seed: 4 })';
const SOURCES = [
  "# The crash",
  `${RUN}.plot.dirty()`,
  `const run = ${RUN};\nrun.plot.lanes()`,
  "type Named = { name: string };\n\nconst page: Named = { name: 'page 3' };\nthrow new RangeError(page.name);",
];

const folder = temporaryFolder();
const home = temporaryFolder();
let server: ChildProcess;
let origin: string;
let browser: Browser;
let page: Page;
/** Addresses outside of this machine's server that a page has asked for, and what scripts complained of. */
const strays: string[] = [];
const complaints: string[] = [];

/** What follows may take its time on a machine that is busy. */
const PATIENT = { timeout: 60_000 };

const run = (...args: string[]) => execFileSync(process.execPath, args, { encoding: "utf8" });
const repository = new URL("../..", import.meta.url).pathname;

beforeAll(async () => {
  run(join(repository, "src/cli/build.mjs"), "--if-stale");
  run(join(repository, "dist/src/cli/main.js"), "kernel", "install", "--prefix", home.path);
  const path = folder.notebook("crash.ipynb", ...SOURCES);
  const notebook = JSON.parse(readFileSync(path, "utf8"));
  folder.file("crash.ipynb", JSON.stringify({ ...notebook, metadata: { kernelspec: KERNELSPEC } }));

  const [port] = await freePorts(1);
  origin = `http://127.0.0.1:${port}`;
  const options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--NotebookApp.token=''"];
  server = spawn(
    "/usr/bin/jupyter-notebook",
    [...options, `--port=${port}`, "--NotebookApp.port_retries=0", `--notebook-dir=${folder.path}`],
    {
      // Nothing of whoever runs this test is read or written.
      env: {
        ...process.env,
        HOME: home.path,
        JUPYTER_PATH: join(home.path, "share/jupyter"),
        JUPYTER_CONFIG_DIR: join(home.path, "config"),
        JUPYTER_DATA_DIR: join(home.path, "data"),
        JUPYTER_RUNTIME_DIR: join(home.path, "runtime"),
        IPYTHONDIR: join(home.path, "ipython"),
      },
      stdio: "ignore",
    },
  );
  await vi.waitFor(() => fetch(`${origin}/api/status`), { ...PATIENT, interval: 100 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  // It ends its kernels first; at a SIGINT it would ask whether it may.
  if (server && server.exitCode === null) {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
  folder.remove();
  home.remove();
});

const isConnected = (opened: Page) =>
  opened.waitForFunction("window.Jupyter?.notebook?.kernel?.is_connected()", undefined, PATIENT);

/** Open a notebook; its kernel starts, its cells do not run. */
async function open(name: string): Promise<Page> {
  const opened = await browser.newPage({ viewport: { width: 1200, height: 1000 } });
  const own = new RegExp(`^(data|blob):|^(http|ws)://${new URL(origin).host}/`);
  const asked = (url: string) => own.test(url) || strays.push(url);
  opened.on("request", (request) => asked(request.url()));
  opened.on("websocket", (socket) => asked(socket.url()));
  opened.on("console", (message) => {
    const said = `${message.text()} ${message.location().url}`;
    // Jupyter's own script asks for ipywidgets, which need not be installed.
    if (message.type() === "error" && !said.includes("/nbextensions/widgets/")) complaints.push(said);
  });
  opened.on("pageerror", (error) => complaints.push(error.message));
  await opened.goto(`${origin}/notebooks/${name}`);
  await isConnected(opened);
  return opened;
}

const cells = () => page.locator(".code_cell");

/** Write one more cell at the end, and run it as its user would. */
async function runAnother(code: string): Promise<Locator> {
  await page.evaluate(`Jupyter.notebook.insert_cell_at_bottom("code").set_text(${JSON.stringify(code)})`);
  const cell = cells().last();
  await cell.locator(".CodeMirror").click();
  await page.keyboard.press("Control+Enter");
  return cell;
}

test("all cells run, in colour, on guplab's kernel; each figure is drawn over its picture", async () => {
  page = await open("crash.ipynb");
  expect(await page.evaluate("Jupyter.notebook.kernel.name")).toBe("guplab");
  expect(await cells().nth(1).locator(".cm-keyword").first().textContent()).toBe("const");
  await page.getByText("Cell", { exact: true }).click();
  await page.locator("#run_all_cells").click();
  await expect
    .poll(() => page.locator(".js-plotly-plot .main-svg").count(), PATIENT)
    .toBeGreaterThanOrEqual(4);
  for (const at of [0, 1]) expect(await cells().nth(at).locator(".js-plotly-plot").count()).toBe(1);
  await expect.poll(() => page.locator(".guplab-figure img:visible").count(), PATIENT).toBe(0);
});

test("an error has the cell's line, with an arrow", async () => {
  const error = page.locator(".output_error");
  await error.waitFor(PATIENT);
  expect(await error.innerText()).toMatch(
    /^RangeError: page 3\n +3 \| const page.*\n +> 4 \| throw new RangeError\(page\.name\);\n +\| {7}\^\n +at cell 3:4:7\s*$/,
  );
});

test("the pointer over one figure draws a line at its place in the other", async () => {
  const [first, second] = [cells().nth(0), cells().nth(1)];
  const plot = first.locator(".js-plotly-plot .nsewdrag").first();
  await plot.scrollIntoViewIfNeeded();
  let x = 200;
  const drawn = async () => {
    await plot.hover({ position: { x: x++, y: 100 } });
    return second.locator(".guplab-cursor").count();
  };
  await expect.poll(drawn, PATIENT).toBe(1);
  // The step of the BUG, told by something else on the page: both draw their line there.
  const at = 103;
  const detail = `{ run: document.querySelector(".guplab-figure").dataset.run, x: ${at}, source: null }`;
  await page.evaluate(`document.dispatchEvent(new CustomEvent("guplab-time", { detail: ${detail} }))`);
  for (const cell of [first, second]) {
    const line = (await cell.locator(".guplab-cursor").boundingBox())!;
    const area = (await cell.locator(".nsewdrag").first().boundingBox())!;
    const range = await cell
      .locator(".js-plotly-plot")
      .evaluate(
        (drawn) => (drawn as unknown as { layout: { xaxis: { range: number[] } } }).layout.xaxis.range,
      );
    const expected = area.x + (area.width * (at - range[0])) / (range[1] - range[0]);
    expect(Math.abs(line.x - expected)).toBeLessThan(2);
  }
  await keepPicture(page, "classic-notebook");
});

test("Tab completes, and Shift-Tab tells what is at the cursor", async () => {
  await page.evaluate(`Jupyter.notebook.insert_cell_at_bottom("code")`);
  await cells().last().locator(".CodeMirror").click();
  await page.keyboard.type("run.plot.");
  await page.keyboard.press("Tab");
  await page
    .locator(".completions option", { hasText: /^reclaim$/ })
    .waitFor({ state: "attached", ...PATIENT });
  await page.keyboard.press("Escape");
  await page.keyboard.type("lanes");
  await page.keyboard.press("Shift+Tab");
  await expect
    .poll(() => page.locator("#tooltip").innerText(), PATIENT)
    .toContain("Plots.lanes(): guplab.Figure");
  await keepPicture(page, "classic-inspection");
  await page.keyboard.press("Escape");
});

test("an endless loop is interrupted, and the names are still there", async () => {
  const loop = await runAnother('console.log("on");\nfor (;;);');
  await loop.getByText("on", { exact: true }).last().waitFor(PATIENT);
  await page.evaluate("Jupyter.notebook.kernel.interrupt()");
  await loop.locator(".output_error", { hasText: "Interrupted: the cell was interrupted" }).waitFor(PATIENT);
  const next = await runAnother("run.steps");
  await next.locator(".output_result", { hasText: /^126$/ }).waitFor(PATIENT);
});

test("saved and opened again: figures are drawn, though nothing was run", async () => {
  await page.evaluate("Jupyter.notebook.save_notebook()");
  await page.close();
  page = await open("crash.ipynb");
  expect(await page.evaluate("Jupyter.notebook.trusted")).toBe(true);
  await expect
    .poll(() => page.locator(".js-plotly-plot .main-svg").count(), PATIENT)
    .toBeGreaterThanOrEqual(4);
});

/** Which code cells of the saved file have plotly among their outputs. */
async function cellsWithPlotly(): Promise<number[]> {
  await page.evaluate("Jupyter.notebook.save_notebook()");
  const saved = JSON.parse(readFileSync(join(folder.path, "crash.ipynb"), "utf8")) as {
    cells: { cell_type: string; outputs?: { metadata?: { guplab?: string } }[] }[];
  };
  const code = saved.cells.filter(({ cell_type }) => cell_type === "code");
  return code.flatMap(({ outputs = [] }, at) =>
    outputs.filter(({ metadata }) => metadata?.guplab === "plotly").map(() => at),
  );
}

test("the cell that has plotly is changed and run again, then all are: the file has plotly, once", async () => {
  expect(await cellsWithPlotly()).toEqual([0]);
  await page.evaluate(`Jupyter.notebook.get_cell(1).set_text(${JSON.stringify(`${RUN}.plot.pins()`)})`);
  const first = cells().nth(0);
  await first.locator(".CodeMirror").click();
  await page.keyboard.press("Control+Enter");
  await first.locator('[data-kind="pins"] .js-plotly-plot .main-svg').first().waitFor(PATIENT);
  expect(await cellsWithPlotly()).toEqual([0]);
  await page.evaluate("Jupyter.notebook.execute_all_cells()");
  await page.locator(".output_error").waitFor({ state: "detached", ...PATIENT });
  await page.locator(".output_error").waitFor(PATIENT);
  await cells().nth(1).locator(".js-plotly-plot .main-svg").first().waitFor(PATIENT);
  expect(await cellsWithPlotly()).toEqual([0]);
});

test("not trusted and not run: pictures, and no script; a cell that is run has a live figure", async () => {
  // What another has changed is trusted no more.
  const saved = JSON.parse(readFileSync(join(folder.path, "crash.ipynb"), "utf8"));
  saved.cells[0].source = "# The crash, from somebody else";
  // As guplab nb run writes it.
  for (const cell of saved.cells)
    cell.outputs &&= cell.outputs.filter(
      ({ metadata }: { metadata?: { guplab?: string } }) => !metadata?.guplab,
    );
  folder.file("theirs.ipynb", JSON.stringify(saved));
  const theirs = await open("theirs.ipynb");
  expect(await theirs.evaluate("Jupyter.notebook.trusted")).toBe(false);
  const pictures = theirs.locator('.output_area img[src^="data:image/svg+xml"]');
  expect(await pictures.count()).toBe(2);
  for (const picture of await pictures.all())
    await expect
      .poll(() => picture.evaluate((img) => (img as HTMLImageElement).naturalWidth))
      .toBeGreaterThan(500);
  expect(await theirs.locator(".js-plotly-plot").count()).toBe(0);
  expect(await theirs.evaluate("typeof window.Plotly")).toBe("undefined");
  await keepPicture(theirs, "classic-untrusted");
  await theirs.locator(".code_cell .CodeMirror").first().click();
  await theirs.keyboard.press("Control+Enter");
  const live = theirs.locator(".js-plotly-plot .main-svg").first();
  await live.waitFor(PATIENT);
  expect(await theirs.locator(".js-plotly-plot").count()).toBe(1);
  await theirs.close();
});

test("a page that was loaded without any output has live figures again, from the kernel that runs already", async () => {
  await page.evaluate("Jupyter.notebook.clear_all_output(); Jupyter.notebook.save_notebook()");
  await page.reload();
  await isConnected(page);
  expect(await page.locator(".guplab-figure").count()).toBe(0);
  const cell = await runAnother("run.plot.dirty()");
  await cell.locator(".js-plotly-plot .main-svg").first().waitFor(PATIENT);
  await page.close();
});

test("nothing was asked of any other machine, and no script complained", () => {
  expect(strays).toEqual([]);
  expect(complaints).toEqual([]);
});
