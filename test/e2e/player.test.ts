/** The player of a rendered notebook in a real browser: looked at, run again, taken over, and linked with the figures. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { memoryHash } from "../../src/lab/player/hash.js";
import { refusals } from "../../src/lab/player/rerun.js";
import { run } from "../../src/lab/run.js";
import { formatSchedule } from "../../src/machine/schedule.js";
import { renderNotebook } from "../../src/notebook/html.js";
import { pictureUri } from "../../src/plot/html.js";
import { mimeBundle, toHtml } from "../../src/plot/index.js";
import { displayed, notebookOf, temporaryFolder } from "../notebook/fixture.js";
import { faintTexts, launch, visit } from "./browser.js";

const folder = temporaryFolder();
const file = join(folder.path, "page.html");
const recorded = run("kara-2018", { seed: 4 });
const shortest = run("kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4");
let browser: Browser;

beforeAll(async () => {
  execFileSync(process.execPath, [
    new URL("../../src/cli/build.mjs", import.meta.url).pathname,
    "--if-stale",
  ]);
  const shown = (...figures: Parameters<typeof mimeBundle>[0][]) =>
    figures.map((figure) => displayed({ ...mimeBundle(figure) }));
  const notebook = notebookOf(
    "# The crash\n\n$r = 1 + m$",
    "## One run\n\nThe seed decides.",
    {
      source: 'const run = lab.run("kara-2018", { seed: 4 });\nassert.equal(run.steps, 126);',
      outputs: shown(recorded.plot.dirty(), recorded.plot.lanes()),
    },
    "## The shortest",
    { source: "show(run.plot.life())", outputs: shown(shortest.plot.lanes(), recorded.plot.life()) },
  );
  writeFileSync(file, renderNotebook(notebook, { title: "The crash", file: "crash.ipynb", plotly: true }));
  browser = await launch();
});
afterAll(async () => {
  await browser.close();
  folder.remove();
});

/** What follows may take its time on a machine that is busy. */
const PATIENT = { timeout: 60_000 };

/** The player of a run, when it has been filled. */
async function playerOf(page: Page, number: number): Promise<Locator> {
  const player = page.locator(`#run-${number}`);
  await player.locator(".player-page table").first().waitFor();
  return player;
}
const isFocused = (element: Element) => element === element.ownerDocument.activeElement;
const shows = (player: Locator, what: string) => player.locator(`[data-show="${what}"]`);

test("each run has one player, before its first figure", async () => {
  const { page, leave } = await visit(browser, file);
  await playerOf(page, 2);
  const order = await page.evaluate(
    `[...document.querySelectorAll(".guplab-player, .guplab-figure")].map(({ id }) => id)`,
  );
  expect(order).toEqual(["run-1", "figure-1", "figure-2", "run-2", "figure-3", "figure-4"]);
  await leave();
});

describe("looking at a run", () => {
  test("the bar moves the state, by keys and buttons too, and tells the figures", async () => {
    const { page, picture, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    await page.evaluate(
      `window.told = []; document.addEventListener("guplab-time", ({ detail: { run, x } }) => told.push([run, x]))`,
    );
    expect(await shows(player, "tick").textContent()).toBe("step 0 of 126");
    const bar = player.getByRole("slider", { name: "Moment of the run" });
    await bar.fill("103");
    expect(await shows(player, "tick").textContent()).toBe("step 103 of 126");
    expect(await shows(player, "made").textContent()).toContain("BUG: page_buffers");
    expect(await shows(player, "page").textContent()).toContain("dirty without buffers");
    expect(await bar.getAttribute("aria-valuetext")).toMatch(/^step 103: flusher/);
    await picture("player");
    await bar.press("ArrowLeft");
    await bar.press("ArrowLeft");
    await bar.press("ArrowRight");
    expect(await shows(player, "tick").textContent()).toBe("step 102 of 126");
    expect(await shows(player, "made").textContent()).not.toContain("BUG");
    await player.getByRole("button", { name: "One step forward" }).click();
    await player.getByRole("button", { name: "One step back" }).click();
    const { replay } = recorded;
    // Its figures draw their line there, and those of the other run do not.
    expect(await page.locator(".guplab-cursor").count()).toBe(3);
    expect(await page.locator("#figure-3 .guplab-cursor").count()).toBe(0);
    expect(await page.evaluate("window.told")).toEqual(
      [103, 102, 101, 102, 103, 102].map((x) => [replay, x]),
    );
    await leave();
  });

  test("it plays by itself, and stops when it is told to", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    await player.getByRole("button", { name: "Play" }).click();
    await expect.poll(() => player.getByRole("slider").inputValue(), PATIENT).toMatch(/^[3-9]$|^\d\d/);
    await player.getByRole("button", { name: "Pause" }).click();
    const at = await shows(player, "tick").textContent();
    await page.waitForTimeout(600);
    expect(await shows(player, "tick").textContent()).toBe(at);
    await leave();
  });

  test("a moment that a figure tells of moves the bar of its run and no other, without an echo", async () => {
    const { page, leave } = await visit(browser, file);
    const [first, second] = [await playerOf(page, 1), await playerOf(page, 2)];
    const told = await page.evaluate(`(() => {
      let told = 0;
      document.addEventListener("guplab-time", () => told++);
      const detail = { run: ${JSON.stringify(shortest.replay)}, x: 40, source: null };
      document.dispatchEvent(new CustomEvent("guplab-time", { detail }));
      return told;
    })()`);
    expect(told).toBe(1);
    expect(await shows(second, "tick").textContent()).toBe("step 40 of 63");
    expect(await shows(first, "tick").textContent()).toBe("step 0 of 126");
    await leave();
  });

  test("the pointer in a figure moves the bar", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    const plot = page.locator("#figure-1 .js-plotly-plot .nsewdrag").first();
    await plot.waitFor({ timeout: 60_000 });
    let x = 200;
    const moved = async () => {
      await plot.hover({ position: { x: x++, y: 100 } });
      return shows(player, "tick").textContent();
    };
    await expect.poll(moved, PATIENT).not.toBe("step 0 of 126");
    await leave();
  });

  test("a moment of another axis is none of the run's", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    const detail = { run: recorded.replay, x: 40, axis: "pages", source: null };
    await page.evaluate(
      `document.dispatchEvent(new CustomEvent("guplab-time", { detail: ${JSON.stringify(detail)} }))`,
    );
    expect(await shows(player, "tick").textContent()).toBe("step 0 of 126");
    await leave();
  });

  test("the part that figures have zoomed to is marked", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    const zoom = (range: string) =>
      page.evaluate(
        `document.dispatchEvent(new CustomEvent("guplab-range", { detail: { run: ${JSON.stringify(recorded.replay)}, range: ${range}, source: null } }))`,
      );
    await zoom("[20, 50]");
    expect(await player.locator(".zoomed").getAttribute("width")).toBe("30");
    await zoom("null");
    expect(await player.locator(".zoomed").count()).toBe(0);
    await leave();
  });

  test("its memory at the end has the hash that was found when the page was made", async () => {
    const { page, leave } = await visit(browser, file);
    for (const [number, made] of [recorded, shortest].entries()) {
      const said = shows(await playerOf(page, number + 1), "hash");
      expect(await said.textContent()).toBe(
        `memory at the end: ${memoryHash(made.world.k.memory)}, as when this page was made`,
      );
      expect(await page.locator("footer").textContent()).toContain(memoryHash(made.world.k.memory));
    }
    await leave();
  });
});

describe("another choice", () => {
  test("another kernel has another outcome beside the recorded one, and its figures are drawn; as recorded, they are back", async () => {
    const { page, picture, leave } = await visit(browser, file);
    await expect.poll(() => page.locator(".js-plotly-plot").count(), PATIENT).toBe(4);
    const player = await playerOf(page, 1);
    await player.getByText("Another kernel, proposal or order").click();
    await player.getByLabel("Kernel", { exact: true }).selectOption("v6.4");
    expect(await shows(player, "outcome").textContent()).toBe("OK recorded on v4.20: BUG HANG WARN");
    expect(await shows(player, "note").textContent()).toMatch(
      /^The recorded order does not fit v6\.4 .*seed 4\.$/,
    );
    const other = run("kara-2018", { kernel: "v6.4", seed: 4 });
    const drawn = page.locator(`.guplab-figure[data-run="${other.replay}"]`);
    expect(await drawn.count()).toBe(3);
    expect(await page.locator("#figure-1").isVisible()).toBe(false);
    expect(await page.locator("#figure-3").isVisible()).toBe(true);
    await expect.poll(() => drawn.locator(".js-plotly-plot").count(), PATIENT).toBe(3);
    await picture("another-kernel");

    await player.getByLabel("Kernel", { exact: true }).selectOption("v4.20");
    await player.getByLabel("Proposal").selectOption("kara-bounce-2018");
    expect(await shows(player, "kernel").textContent()).toBe("v4.20+kara-bounce-2018");
    await player.getByRole("button", { name: "As recorded" }).click();
    expect(await shows(player, "outcome").textContent()).toBe("BUG HANG WARN");
    expect(await page.locator("#figure-1").isVisible()).toBe(true);
    expect(await drawn.count()).toBe(0);
    await leave();
  });

  test("the same moment is drawn of it; a figure that takes a search stays, grey, with a word", async () => {
    const { plot, replay } = recorded;
    const danger = toHtml(plot.lanes()).replace('data-kind="lanes"', 'data-kind="danger"');
    const outputs = [
      displayed({ ...mimeBundle(plot.owners({ tick: 52 })) }),
      displayed({ "text/html": danger }),
    ];
    const other = join(folder.path, "moments.html");
    const notebook = notebookOf({ source: "run.plot.owners({ tick: 52 })", outputs });
    writeFileSync(other, renderNotebook(notebook, { title: "Moments", file: "m.ipynb", plotly: true }));
    const { page, picture, leave } = await visit(browser, other);
    const player = await playerOf(page, 1);
    expect(await page.locator(".guplab-player").count()).toBe(1);
    expect(await shows(player, "replay").textContent()).toBe(replay);
    await player.getByText("Another kernel, proposal or order").click();
    await player.getByLabel("Kernel", { exact: true }).selectOption("v6.4");
    const { replay: line, world } = run("kara-2018", { kernel: "v6.4", seed: 4 });
    const drawn = page.locator(`.guplab-figure[data-run="${line}"]`);
    expect(await drawn.locator("img").getAttribute("alt")).toMatch(
      /^Who believes that page 0x0 is dirty, at tick 52\./,
    );
    expect(await drawn.locator("img").getAttribute("src")).toContain(world.kernel.name);
    expect(await page.locator("#figure-1").isVisible()).toBe(false);
    expect(await page.locator("#figure-2[data-stale]").isVisible()).toBe(true);
    expect(await page.locator(".player-word").textContent()).toBe(
      `Of the recorded run, as the page was made. This figure takes a search of every interleaving: guplab danger '${line}'`,
    );
    await picture("another-kernel-moment");
    await player.getByRole("button", { name: "As recorded" }).click();
    expect(await page.locator(".player-word, [data-stale]").count()).toBe(0);
    expect(await page.locator("#figure-1").isVisible()).toBe(true);
    await leave();
  });

  test("a seed is another order", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    await player.getByText("Another kernel, proposal or order").click();
    await player.getByLabel("Seed").fill("2");
    await player.getByLabel("Seed").press("Enter");
    expect(await shows(player, "replay").textContent()).toBe(run("kara-2018", { seed: 2 }).replay);
    expect(await shows(player, "note").textContent()).toBe("In the order of seed 2.");
    await player.getByLabel("Seed").fill("-2");
    await player.getByLabel("Seed").press("Enter");
    expect(await shows(player, "note").textContent()).toBe("A seed is a whole number from 0 to 999999999.");
    expect(await player.getByLabel("Seed").inputValue()).toBe("2");
    expect(await shows(player, "replay").textContent()).toBe(run("kara-2018", { seed: 2 }).replay);
    await leave();
  });

  test("what does not apply cannot be chosen any more, after a moment; till then it is said, and nothing changes", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    await player.getByText("Another kernel, proposal or order").click();
    await player.getByLabel("Kernel", { exact: true }).selectOption("v6.4");
    await player.getByLabel("Proposal").selectOption("hubbard-lru-2018");
    expect(await shows(player, "note").textContent()).toMatch(/does not apply/);
    expect(await shows(player, "kernel").textContent()).toBe("v6.4");
    expect(await player.getByLabel("Proposal").inputValue()).toBe("");
    await player.getByLabel("Proposal").focus();
    const refused = player.locator('option[value="hubbard-lru-2018"]');
    await expect.poll(() => refused.isDisabled(), PATIENT).toBe(true);
    expect(await player.locator('option[value="kara-bounce-2018"]').isDisabled()).toBe(
      refusals("kara-2018", "v6.4").includes("kara-bounce-2018"),
    );
    await leave();
  });
});

describe("crash it yourself", () => {
  test("pressing who moves leads to the BUG, and after each step it is said whether it can still come", async () => {
    const { page, picture, leave } = await visit(browser, file);
    const player = await playerOf(page, 2);
    await player.getByRole("slider").fill("53");
    await player.getByRole("button", { name: "Crash it yourself, from here" }).click();
    const settled = player.locator('[data-show="outlook"][data-settled="true"]');
    await settled.waitFor();
    expect(await settled.textContent()).toMatch(/^A crash can still happen: in 10 steps\./);
    await picture("crash-it-yourself");
    const press = (task: string) =>
      player.getByRole("button", { name: new RegExp(`^${task}: make`) }).click();
    for (const task of shortest.world.schedule.slice(53, 62))
      await press(shortest.recording.info.tasks[task].name);
    await expect
      .poll(() => shows(player, "outlook").textContent(), PATIENT)
      .toMatch(/^A crash can still happen: in one step\./);
    await press("flusher");
    expect(await shows(player, "outcome").textContent()).toBe("BUG WARN in your order");
    expect(await shows(player, "faults").textContent()).toContain("BUG_ON(!PagePrivate(page))");
    expect(await shows(player, "replay").textContent()).toBe(shortest.replay);
    await expect.poll(() => shows(player, "outlook").textContent(), PATIENT).toMatch(/^It has crashed\./);
    await player.getByRole("button", { name: "Undo" }).click();
    expect(await shows(player, "tick").textContent()).toBe("step 62 of 62");
    await player.getByRole("button", { name: "Give it back" }).click();
    expect(await shows(player, "tick").textContent()).toBe("step 0 of 63");
    await leave();
  });

  test("the figures follow the reader's steps, as pictures, and are the recorded ones again when he gives it back", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 2);
    await player.getByRole("slider").fill("53");
    await player.getByRole("button", { name: "Crash it yourself, from here" }).click();
    const sketch = page.locator("figure[data-sketch]");
    const says = (replay: string) =>
      expect.poll(() => sketch.locator("figcaption code").textContent(), PATIENT).toBe(replay);
    const upTo = (steps: number) =>
      run(
        `kara-2018@v4.20:${formatSchedule(shortest.world.schedule.slice(0, steps), shortest.world.letters)}`,
      );
    await says(upTo(53).replay);
    expect(await page.locator("#figure-3").isVisible()).toBe(false);
    const image = sketch.locator("img");
    const before = await image.getAttribute("src");
    const { name } = shortest.recording.info.tasks[shortest.world.schedule[53]];
    await player.getByRole("button", { name: new RegExp(`^${name}: make`) }).click();
    await says(upTo(54).replay);
    expect(await image.getAttribute("src")).not.toBe(before);
    expect(await image.getAttribute("src")).toBe(pictureUri(upTo(54).plot.lanes()));
    expect(await image.evaluate((img) => (img as HTMLImageElement).naturalWidth)).toBe(960);
    await player.getByRole("button", { name: "Undo" }).click();
    await says(upTo(53).replay);
    await player.getByRole("button", { name: "Give it back" }).click();
    expect(await sketch.count()).toBe(0);
    expect(await page.locator("#figure-3").isVisible()).toBe(true);
    expect(await player.getByRole("button", { name: "Crash it yourself" }).evaluate(isFocused)).toBe(true);
    await leave();
  });

  test("where nothing can go wrong it is said so of all that follows, without another search", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 2);
    await player.getByText("Another kernel, proposal or order").click();
    await player.getByLabel("Kernel", { exact: true }).selectOption("v6.4");
    await player.getByRole("slider").press("End");
    await player.getByRole("slider").press("ArrowLeft");
    await player.getByRole("slider").press("ArrowLeft");
    const at = Number(await player.getByRole("slider").inputValue());
    await player.getByRole("button", { name: "Crash it yourself, from here" }).click();
    await expect
      .poll(() => shows(player, "outlook").textContent(), PATIENT)
      .toMatch(/^No way to a crash from here: every interleaving seen, [\d ]+ states?\.$/);
    await player
      .getByRole("button", { name: /: make/ })
      .first()
      .click();
    expect(await shows(player, "outlook").textContent()).toMatch(
      new RegExp(`^No way to a crash from here: every interleaving from step ${at} on seen`),
    );
    await leave();
  });

  test("from the start the answer comes while the page stays awake", async () => {
    const { page, leave } = await visit(browser, file);
    const player = await playerOf(page, 1);
    await player.getByRole("button", { name: "Crash it yourself, from here" }).click();
    await expect
      .poll(() => shows(player, "outlook").textContent(), PATIENT)
      .toMatch(/^A crash can still happen/);
    await player.getByRole("button", { name: "reader: make" }).click();
    expect(await shows(player, "tick").textContent()).toBe("step 1 of 1");
    await player.getByRole("button", { name: "reader: go on" }).click();
    expect(await shows(player, "tick").textContent()).toBe("step 15 of 15");
    await player.getByRole("button", { name: "Undo" }).click();
    expect(await shows(player, "tick").textContent()).toBe("step 1 of 1");
    await leave();
  });
});

describe("who reads it", () => {
  test.each(["light", "dark"] as const)("every text has contrast enough, %s", async (colorScheme) => {
    const { page, picture, leave } = await visit(browser, file, { colorScheme });
    const player = await playerOf(page, 1);
    await player.getByRole("slider").fill("103");
    for (const summary of await player.locator("summary").all()) await summary.click();
    expect(await faintTexts(page)).toEqual([]);
    await picture(`page-${colorScheme}`);
    await player.getByLabel("Kernel", { exact: true }).selectOption("v6.4");
    await player.getByRole("slider").fill("60");
    await player.getByRole("button", { name: "Crash it yourself, from here" }).click();
    expect(await faintTexts(page)).toEqual([]);
    await leave();
  });

  test("no part of the page is wider than a telephone", async () => {
    const { page, picture, leave } = await visit(browser, file, { viewport: { width: 380, height: 800 } });
    const player = await playerOf(page, 1);
    await player.getByRole("slider").fill("103");
    await player.getByText("Another kernel, proposal or order").click();
    const width = () => page.evaluate("document.documentElement.scrollWidth");
    expect(await width()).toBeLessThanOrEqual(380);
    await player.getByRole("button", { name: "Crash it yourself, from here" }).click();
    expect(await width()).toBeLessThanOrEqual(380);
    await player.scrollIntoViewIfNeeded();
    await picture("telephone");
    await leave();
  });

  test("headings come in order, every control has a name, every picture a text", async () => {
    const { page, leave } = await visit(browser, file);
    await playerOf(page, 2);
    const levels = (await page.evaluate(
      `[...document.querySelectorAll("h1, h2, h3, h4")].map(({ tagName }) => Number(tagName[1]))`,
    )) as number[];
    expect(levels[0]).toBe(1);
    levels.slice(1).forEach((level, at) => {
      expect(level).toBeLessThanOrEqual(levels[at] + 1);
    });
    const nameless = await page.evaluate(
      `[...document.querySelectorAll("main button, main input, main select")].filter((each) => !each.labels?.length && !each.ariaLabel && !each.textContent.trim()).map(({ outerHTML }) => outerHTML)`,
    );
    expect(nameless).toEqual([]);
    expect(await page.locator('img:not([alt]), img[alt=""]').count()).toBe(0);
    await leave();
  });

  test("headings, figures and claims are linked from themselves", async () => {
    const { page, leave } = await visit(browser, file);
    const links = (await page.evaluate(
      `[...document.querySelectorAll(".anchor, .claim")].map((link) => link.getAttribute("href"))`,
    )) as string[];
    expect(links).toEqual(
      expect.arrayContaining(["#the-crash", "#one-run", "#figure-1", "#figure-4", "#claim-1"]),
    );
    for (const link of new Set(links)) expect(await page.locator(`[id="${link.slice(1)}"]`).count()).toBe(1);
    await leave();
  });

  test("on paper there is no player, and all figures", async () => {
    const { page, leave } = await visit(browser, file);
    await playerOf(page, 2);
    await page.emulateMedia({ media: "print" });
    expect(await page.locator(".guplab-player").first().isVisible()).toBe(false);
    expect(await page.locator(".guplab-figure").first().isVisible()).toBe(true);
    await leave();
  });

  test("without scripts the figures are pictures, and nothing of a player is seen", async () => {
    const { page, leave } = await visit(browser, file, { javaScriptEnabled: false });
    expect(await page.locator(".guplab-figure img").count()).toBe(4);
    expect(await page.locator(".guplab-player button").count()).toBe(0);
    expect(await page.locator("footer").textContent()).toContain("1 claim checked");
    await leave();
  });
});
