/**
 * Rules: answers that a kernel's functions look up instead of having them written in their steps, because a later kernel gives another
 * one in many places at once (how a page is counted).
 *
 * A rule is a struct of one row that is filled when the machine is built. The base, or the patch that brings it, says what is in it; a
 * patch that changes it names the new values, so that a reader of two kernels sees them side by side.
 */
import type { Fields, Struct } from "../machine/memory.js";
import type { Kernel } from "./kernel.js";

// biome-ignore lint/suspicious/noExplicitAny: a rule of any fields
export interface Rule<C extends Fields = any> {
  /** The kernel's function that knows the answer, or the struct. */
  readonly name: string;
  /** What it decides, as a sentence. */
  readonly help: string;
  /** Fixed fields, each with what its value means. */
  readonly struct: Struct<C>;
  /** The answers when it is new. */
  readonly values: { readonly [N in keyof C]: number };
  /** Steps that look it up, by their names, or what a patch does around one: in every path that has such a step, or in `path/step`. */
  readonly asked: readonly string[];
  /** Who else looks it up, in too many paths to name their steps; default nobody. */
  readonly asked_by?: string;
}

/** What a kernel has in a rule. */
export interface RuleValues {
  readonly rule: Rule;
  readonly values: Readonly<Record<string, number>>;
}

/** A rule of these values; those that are not given are the ones that it began with. */
export const rule_of = <C extends Fields>(
  rule: Rule<C>,
  values: Partial<{ readonly [N in keyof C]: number }> = {},
): RuleValues => ({ rule, values: { ...rule.values, ...values } });

/** Fill a machine's rules, where it has what they are about. */
export function set_rules(k: Kernel, rules: readonly RuleValues[]): void {
  for (const { rule, values } of rules)
    for (const [field, column] of Object.entries(k.of(rule.struct)))
      if (column.length > 0) column[0] = values[field];
}
