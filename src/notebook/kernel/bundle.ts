/** How a value is shown: as the MIME bundle that it gives itself, or as text. */
import { inspect } from "node:util";
import { DISPLAY } from "../../plot/figure.js";
import type { MimeBundle } from "../format.js";

/**
 * The bundle of a value, or a promise of it. A method `[Symbol.for("Jupyter.display")]()` gives it, as Deno's kernel
 * has it; a string is its own text, and so is what an object's own toString says; everything else is what Node prints of it.
 *
 * @throws what the method throws; TypeError when it gives no bundle
 */
export function bundleOf(value: unknown): MimeBundle | Promise<MimeBundle> {
  const method = isObject(value) ? (value as Record<symbol, unknown>)[DISPLAY] : undefined;
  if (typeof method !== "function") return { "text/plain": textOf(value) };
  const given = method.call(value) as unknown;
  return given instanceof Promise ? given.then(checked) : checked(given);
}

/** Functions and objects of a class have toString from elsewhere: what Node prints of them says more. */
const textOf = (value: unknown): string =>
  typeof value === "string" || (isObject(value) && Object.hasOwn(value, "toString"))
    ? String(value)
    : inspect(value);

function checked(given: unknown): MimeBundle {
  if (
    isObject(given) &&
    typeof given !== "function" &&
    Object.keys(given).every((mime) => mime.includes("/"))
  )
    return given as MimeBundle;
  throw new TypeError('the method Symbol.for("Jupyter.display") gives an object of MIME types and contents');
}

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function";
