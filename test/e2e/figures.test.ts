/** Figures of a long recording in a real browser: they are drawn, move together, and show more where a reader zooms in. */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dirtyStates, heat, lanes, pinCounts, reclaimFlow, toPage } from "../../src/plot/index.js";
import { temporaryFolder } from "../notebook/fixture.js";
import { large } from "../plot/large.js";

const folder = temporaryFolder();
const file = join(folder.path, "page.html");
const complaints: string[] = [];
let browser: Browser;
let page: Page;

/** The ranges of x of all plots, in whole ticks. */
const ranges = (): Promise<number[][]> =>
  page.evaluate(
    "[...document.querySelectorAll('.js-plotly-plot')].map((plot) => plot.layout.xaxis.range.map(Math.round))",
  );

/** How many points of its first trace each plot has within its range. */
const points = (): Promise<number[]> =>
  page.evaluate(`[...document.querySelectorAll('.js-plotly-plot')].map(({ data, layout }) =>
    data[0].x.filter((x) => x >= layout.xaxis.range[0] && x <= layout.xaxis.range[1]).length)`);

beforeAll(async () => {
  const recording = large(1000, 500_000);
  const plotly = readFileSync(createRequire(import.meta.url).resolve("plotly.js-dist/plotly.js"), "utf8");
  const figures = [
    dirtyStates(recording),
    heat(recording),
    pinCounts(recording),
    lanes(recording),
    reclaimFlow(recording),
  ];
  writeFileSync(file, toPage(figures, { title: "A long recording", plotly }));
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
  page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction('document.querySelectorAll(".js-plotly-plot .main-svg").length >= 10');
});
afterAll(async () => {
  await browser.close();
  folder.remove();
});

test("every figure is drawn, without a complaint", async () => {
  expect(await page.locator(".js-plotly-plot").count()).toBe(5);
  const pictures =
    "[...document.querySelectorAll('.guplab-figure img')].filter((i) => i.style.display !== 'none')";
  expect(await page.evaluate(`${pictures}.length`)).toBe(0);
  expect(complaints).toEqual([]);
});

test("zooming into one moves those over time, each shows more than before, and all of it comes back", async () => {
  const [whole, before] = [await ranges(), await points()];
  await page.evaluate(
    "Plotly.relayout(document.querySelector('.js-plotly-plot'), { 'xaxis.range': [100000, 104000] })",
  );
  await page.waitForFunction(
    "[...document.querySelectorAll('.js-plotly-plot')].filter((p) => p.layout.xaxis.range[0] === 100000).length === 4",
  );
  await page.waitForTimeout(500);
  const now = await ranges();
  expect(now.slice(0, 4)).toEqual(Array(4).fill([100_000, 104_000]));
  expect(now[4]).toEqual(whole[4]);
  // Several times as many in a fiftieth of the axis as they had there before; of pins there are not so many.
  const after = await points();
  for (const [figure, times] of [5, 5, 2, 5].entries())
    expect(after[figure]).toBeGreaterThan((times * before[figure]) / 50);
  await page.evaluate(`document.dispatchEvent(new CustomEvent("guplab-range", { detail: {
    run: document.querySelector(".guplab-figure").dataset.run, range: null, source: null } }))`);
  await page.waitForFunction(
    "[...document.querySelectorAll('.js-plotly-plot')].every((p) => p.layout.xaxis.range[0] < 100000)",
  );
  await page.waitForTimeout(500);
  expect(await ranges()).toEqual(whole);
  expect(await points()).toEqual(before);
});

test("the pointer over one draws a line at its place in the others", async () => {
  const box = (await page.locator(".js-plotly-plot").first().boundingBox())!;
  await page.mouse.move(box.x + 500, box.y + 200);
  await page.mouse.move(box.x + 510, box.y + 205);
  await page.waitForSelector(".guplab-cursor", { state: "attached" });
  const lines = await page.locator(".guplab-cursor").count();
  expect(lines).toBe(3);
  expect(complaints).toEqual([]);
});
