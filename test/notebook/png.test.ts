/** PNG pictures: the same bytes each time, with every word of the figure, whatever fonts the machine has. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { run } from "../../src/lab/run.js";
import { picture, svgToPng, toPng } from "../../src/notebook/png.js";
import { DISPLAY, toSvg } from "../../src/plot/index.js";

const made = run("kara-2018@v4.20:r13k6r2k6f12d4k7m3r9f4r3");
const { plot } = made;
const FIGURES = [
  plot.pins(),
  plot.dirty(),
  plot.reclaim(),
  plot.lanes(),
  plot.life(),
  plot.page({ since: 20 }),
  plot.owners(),
  plot.owners({ tick: 52 }),
  plot.waits(),
];

const size = (png: Uint8Array): [number, number] => {
  const view = new DataView(png.buffer, png.byteOffset);
  return [view.getUint32(16), view.getUint32(20)];
};

/** Whether the font has a character: its table "cmap", format 4, searched. */
function glyphs(): (character: string) => boolean {
  const font = readFileSync(
    createRequire(import.meta.url).resolve("@expo-google-fonts/arimo/400Regular/Arimo_400Regular.ttf"),
  );
  const tables = Array.from({ length: font.readUInt16BE(4) }, (_, at) => 12 + 16 * at);
  const cmap = font.readUInt32BE(tables.find((at) => font.toString("latin1", at, at + 4) === "cmap")! + 8);
  const places = Array.from(
    { length: font.readUInt16BE(cmap + 2) },
    (_, at) => cmap + font.readUInt32BE(cmap + 8 + 8 * at),
  );
  const table = places.find((at) => font.readUInt16BE(at) === 4)!;
  const segments = font.readUInt16BE(table + 6) / 2;
  return (character) => {
    const code = character.codePointAt(0)!;
    for (let at = 0; at < segments; at++) {
      const end = font.readUInt16BE(table + 14 + 2 * at);
      if (code <= end) return code >= font.readUInt16BE(table + 16 + 2 * segments + 2 * at);
    }
    return false;
  };
}

describe("a PNG picture", () => {
  it("has the same bytes each time, and two pixels for each of the SVG's", () => {
    for (const figure of [plot.life(), plot.waits()]) {
      const png = toPng(figure);
      expect([...png.subarray(1, 4)]).toEqual([..."PNG"].map((letter) => letter.charCodeAt(0)));
      expect(Buffer.from(toPng(figure)).equals(Buffer.from(png))).toBe(true);
      const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(toSvg(figure)) as RegExpExecArray;
      expect(size(png)).toEqual([2 * Number(width), 2 * Number(height)]);
    }
    expect(size(toPng(plot.waits(), { scale: 1, caption: false }))[0]).toBe(960);
  });

  it("has words: a picture of words is not a picture of nothing", () => {
    const blank = (words: string) =>
      svgToPng(
        `<svg xmlns="http://www.w3.org/2000/svg" width="99" height="20" font-family="Helvetica, sans-serif"><text y="15">${words}</text></svg>`,
      );
    expect(Buffer.from(blank("PG_dirty")).equals(Buffer.from(blank("")))).toBe(false);
  });

  it("has a sign for every character of every figure", () => {
    const has = glyphs();
    for (const figure of FIGURES) {
      const words = [...toSvg(figure).matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text).join("");
      const missing = [...new Set(words)].filter((character) => !has(character));
      expect([figure.kind, missing]).toEqual([figure.kind, []]);
    }
  });

  it("is shown by a notebook as what GitHub can show", () => {
    const shown = picture(plot.waits())[DISPLAY]();
    expect(Object.keys(shown)).toEqual(["image/png", "text/plain"]);
    expect(Buffer.from(String(shown["image/png"]), "base64").equals(Buffer.from(toPng(plot.waits())))).toBe(
      true,
    );
    expect(shown["text/plain"]).toContain("Who waits for whom, at tick 69. ");
  });

  it("says in one sentence what is no size", () => {
    for (const scale of [0, -1, 9, Number.NaN])
      expect(() => toPng(plot.waits(), { scale })).toThrow(
        `a PNG picture's scale is from above 0 to 8, not ${scale}`,
      );
  });
});
