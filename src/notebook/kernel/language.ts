/** Completion and inspection, from what tslab's compiler says to what Jupyter shows. */
import type { Json, MimeBundle } from "../format.js";
import type { Completions, QuickInfo } from "./compiler.js";
import type { Content } from "./wire.js";

/** Jupyter counts characters, where JavaScript counts UTF-16 units. */
export function unitsOf(code: string, cursor: number): number {
  let units = 0;
  let count = 0;
  for (const character of code) {
    if (count++ >= cursor) break;
    units += character.length;
  }
  return units;
}

const charactersOf = (code: string, units: number): number => [...code.slice(0, units)].length;

/** Answer to complete_request. */
export function completionsAt(
  complete: (code: string, position: number) => Completions,
  code: string,
  cursor: number,
): Content {
  const found = complete(code, unitsOf(code, cursor));
  const [start, end] = [charactersOf(code, found.start), charactersOf(code, found.end)];
  const kinds = new Map(found.original?.entries.map(({ name, kind }) => [name, kind]));
  const types: Json[] = found.candidates.map((text) => ({ text, start, end, type: kinds.get(text) ?? "" }));
  return {
    status: "ok",
    matches: found.candidates,
    cursor_start: start,
    cursor_end: end,
    metadata: { _jupyter_types_experimental: types },
  };
}

/** Answer to inspect_request: of the name at the cursor, or of the function between whose brackets it is. */
export function inspectionAt(
  inspect: (code: string, position: number) => QuickInfo | undefined,
  code: string,
  cursor: number,
): Content {
  const at = unitsOf(code, cursor);
  for (const position of [at, at - 1, calleeBefore(code, at)]) {
    if (position < 0 || position >= code.length) continue;
    const info = inspect(code, position);
    if (info?.displayParts?.length) return { status: "ok", found: true, data: described(info), metadata: {} };
  }
  return { status: "ok", found: false, data: {}, metadata: {} };
}

/** The last character of the name before the bracket that is open at a position; -1 when none is. */
function calleeBefore(code: string, position: number): number {
  let closed = 0;
  for (let at = position - 1; at >= 0; at--) {
    if (code[at] === ")") closed++;
    else if (code[at] === "(" && closed-- === 0)
      return /[\w$]\s*$/.test(code.slice(0, at)) ? code.slice(0, at).trimEnd().length - 1 : -1;
  }
  return -1;
}

function described(info: QuickInfo): MimeBundle {
  const text = (parts: readonly { readonly text: string }[] = []) => parts.map((part) => part.text).join("");
  // All names that a cell imports are aliases, and each says so on a line of its own.
  const signature = text(info.displayParts)
    .replace(/^\(alias\) /, "")
    .replace(/\nimport [\w$]+$/, "");
  const documentation = text(info.documentation);
  const tags = (info.tags ?? []).map(({ name, text: parts }) => ({ name, said: text(parts) }));
  const plain = [signature, documentation, ...tags.map(({ name, said }) => `@${name} ${said}`.trimEnd())];
  const markdown = [
    `\`\`\`typescript\n${signature}\n\`\`\``,
    documentation,
    ...tags.map(({ name, said }) =>
      name === "example" ? `\`\`\`typescript\n${said}\n\`\`\`` : `*@${name}* ${said}`.trimEnd(),
    ),
  ];
  const whole = (paragraphs: readonly string[]) =>
    paragraphs.filter((paragraph) => paragraph !== "").join("\n\n");
  return { "text/plain": whole(plain), "text/markdown": whole(markdown) };
}
