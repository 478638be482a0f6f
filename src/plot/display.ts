/** What a notebook shows of a figure. */
import type { Figure, MimeBundle } from "./figure.js";
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
