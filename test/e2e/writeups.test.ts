/**
 * The committed write-ups as pages: every figure draws, every run has the memory at its end that it had when the page was made,
 * nothing is fetched, nobody complains.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readNotebook } from "../../src/notebook/format.js";
import { notebookTitle, renderNotebook } from "../../src/notebook/html.js";
import { needsPlotly } from "../../src/notebook/plotly.js";
import { launch, visit } from "./browser.js";

const notebooks = new URL("../../notebooks/", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "guplab-"));
let browser: Browser;

beforeAll(async () => {
  browser = await launch();
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
  expect(figures).toBeGreaterThan(1);
  const file = join(folder, `${name}.html`);
  writeFileSync(
    file,
    renderNotebook(notebook, { title: notebookTitle(notebook) ?? name, file: name, plotly: true }),
  );

  const { page, picture, leave } = await visit(browser, file);
  await expect.poll(() => page.locator(".js-plotly-plot").count(), { timeout: 120_000 }).toBe(figures);
  for (const player of await page.locator(".guplab-player").all()) {
    const hash = player.locator('[data-show="hash"]');
    await expect.poll(() => hash.getAttribute("data-equal"), { timeout: 60_000 }).toBe("true");
  }
  await picture(name);
  await leave();
});
