/**
 * The kernel paths of a world as text: what can run here, where the real function is, and its steps in order.
 */
import type { Config } from "../kernel/config.js";
import { operations } from "../kernel/linux.js";
import type { AnyPath } from "../machine/patch.js";
import type { Node } from "../machine/path.js";
import type { Implementations } from "../machine/program.js";
import type { KernelVersion } from "../patches/kernels.js";
import type { Names } from "../patches/names.js";
import { type World, withDaemons } from "./world.js";

type AnyNode = Node<unknown, unknown>;

/** The paths that a path calls, itself first, by a table of operations too. */
function reached(
  root: AnyPath,
  operations: Implementations,
  patched: (path: AnyPath) => AnyPath,
  configured: (option: string) => "then" | "otherwise" | "both",
): Set<AnyPath> {
  const found = new Set<AnyPath>();
  const visit = (unpatched: AnyPath): void => {
    const path = patched(unpatched);
    if (found.has(path)) return;
    found.add(path);
    path.body.forEach(node);
  };
  const node = (at: AnyNode): void => {
    if (at.op === "call") visit(at.callee());
    if (at.op === "loop" || at.op === "under") at.body.forEach(node);
    if (at.op === "config") {
      const which = configured(at.option);
      if (which !== "otherwise") at.then.forEach(node);
      if (which !== "then") at.otherwise.forEach(node);
    }
    if (at.op === "when") [...at.then, ...at.otherwise].forEach(node);
    if (at.op === "dispatch") {
      for (const rows of Object.values(operations[at.table.name] ?? {})) {
        const implementation = rows[at.operation];
        if (implementation) visit(implementation as AnyPath);
      }
    }
  };
  visit(root);
  return found;
}

/** Every path that a task of this world can reach, by its v4.20 name: on its own kernel, or as another one would have it. */
export function pathsOf(
  { scenario, parameters, kernel: own, k }: World,
  kernel: KernelVersion = own,
): Map<string, AnyPath> {
  const found = new Map<string, AnyPath>();
  const here = (option: string) => (k.has(option as Config) ? "then" : "otherwise");
  for (const { path } of withDaemons(scenario.setup(parameters).tasks, kernel))
    for (const each of reached(path, kernel.operations, kernel.patched, here))
      if (!found.has(each.name)) found.set(each.name, each);
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Every path that a path can reach on some machine: the base's own, or what became of them. */
export const pathsBelow = (
  path: AnyPath,
  patched: (path: AnyPath) => AnyPath = (each) => each,
): Set<AnyPath> => reached(path, operations, patched, () => "both");

/** The nodes of a path that have a name, with what patches do around each. */
export function namedNodes(path: AnyPath): { readonly name: string; readonly around: readonly string[] }[] {
  const found: { name: string; around: readonly string[] }[] = [];
  const body = (nodes: readonly AnyNode[]): void => {
    for (const node of nodes) {
      if ("name" in node && node.name !== null) found.push({ name: node.name, around: node.around ?? [] });
      if (node.op === "loop" || node.op === "under") body(node.body);
      if (node.op === "when" || node.op === "config") body([...node.then, ...node.otherwise]);
    }
  };
  body(path.body);
  return found;
}

/** One line of a path: its depth, what it is, and whether other tasks can run before it. */
export interface PathLine {
  readonly depth: number;
  readonly text: string;
  /** False for tests and calls that run at once with the step before them. */
  readonly preemption: "step" | "held" | "none";
}

/**
 * The body of a path, a line for each step, test, call and label; bookkeeping on locals is left out.
 *
 * @param names what the kernel calls the functions
 */
export function linesOf(path: AnyPath, names: Names): PathLine[] {
  const lines: PathLine[] = [];
  const add = (depth: number, text: string, node: AnyNode | null): void => {
    const preemption = node === null ? "none" : node.held === undefined ? "step" : "held";
    lines.push({ depth, text: names.within(path.name, text), preemption });
  };
  const body = (nodes: readonly AnyNode[], depth: number): void => {
    for (const node of nodes) {
      const text = textOf(node);
      const named = "name" in node && node.name !== null && node.op !== "pause" && node.op !== "label";
      if (text !== "") add(node.op === "label" ? Math.max(0, depth - 1) : depth, text, named ? node : null);
      if (node.op === "loop" || node.op === "under") body(node.body, depth + 1);
      if (node.op !== "when" && node.op !== "config") continue;
      body(node.then, depth + 1);
      if (shown(node.otherwise)) add(depth, "else", null);
      body(node.otherwise, depth + 1);
    }
  };
  body(path.body, 0);
  return lines;
}

/** A node without what is inside it; empty for what is no line of its own. */
function textOf(node: AnyNode): string {
  switch (node.op) {
    case "step":
      return node.around === undefined ? node.name : `${node.name} (${node.around.join(", ")})`;
    case "wait":
      return `wait: ${node.name}`;
    case "acquire":
      return `wait: ${node.name}`;
    case "release":
      return node.name;
    case "under":
      return `under ${node.class.name}`;
    case "assert":
      return "";
    case "config":
      return `if configured: ${node.option}`;
    case "pause":
      return `sleep: ${node.name}`;
    case "check":
      return `${node.name}, else goto ${node.otherwise}`;
    case "when":
      if (node.name === null) return shown(node.then) || shown(node.otherwise) ? "if (locals)" : "";
      return `if ${node.name}`;
    case "loop":
      return `while ${node.name ?? "(locals)"}`;
    case "choose":
      return `${node.name ?? "(locals)"}: goto ${node.labels.join(", ")}`;
    case "label":
      return `${node.name}:`;
    case "goto":
      return `goto ${node.label}`;
    case "leave":
      return "return";
    case "call":
      return `call ${node.callee().name}`;
    case "dispatch":
      return `call ${node.table.name}->${node.operation}`;
    case "local":
      return "";
  }
}

/** Whether anything of these nodes is a line of its own. */
const shown = (nodes: readonly AnyNode[]): boolean => nodes.some((node) => node.op !== "local");
