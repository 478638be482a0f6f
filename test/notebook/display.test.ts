import { afterEach, expect, test, vi } from "vitest";
import { show } from "../../src/notebook/display.js";

// What show does in a kernel is tested where a kernel runs: run.test.ts.
afterEach(() => vi.restoreAllMocks());

const figure = {
  [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "pins: 3", "text/html": "<b>3</b>" }),
};

test("outside a notebook the text of a figure is printed", () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  show(figure, figure);
  expect(log.mock.calls).toEqual([["pins: 3"], ["pins: 3"]]);
});

test("what is not displayable is refused, and nothing is shown", () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  expect(() => show(figure, {})).toThrow(
    new TypeError('show takes figures and other objects with a Symbol.for("Jupyter.display") method'),
  );
  expect(() => show(undefined as unknown as object)).toThrow(TypeError);
  expect(log).not.toHaveBeenCalled();
});
