/** The page of the matrix in a real browser that is cut off from every network: a cell opens its witness as lanes. */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { temporaryFolder } from "../notebook/fixture.js";

const root = new URL("../..", import.meta.url).pathname;
const folder = temporaryFolder();
const file = join(folder.path, "matrix.html");
let browser: Browser;

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
  const main = join(root, "dist", "src", "cli", "main.js");
  const { status } = spawnSync(
    process.execPath,
    [
      main,
      "matrix",
      "--rows",
      "v4.20",
      "2026",
      "--columns",
      "W6",
      "W9",
      "--cache",
      folder.path,
      "--html",
      file,
    ],
    { encoding: "utf8" },
  );
  expect(status).toBe(3);
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
}, 120_000);
afterAll(async () => {
  await browser.close();
  folder.remove();
});

test("a click on a cell shows its bound, its replay lines, and its worst outcome as lanes; another outcome at its button", async () => {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(pathToFileURL(file).href);
  const torn = page.locator("td button", { hasText: "TORN" });
  expect(await torn.count()).toBe(1);
  await torn.click();
  const shown = page.locator("#shown");
  expect(await shown.textContent()).toContain("every interleaving: ");
  expect(await shown.locator("svg").count()).toBe(1);
  expect(await shown.textContent()).toContain("TORN: disk: the sum made at submission");
  await shown.locator("button", { hasText: "OK" }).click();
  expect(await page.locator("#witness").textContent()).not.toContain("TORN: disk");
  expect(requests).toEqual([pathToFileURL(file).href]);
  expect(complaints).toEqual([]);
  await page.close();
});

test("without scripts every cell's replay lines are in the page", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(pathToFileURL(file).href);
  expect(await page.locator("details pre").textContent()).toMatch(/TORN: .*\n {2}write-during-wb@v4\.20:/);
  await context.close();
});
