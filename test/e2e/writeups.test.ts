/** The committed write-ups as pages: every figure draws, nothing is fetched, nobody complains. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readNotebook } from "../../src/notebook/format.js";
import { notebookTitle, renderNotebook } from "../../src/notebook/html.js";
import { needsPlotly } from "../../src/notebook/plotly.js";

const notebooks = new URL("../../notebooks/", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "guplab-"));
let browser: Browser;

beforeAll(async () => {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
});
afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true });
});

test.each(readdirSync(notebooks).filter((name) => name.endsWith(".ipynb")))("%s", async (name) => {
  const notebook = readNotebook(join(notebooks, name));
  const figures = notebook.cells
    .flatMap((cell) => (cell.cell_type === "code" ? cell.outputs : []))
    .filter((output) => "data" in output && needsPlotly(output.data)).length;
  expect(figures).toBeGreaterThan(3);
  const file = join(folder, `${name}.html`);
  writeFileSync(
    file,
    renderNotebook(notebook, { title: notebookTitle(notebook) ?? name, file: name, plotly: true }),
  );

  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(`document.querySelectorAll(".js-plotly-plot").length === ${figures}`);
  expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([pathToFileURL(file).href]);
  expect(complaints).toEqual([]);
  await page.close();
});
