/** The verb help. */
import type { Desk } from "../desk.js";
import { blocks, columns, fill, glossary } from "../text.js";
import { optional, result, usage, type Verb, verb, word } from "./verb.js";

function helpText(about: Verb, desk: Desk): string {
  const described = [
    ...Object.entries(about.args).map(([name, { help }]) => [`  ${name.toUpperCase()}`, help] as const),
    ...Object.entries(about.options).map(([name, { help }]) => [`  --${name}`, help] as const),
  ];
  const width = desk.host.columns;
  return blocks(
    `${usage(about)}\n  ${about.help}`,
    described.length > 0 ? glossary(described, width) : "",
    ...about.details.map((paragraph) =>
      paragraph.includes("\n") ? paragraph : fill(paragraph, width).join("\n"),
    ),
    `Example: ${about.example}`,
  );
}

/** The verb help, for a table of verbs (which it is in itself). */
export const helpFor = (table: () => readonly Verb[]): Verb =>
  verb({
    name: "help",
    help: "What can be said here, or all about one verb",
    example: "help until",
    args: {
      verb: optional(
        word(() => table().map(({ name }) => name)),
        "the verb",
      ),
    },
    run: (desk, { verb: name }) => {
      if (name === undefined) {
        const rows = table().map((each) => [`  ${usage({ ...each, options: {} })}`, each.help]);
        return result(
          blocks(columns(rows), "Lines may be joined with ;  and # begins a comment. help VERB tells more."),
          table().map((each) => ({ verb: each.name, usage: usage(each), help: each.help })),
        );
      }
      const about = findVerb(table(), name);
      return result(helpText(about, desk), {
        verb: about.name,
        usage: usage(about),
        help: about.help,
        details: about.details,
        example: about.example,
      });
    },
  });

/** Look a verb up. @throws Error with one sentence */
export function findVerb(table: readonly Verb[], name: string): Verb {
  const found = table.find((each) => each.name === name);
  if (!found) throw new Error(`there is no verb "${name}"; help lists them`);
  return found;
}
