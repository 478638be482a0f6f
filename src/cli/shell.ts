/**
 * Lines that people write, made into verbs: parsing (string-argv and commander, built from the table), completion, and
 * scripts. Prompt, pipe and script file all come through here.
 */
import { Command, CommanderError } from "commander";
import { parseArgsStringToArgv } from "string-argv";
import type { Desk } from "../lab/desk.js";
import { verbs } from "../lab/verbs/index.js";
import { type Result, usage, type Verb } from "../lab/verbs/verb.js";

/** The sentence of an error that is a complaint about input, or null for a fault of guplab. */
export const sentenceOf = (error: unknown): string | null =>
  error instanceof Error && error.name === "Error" ? error.message : null;

/**
 * The statements of a text: one a line, or separated by semicolons; `#` begins a comment. Quotes keep all three.
 *
 * @example statements("run; back 5 # look\npage 0") // ["run", "back 5", "page 0"]
 */
export function statements(text: string): string[] {
  const found: string[] = [];
  for (const line of text.split(/\r\n|\r|\n/)) {
    let statement = "";
    for (const [part] of line.matchAll(/"[^"]*"|'[^']*'|(?<![^\s;])#.*|;|[^;"'\s]+|./g)) {
      if (part.startsWith("#")) continue;
      if (part !== ";") statement += part;
      else {
        found.push(statement);
        statement = "";
      }
    }
    found.push(statement);
  }
  return found.map((statement) => statement.trim()).filter((statement) => statement !== "");
}

interface Parsed {
  readonly verb: Verb;
  /** What was written for each argument and option; absent where nothing was. */
  readonly written: Readonly<Record<string, string>>;
}

/** Read one statement. @throws Error with one sentence that says what would be right */
function parse(statement: string): Parsed {
  const argv = parseArgsStringToArgv(statement);
  if (argv.includes("--help")) return parse(`help ${argv[0] === "--help" ? "" : argv[0]}`);
  const chosen: Parsed[] = [];
  const program = new Command("guplab").exitOverride().helpCommand(false).helpOption(false);
  program.configureOutput({ writeErr: () => {}, writeOut: () => {} });
  for (const verb of verbs) {
    const command = program.command(verb.name).helpOption(false);
    const names = Object.keys(verb.args);
    for (const name of names) command.argument(verb.args[name].required ? `<${name}>` : `[${name}]`);
    for (const name of Object.keys(verb.options)) command.option(`--${name} <${name}>`);
    command.action((...params: unknown[]) => {
      const written = { ...(params[names.length] as Record<string, string>) };
      names.forEach((name, at) => {
        if (params[at] !== undefined) written[name] = params[at] as string;
      });
      chosen.push({ verb, written });
    });
  }
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) throw new Error(complaint(argv, error));
    throw error;
  }
  return chosen[0];
}

/** Commander's complaint as one sentence, with what would be right. */
function complaint(argv: readonly string[], { code, message }: CommanderError): string {
  const [first, hint] = message.replace(/^error: /, "").split("\n");
  if (code === "commander.unknownCommand") {
    const near = hint?.match(/Did you mean (?:one of )?(.*)\?/)?.[1];
    return `there is no verb "${argv[0]}"; ${near ? `did you mean ${near}?` : "help lists them"}`;
  }
  const verb = verbs.find(({ name }) => name === argv[0]);
  return `${first.replace(/\.$/, "")}; write ${verb ? usage(verb) : "help"}`;
}

/**
 * Do one statement at a desk.
 *
 * @throws Error with one sentence when it cannot be done; the desk is then as it was
 * @example (await runLine(desk, "page 0")).text
 */
export async function runLine(desk: Desk, statement: string): Promise<Result> {
  const { verb, written } = parse(statement);
  const values: Record<string, unknown> = {};
  for (const [name, argument] of Object.entries({ ...verb.args, ...verb.options })) {
    if (written[name] !== undefined) values[name] = argument.read(written[name], desk);
  }
  return verb.run(desk, values);
}

const MOST_NESTED = 8;
let nested = 0;

/** Do the statements of a script, which may name other scripts. @throws Error that names the first that cannot be done */
export async function runScript(desk: Desk, text: string): Promise<Result> {
  if (nested === MOST_NESTED) throw new Error(`scripts name each other more than ${MOST_NESTED} deep`);
  nested++;
  try {
    const texts: string[] = [];
    const steps: { command: string; result: unknown }[] = [];
    let code: Result["code"] = 0;
    for (const statement of statements(text)) {
      if (desk.left) break;
      const done = await runLine(desk, statement).catch((error) => {
        const sentence = sentenceOf(error);
        throw sentence === null ? error : new Error(`${statement}: ${sentence}`);
      });
      texts.push(`> ${statement}`, ...(done.text === "" ? [] : [done.text]));
      steps.push({ command: statement, result: done.json });
      if (done.code === 3) code = 3;
    }
    return { text: texts.join("\n"), json: steps, code };
  } finally {
    nested--;
  }
}

/** What can be written next. */
export interface Completion {
  /** Where in the line the word begins that is being written. */
  readonly from: number;
  /** What that word could become. */
  readonly candidates: readonly string[];
  /** What the prompt shows after the cursor: the rest of the first candidate, or what is still to come. */
  readonly ghost: string;
}

/** Complete the last word of a line. */
export function complete(desk: Desk, line: string): Completion {
  const start = line.lastIndexOf(";") + 1;
  const words = line.slice(start).trimStart().split(/\s+/);
  const last = words[words.length - 1];
  const from = line.length - last.length;
  if (words.length === 1) {
    const candidates = verbs.map(({ name }) => name).filter((name) => name.startsWith(last));
    return { from, candidates, ghost: last === "" ? "" : (candidates[0] ?? "").slice(last.length) };
  }
  const verb = verbs.find(({ name }) => name === words[0]);
  if (!verb) return { from, candidates: [], ghost: "" };
  const before = words.slice(1, -1);
  const option = before.at(-1)?.match(/^--(.+)/)?.[1];
  const position = before.filter(
    (word, at) => !word.startsWith("--") && !before[at - 1]?.startsWith("--"),
  ).length;
  const argument =
    option === undefined ? Object.entries(verb.args)[position] : ([option, verb.options[option]] as const);
  const choices = last.startsWith("--")
    ? Object.keys(verb.options).map((name) => `--${name}`)
    : (argument?.[1]?.choices(desk) ?? []);
  const candidates = choices.filter((choice) => choice.startsWith(last));
  if (last !== "") return { from, candidates, ghost: (candidates[0] ?? "").slice(last.length) };
  const ahead = usage(verb)
    .split(" ")
    .slice(1 + position);
  return { from, candidates, ghost: option === undefined ? ahead.join(" ") : option.toUpperCase() };
}
