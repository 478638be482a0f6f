/** What was proposed: the list, and one proposal with what people said of it. */
import { proposals } from "../../patches/proposals/index.js";
import type { Proposal } from "../../patches/proposals/proposal.js";
import { criteriaOf } from "../matrix/criteria.js";
import { ARTICLE, baseOf } from "../matrix/plan.js";
import { blocks, columns, fill, glossary } from "../text.js";
import { optional, result, verb, word } from "./verb.js";

const proposalName = word(() => proposals.map(({ name }) => name));

/** A proposal as a page of text. */
function told(proposal: Proposal, width: number): string {
  const { name, title, author, date, source, help, uncertain, remarks, costs = [], shows = [] } = proposal;
  const base = baseOf(name) ?? ARTICLE;
  const { page_bytes, page_words, edits, functions } = criteriaOf(proposal, base);
  const room =
    page_bytes > 0
      ? `${page_bytes} bytes more`
      : page_words.length > 0
        ? `in ${page_words.join(", ")}`
        : "none";
  return blocks(
    [
      `${name}: ${title}`,
      `${author}, ${date} (${source})`,
      ...(uncertain === undefined ? [] : [`uncertain: ${uncertain}`]),
    ].join("\n"),
    fill(help, width).join("\n"),
    glossary(
      [
        ["  runs as", `-k ${base}+${name}`],
        ["  struct page", room],
        ["  changes", `${edits} places`],
        ...Object.entries(functions).map(([file, names]) => [`    ${file}`, names.join(", ")] as const),
        ...costs.map(({ step, ns, source: from }) => ["  costs", `${step}: ${ns} ns (${from})`] as const),
        ...shows.map((what) => ["  shows", what] as const),
      ],
      width,
    ),
    remarks.length === 0
      ? ""
      : glossary(
          remarks.map(({ who, date: when, says, source: from }) => [
            `  ${who}, ${when}`,
            `${says} (${from})`,
          ]),
          width,
        ),
  );
}

export const listProposals = verb({
  name: "proposals",
  help: "List what was proposed and not merged, or tell who said what of one proposal",
  details: [
    "A proposal is a patch: kernel v4.20+NAME runs it, diff v4.20 v4.20+NAME shows its steps, and guplab matrix --cell NAME W1 what can happen with it.",
  ],
  example: "proposals hubbard-ttu-2018",
  args: { name: optional(proposalName, "its name") },
  run: ({ host }, { name }) => {
    if (name === undefined)
      return result(
        columns(proposals.map((each) => [`  ${each.name}`, each.help])),
        proposals.map((each) => ({ proposal: each.name, help: each.help })),
      );
    const found = proposals.find((each) => each.name === name);
    if (!found) throw new Error(`there is no proposal "${name}"; proposals lists them`);
    const { ideas, title, author, date, source, help, remarks, costs = [], shows = [] } = found;
    return result(told(found, host.columns), {
      proposal: found.name,
      ideas,
      title,
      author,
      date,
      source,
      help,
      remarks,
      costs,
      shows,
    });
  },
});
