/** A rendered notebook in a real browser that is cut off from every network. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderNotebook } from "../../src/notebook/html.js";
import { displayed, FIGURE_HTML, notebookOf, temporaryFolder } from "../notebook/fixture.js";

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
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
});
afterAll(async () => {
  await browser.close();
  folder.remove();
});

test("every figure becomes interactive, in order, without a request or a complaint", async () => {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction('document.querySelectorAll(".js-plotly-plot .main-svg").length >= 3');
  expect(await page.locator(".js-plotly-plot").count()).toBe(3);
  expect(await page.locator(".guplab-figure img").count()).toBe(0);
  expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([pathToFileURL(file).href]);
  expect(complaints).toEqual([]);
  await page.close();
});

test("no part of the page is wider than a telephone", async () => {
  const page = await browser.newPage({ viewport: { width: 380, height: 700 } });
  await page.goto(pathToFileURL(file).href);
  await page.waitForSelector(".js-plotly-plot .main-svg");
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(380);
  await page.close();
});

test("without scripts every figure is a picture, and the maths is typeset", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(pathToFileURL(file).href);
  expect(await page.locator(".guplab-figure img").count()).toBe(3);
  expect(await page.locator(".katex").count()).toBe(1);
  await context.close();
});
