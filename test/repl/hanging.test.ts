import { expect, test } from "vitest";
import { hanging } from "../../repl/hanging.js";

test("a table's long row goes on under its last column", () => {
  const row = "  15  zap_pte_range  tlb_flush_mmu (up_write(mapping->i_mmap_rwsem))";
  expect(hanging(`step\n${row}`, 60)).toBe(
    `step\n  15  zap_pte_range  tlb_flush_mmu\n${" ".repeat(21)}(up_write(mapping->i_mmap_rwsem))`,
  );
});

test("what fits, what is coloured, and a word that is too long", () => {
  expect(hanging("a  b", 4)).toBe("a  b");
  const coloured = `\x1b[1m${"x".repeat(30)}\x1b[22m`;
  expect(hanging(coloured, 20)).toBe(coloured);
  expect(hanging(`a  ${"x".repeat(10)}`, 8)).toBe("a  xxxxx\nxxxxx");
});

test("where the last column begins too far to the right, a row goes on under an earlier one", () => {
  expect(hanging("  8  set_page_dirty  ClearPageReclaim  (TestSetPageDirty)", 40)).toBe(
    "  8  set_page_dirty  ClearPageReclaim\n                     (TestSetPageDirty)",
  );
});

test("what is indented too far for its words stands as far to the right as they allow", () => {
  expect(hanging(`${" ".repeat(9)}abcdef gh`, 12)).toBe("      abcdef\n      gh");
});

test.each([20, 40, 80])("no row of plain text is wider than %d columns", (columns) => {
  const text = [
    "replay: kara-2018@v4.20:r11t2k43f7d1m2",
    "  1  a  b (c(d->e), f(g->h))",
    "word ".repeat(40),
  ].join("\n");
  for (const line of hanging(text, columns).split("\n")) expect(line.length).toBeLessThanOrEqual(columns);
});
