/** The panels keep within their rows and columns, whatever the terminal and the machine. */
import { describe, expect, test } from "vitest";
import { panelLines, standingOf } from "../../repl/panels.js";
import { styleOf } from "../../repl/style.js";
import { runLine, statements } from "../../src/cli/shell.js";
import { Desk, type Host } from "../../src/lab/desk.js";

const host = { columns: 80, rows: 24, color: false } as Host;
const plain = styleOf(false);

async function standing(text: string) {
  const desk = new Desk(host);
  for (const statement of statements(text)) await runLine(desk, statement);
  return standingOf(desk);
}

test("80 by 12: all five tasks, the page, the last steps", async () => {
  const lines = panelLines(
    await standing("until buffers-gone; back"),
    { columns: 80, rows: 12, scrolled: 0 },
    plain,
  );
  expect(lines).toHaveLength(12);
  for (const task of ["reader", "kswapd", "flusher", "disk", "dma"])
    expect(lines.some((line) => line.includes(` ${task} `))).toBe(true);
  const page = lines.find((line) => line.startsWith("  0 ")) as string;
  expect(page).toMatch(/L_U________P +4 +0 +1 clean +none +none isolated cache, buffers, gup/);
});

describe.each([
  ["run"],
  ["step"],
  ["scenario kara-2018,pages=9,drivers=8; run 500"],
  ["scenario kara-2018-private; run"],
])("%s", (text) => {
  test.each([
    [80, 12],
    [120, 30],
    [40, 5],
    [20, 3],
    [200, 60],
    [80, 1],
  ])("%i columns, %i rows", async (columns, rows) => {
    const lines = panelLines(await standing(text), { columns, rows, scrolled: 3 }, plain);
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });
});

test("where tasks do not fit, those that sleep give way to those that wait", async () => {
  const state = await standing("scenario sandbox; store 0; writeback; fsync --by C --hold yes; step C 9");
  const lines = panelLines(state, { columns: 80, rows: 8, scrolled: 0 }, plain);
  expect(lines[1]).toMatch(/\(\d+ more: tasks\)$/);
  expect(lines[3]).toMatch(/^C +C +waits +__filemap_fdatawait_range: wait_on_page_writeback/);
});

test("no room, no lines", async () => {
  expect(panelLines(await standing("step"), { columns: 80, rows: 0, scrolled: 0 }, plain)).toEqual([]);
});

test("colour says nothing that words do not", async () => {
  const state = await standing("run");
  const room = { columns: 100, rows: 20, scrolled: 0 };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the codes of colours
  const stripped = panelLines(state, room, styleOf(true)).map((line) => line.replace(/\x1b\[\d+m/g, ""));
  expect(stripped).toEqual(panelLines(state, room, plain));
  expect(stripped.join("\n")).toContain("dead");
});
