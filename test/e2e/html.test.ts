/** A rendered notebook in a real browser that is cut off from every network. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderNotebook } from "../../src/notebook/html.js";
import { displayed, FIGURE_HTML, notebookOf, temporaryFolder } from "../notebook/fixture.js";
import { launch, visit } from "./browser.js";

const folder = temporaryFolder();
const file = join(folder.path, "page.html");
let browser: Browser;

beforeAll(async () => {
  const figure = displayed({ "text/plain": "pins", "text/html": FIGURE_HTML });
  const notebook = notebookOf(
    "# The crash\n\n$r = 1 + m$",
    "## First",
    { source: "show(figure, figure)", outputs: [figure, figure] },
    "## Second",
    { source: "show(figure)", outputs: [figure] },
  );
  writeFileSync(file, renderNotebook(notebook, { title: "The crash", file: "crash.ipynb", plotly: true }));
  browser = await launch();
});
afterAll(async () => {
  await browser.close();
  folder.remove();
});

test("every figure becomes interactive, in order, without a request or a complaint", async () => {
  const { page, leave } = await visit(browser, file);
  await expect
    .poll(() => page.locator(".js-plotly-plot .main-svg").count(), { timeout: 60_000 })
    .toBeGreaterThanOrEqual(3);
  expect(await page.locator(".js-plotly-plot").count()).toBe(3);
  expect(await page.locator(".guplab-figure img").count()).toBe(0);
  await leave();
});

test("no part of the page is wider than a telephone", async () => {
  const { page, leave } = await visit(browser, file, { viewport: { width: 380, height: 700 } });
  await page.waitForSelector(".js-plotly-plot .main-svg");
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(380);
  await leave();
});

test("without scripts every figure is a picture, and the maths is typeset", async () => {
  const { page, leave } = await visit(browser, file, { javaScriptEnabled: false });
  expect(await page.locator(".guplab-figure img").count()).toBe(3);
  expect(await page.locator(".katex").count()).toBe(1);
  await leave();
});
