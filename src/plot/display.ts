/** What a notebook shows of a figure. */
import { DISPLAY, type Figure, type MimeBundle, type Part } from "./figure.js";
import { toHtml } from "./html.js";
import { toSvg } from "./svg.js";
import { toTerminal } from "./terminal.js";

/** All forms of a figure; the front end takes the richest that it can draw. */
export function mimeBundle(figure: Figure): MimeBundle {
  return {
    "text/plain": toTerminal(figure, { columns: 100, rows: 26, color: false }),
    "text/html": toHtml(figure),
    "image/svg+xml": toSvg(figure),
  };
}

/**
 * A figure that says which part of its run it is of.
 *
 * @example partOf(pageLife(recording, 0x9489), { pfn: 0x9489 }).part // { pfn: 38025 }
 */
export function partOf(figure: Figure, part: Part): Figure {
  const made: Figure = { ...figure, part, [DISPLAY]: () => mimeBundle(made) };
  return made;
}
