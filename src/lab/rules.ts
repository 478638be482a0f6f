/** Rules of a kernel as text, with the paths that ask them. */
import type { RuleValues } from "../kernel/rule.js";
import type { AnyPath } from "../machine/patch.js";
import type { KernelVersion } from "../patches/kernels.js";
import type { Names } from "../patches/names.js";
import { namedNodes } from "./paths.js";

/** A path and its steps that ask a rule. */
interface Asking {
  readonly path: string;
  readonly steps: readonly string[];
}

/** The paths of a kernel, of those given, that ask a rule, each with its steps; by their v4.20 names. */
export function askersOf({ rule }: RuleValues, paths: Iterable<AnyPath>): Asking[] {
  const found = new Map<string, Set<string>>();
  for (const path of paths)
    for (const { name, around } of namedNodes(path)) {
      const asks = [name, ...around, `${path.name}/${name}`].some((each) => rule.asked.includes(each));
      if (!asks) continue;
      found.set(path.name, (found.get(path.name) ?? new Set()).add(name));
    }
  return [...found]
    .map(([path, steps]) => ({ path, steps: [...steps] }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * A rule as lines: its sentence, its answers, and who asks.
 *
 * @param names what the functions are called
 */
export function ruleListing({ rule, values }: RuleValues, askers: readonly Asking[], names: Names): string {
  const fields = Object.entries(rule.struct.fields as Record<string, { note: string }>);
  return [
    `${names.path(rule.name)}: ${names.text(rule.help)}`,
    ...fields.map(([field, { note }]) => `  ${field} = ${values[field]}, ${note}`),
    ...askers.map(
      ({ path, steps }) =>
        `  asked in ${names.path(path)}: ${steps.map((step) => names.within(path, step)).join(", ")}`,
    ),
    ...(rule.asked_by === undefined ? [] : [`  asked by ${names.text(rule.asked_by)}`]),
    "",
  ].join("\n");
}

/** What a kernel has in a rule; null when it has no such rule. */
export const ruleIn = ({ rules }: KernelVersion, name: string): RuleValues | null =>
  rules.find(({ rule }) => rule.name === name) ?? null;
