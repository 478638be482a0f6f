/** Options with which a verb writes its figure into files. */
import { type Figure, toPage, toSvg } from "../../plot/index.js";
import type { Desk } from "../desk.js";
import { file, optional } from "./verb.js";

export const figureFiles = {
  file: optional(file, "write an HTML page that needs nothing else"),
  svg: optional(file, "write a picture"),
};

/** Write a figure where it is asked for; gives the files, none where it is not. */
export async function writeFigure(
  { host }: Desk,
  figure: () => Figure,
  { file: html, svg }: { readonly file?: string; readonly svg?: string },
): Promise<string[]> {
  if (html === undefined && svg === undefined) return [];
  const drawn = figure();
  if (html !== undefined)
    host.write(html, toPage([drawn], { title: drawn.layout.title.text, plotly: await host.plotly() }));
  if (svg !== undefined) host.write(svg, toSvg(drawn));
  return [html, svg].filter((path) => path !== undefined);
}
