/** Options with which a verb writes its figure into files. */
import { type Figure, toPage, toSvg } from "../../plot/index.js";
import type { Desk } from "../desk.js";
import { listed } from "../text.js";
import { file, optional } from "./verb.js";

export const figureFiles = {
  file: optional(file, "write an HTML page that needs nothing else"),
  svg: optional(file, "write a picture"),
  png: optional(file, "write a picture in pixels"),
};

/** Write a figure where it is asked for; gives the files, none where it is not. */
export async function writeFigure(
  { host }: Pick<Desk, "host">,
  figure: () => Figure,
  { file: html, svg, png }: { readonly file?: string; readonly svg?: string; readonly png?: string },
): Promise<string[]> {
  const paths = [html, svg, png].filter((path) => path !== undefined);
  if (paths.length === 0) return [];
  const drawn = figure();
  // Whatever cannot be made is found out before anything is written.
  const pixels = png === undefined ? null : await host.png(toSvg(drawn));
  if (html !== undefined)
    host.write(html, toPage([drawn], { title: drawn.layout.title.text, plotly: await host.plotly() }));
  if (svg !== undefined) host.write(svg, toSvg(drawn));
  if (png !== undefined && pixels !== null) host.write(png, pixels);
  return paths;
}

/** What a verb tells, and which files it has written besides. */
export const besides = (text: string, written: readonly string[]): string =>
  written.length > 0 ? `${text}\n\nwrote ${listed(written, "and")}` : text;
