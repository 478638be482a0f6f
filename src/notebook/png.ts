/**
 * A figure as a PNG picture: for where neither scripts nor SVG are shown, such as the preview of a notebook on GitHub.
 *
 * The picture is the SVG form, drawn by resvg with a font that comes along (Arimo, whose letters are as wide as Helvetica's): with the
 * fonts of the machine the same figure would have other bytes elsewhere, and on a machine without fonts no words at all. Both are
 * optional dependencies, as resvg is not built for every platform.
 */
import { createRequire } from "node:module";
import { DISPLAY, type Figure, toSvg } from "../plot/index.js";
import type { MimeBundle } from "./format.js";

/** The part of @resvg/resvg-js that is used; its own types are not there where it is not installed. */
interface ResvgModule {
  readonly Resvg: new (
    svg: string,
    options: {
      readonly font: {
        readonly loadSystemFonts: boolean;
        readonly fontFiles: readonly string[];
        readonly defaultFontFamily: string;
        readonly sansSerifFamily: string;
      };
      readonly fitTo: { readonly mode: "zoom"; readonly value: number };
    },
  ) => { render(): { asPng(): Uint8Array } };
}

const FAMILY = "Arimo";
const FONTS = ["400Regular/Arimo_400Regular.ttf", "700Bold/Arimo_700Bold.ttf"];

export interface PngOptions {
  /** Pixels of the picture for each of the SVG form's 960 across; default 2, which is sharp in print. */
  readonly scale?: number;
  /** Print the caption below the picture. Default true. */
  readonly caption?: boolean;
}

/**
 * An SVG picture of guplab's as PNG.
 *
 * @throws Error with one sentence where resvg or its font is not installed, or the scale is no size
 */
export function svgToPng(svg: string, scale = 2): Uint8Array {
  if (!(scale > 0 && scale <= 8)) throw new Error(`a PNG picture's scale is from above 0 to 8, not ${scale}`);
  const require = createRequire(import.meta.url);
  let resvg: ResvgModule;
  let fontFiles: string[];
  try {
    resvg = require("@resvg/resvg-js") as ResvgModule;
    fontFiles = FONTS.map((file) => require.resolve(`@expo-google-fonts/arimo/${file}`));
  } catch {
    throw new Error(
      "PNG pictures need the packages @resvg/resvg-js and @expo-google-fonts/arimo, which are not installed here: an SVG picture needs nothing",
    );
  }
  const font = { loadSystemFonts: false, fontFiles, defaultFontFamily: FAMILY, sansSerifFamily: FAMILY };
  return new resvg.Resvg(svg, { font, fitTo: { mode: "zoom", value: scale } }).render().asPng();
}

/**
 * A figure as a PNG picture; the same figure gives the same bytes.
 *
 * @throws Error with one sentence where resvg or its font is not installed
 * @example writeFileSync("life.png", toPng(run.plot.life()))
 */
export const toPng = (figure: Figure, { scale, caption }: PngOptions = {}): Uint8Array =>
  svgToPng(toSvg(figure, { caption }), scale);

/**
 * A figure that a notebook shows as a PNG picture and nothing else.
 *
 * @throws Error with one sentence where resvg or its font is not installed
 * @example show(picture(run.plot.life()))
 */
export function picture(figure: Figure, options: PngOptions = {}): { readonly [DISPLAY]: () => MimeBundle } {
  const data = Buffer.from(toPng(figure, options)).toString("base64");
  const { title } = figure.layout;
  return {
    [DISPLAY]: () => ({ "image/png": data, "text/plain": `${title.text}. ${figure.caption}` }),
  };
}
