import { describe, expect, test } from "vitest";
import {
  faultsHtml,
  frameHtml,
  madeHtml,
  madeText,
  outcomeHtml,
  pagesHtml,
  stripSvg,
  tasksHtml,
} from "../../../src/lab/player/draw.js";
import { Film } from "../../../src/lab/player/film.js";
import { momentAt } from "../../../src/lab/player/moment.js";
import { kernelOptions, proposalOptions } from "../../../src/lab/player/rerun.js";
import { run } from "../../../src/lab/run.js";

const made = run("kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4");
const film = new Film(made);
const at = (tick: number) => momentAt(film, tick, true);

describe("the frame", () => {
  const html = frameHtml("run-1", "kara-2018", { kernel: "v4.20", added: "", seed: null });

  test("offers every kernel and every proposal, and none chosen but the recorded", () => {
    for (const { name } of [...kernelOptions, ...proposalOptions]) expect(html).toContain(`value="${name}"`);
    expect(html.match(/ selected>/g)).toHaveLength(2);
    expect(html).toContain(">v4.20</option>");
  });

  test("patches that are no single proposal can be chosen again", () => {
    const two = frameHtml("run-1", "W1", { kernel: "v4.20", added: "a+b", seed: null });
    expect(two).toContain('<option value="a+b" title="as recorded" selected>a+b</option>');
  });

  test("every control has a name for who cannot see it", () => {
    for (const [control, , id] of html.matchAll(/<(input|select) [^>]*id="([^"]*)"[^>]*>/g))
      expect(control.includes("aria-label=") || html.includes(`<label for="${id}">`)).toBe(true);
    for (const [, attributes, text] of html.matchAll(/<button ([^>]*)>([\s\S]*?)<\/button>/g))
      expect(attributes.includes("aria-label=") || /[A-Za-z]/.test(text.replace(/<[^>]*>/g, ""))).toBe(true);
  });
});

describe("a moment", () => {
  test("says the step just made, with what it changed and what went wrong", () => {
    expect(madeHtml(at(0))).toBe("Nobody has moved yet.");
    const last = madeHtml(at(63));
    expect(last).toContain("<b>flusher</b> mpage_prepare_extent_to_map: <code>");
    expect(last).toContain("BUG: page_buffers: BUG_ON(!PagePrivate(page))");
    expect(madeText(at(63))).toMatch(/^step 63: flusher +mpage_prepare_extent_to_map: .*BUG/);
  });

  test("shows who holds the page, a token for each reference", () => {
    const { refcount } = at(30).pages[0];
    const [, tokens] =
      new RegExp(`${refcount} references</th><td>(.*?)</td>`).exec(pagesHtml(at(30), 0, false)) ?? [];
    expect(tokens.match(/class="chip"/g)).toHaveLength(refcount);
    expect(tokens).toContain('<span class="chip">buffers</span>');
  });

  test("marks what has just changed", () => {
    const freed = Array.from({ length: 63 }, (_, tick) => at(tick + 1)).find(({ made: step }) =>
      step?.step.includes("try_to_free_buffers"),
    );
    if (freed === undefined) throw new Error("nobody frees the buffers");
    expect(pagesHtml(freed, 0, false)).toContain('<tr class="new"><th scope="row">buffers</th>');
    expect(pagesHtml(freed, 0, false)).toContain('<tr><th scope="row">PTE</th>');
  });

  test("has the eight words of struct page", () => {
    expect(pagesHtml(at(63), 0, true).match(/<tr><td>[0-7]<\/td>/g)).toHaveLength(8);
    expect(pagesHtml(at(63), 0, true)).toContain("<details data-words open>");
  });

  test("of several pages one is shown, and each has a button", () => {
    const two = new Film(run("kara-2018,pages=2", { seed: 4 }));
    const html = pagesHtml(momentAt(two, 40, true), 1, false);
    expect(html.match(/data-page="\d"/g)).toHaveLength(2);
    expect(html).toContain('data-page="1" aria-pressed="true"');
    expect(html).toContain("<caption>Page 1</caption>");
  });

  test("only tasks that can move have a button that can be pressed, and it says the step", () => {
    film.goTo(20);
    const html = tasksHtml(at(20), film.world);
    film.goTo(20);
    for (const [, number, disabled] of html.matchAll(/data-task="(\d)"(?: data-on="yes")?( disabled)?/g))
      expect(disabled === undefined).toBe(film.world.enabled(Number(number)));
    expect(html).toMatch(/aria-label="flusher: make the step b_dirty of wb_workfn"/);
    expect(tasksHtml(at(20), null)).not.toContain("<button");
  });

  test("what went wrong is told in the kernel's words, and escaped", () => {
    expect(faultsHtml(at(0))).toBe("");
    expect(faultsHtml(at(63)).match(/<li>/g)).toHaveLength(2);
    expect(outcomeHtml(["OK"])).toBe('<b class="outcome fine">OK</b>');
  });
});

test("the strip has every step once, and a mark for each fault", () => {
  const svg = stripSvg(film, made.recording.info.tasks, made.faults, null);
  const steps = [...svg.matchAll(/<rect x="\d+" y="\d+" width="(\d+)"/g)].map(([, width]) => Number(width));
  expect(steps.reduce((sum, width) => sum + width, 0)).toBe(63);
  expect(svg.match(/class="fault"/g)).toHaveLength(2);
  expect(stripSvg(film, made.recording.info.tasks, [], [10, 30])).toContain(
    'class="zoomed" x="10" y="0" width="20"',
  );
});
