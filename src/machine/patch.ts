/**
 * Patches: how a path becomes another one. An edit names a path and, in it, an anchor: a named node beside or instead of
 * which other nodes stand from then on. An anchor that is missing, or that could be one of several, is no place to edit: the patch does
 * not apply, and says so.
 *
 * A patched path has the same name and the same arguments as the one that it was made from, so that whoever calls the one calls the other.
 */
import type { Locals, Node, Path } from "./path.js";

// biome-ignore lint/suspicious/noExplicitAny: an edit does not know the frame of the path that it edits
type AnyNode = Node<any, any>;
// biome-ignore lint/suspicious/noExplicitAny: paths of any frame
export type AnyPath = Path<any, any, any>;

// biome-ignore lint/suspicious/noExplicitAny: an edit does not know the frame of the path that it edits
type Act = (k: any, f: any) => void;

/** One change of one path. */
export type Edit = {
  /** The path, or the name of one or more: every path of that name is edited. */
  readonly path: AnyPath | string;
} & (
  | {
      readonly how: "before" | "after" | "replace";
      /** A named node: a step's name, a callee's, an operation's, a label's with a colon, `under` a lock's; `#2` behind it names the second of its name. */
      readonly anchor: string;
      readonly nodes: readonly AnyNode[];
    }
  /** A step does something else, or something more, around what it did. */
  | {
      readonly how: "around";
      readonly anchor: string;
      readonly what: string;
      readonly wrap: (act: Act) => Act;
    }
  /** A call, by its callee's name, is one of another path, with the same arguments. */
  | { readonly how: "callee"; readonly anchor: string; readonly callee: () => AnyPath }
  | { readonly how: "locals"; readonly locals: Locals }
  /** Another path runs in its place, with the same arguments. */
  | { readonly how: "becomes"; readonly other: AnyPath }
);

/** Nodes stand before the anchor, and run before it. */
export const before = <F>(
  path: AnyPath | string,
  anchor: string,
  // biome-ignore lint/suspicious/noExplicitAny: nodes of any kernel
  nodes: readonly Node<any, F>[],
): Edit => ({ path, how: "before", anchor, nodes });

/** Nodes stand behind the anchor: behind all of it, if it is a test or a loop. */
export const after = <F>(
  path: AnyPath | string,
  anchor: string,
  // biome-ignore lint/suspicious/noExplicitAny: nodes of any kernel
  nodes: readonly Node<any, F>[],
): Edit => ({ path, how: "after", anchor, nodes });

/** Nodes stand in the anchor's place. */
export const replace = <F>(
  path: AnyPath | string,
  anchor: string,
  // biome-ignore lint/suspicious/noExplicitAny: nodes of any kernel
  nodes: readonly Node<any, F>[],
): Edit => ({ path, how: "replace", anchor, nodes });

/**
 * A step of the same name does something around what it did before, as one step. Several patches may do so; what the last one does is outermost.
 *
 * @param what a word for it: the listing of the path has it beside the step
 * @param wrap from what the step did to what it does now
 */
export const around = <F>(
  path: AnyPath | string,
  anchor: string,
  what: string,
  // biome-ignore lint/suspicious/noExplicitAny: steps of any kernel
  wrap: (act: (k: any, f: F) => void) => (k: any, f: F) => void,
): Edit => ({ path, how: "around", anchor, what, wrap });

/** The anchor is gone. */
export const remove = (path: AnyPath | string, anchor: string): Edit => ({
  path,
  how: "replace",
  anchor,
  nodes: [],
});

/** Another path is called, with the same arguments. */
export const recall = (path: AnyPath | string, anchor: string, callee: () => AnyPath): Edit => ({
  path,
  how: "callee",
  anchor,
  callee,
});

/** Another path runs in the place of one, whoever calls it; the edits of later patches that name the other one find it there. */
export const becomes = (path: AnyPath, other: AnyPath): Edit => ({ path, how: "becomes", other });

/** The path has more locals. */
export const locals = (path: AnyPath | string, more: Locals): Edit => ({ path, how: "locals", locals: more });

/** What an anchor calls a node; null for one that has no name. */
export function anchorOf(node: AnyNode): string | null {
  switch (node.op) {
    case "label":
      return `${node.name}:`;
    case "call":
      return node.callee().name;
    case "dispatch":
      return node.operation;
    case "under":
      return `under ${node.class.name}`;
    case "pause":
      return null;
    default:
      return "name" in node ? node.name : null;
  }
}

/** A copy of a body in which `change` says what stands in the place of each node, outer nodes first. */
function rewrite(nodes: readonly AnyNode[], change: (node: AnyNode) => readonly AnyNode[] | null): AnyNode[] {
  const inside = (node: AnyNode): AnyNode => {
    switch (node.op) {
      case "when":
      case "config":
        // biome-ignore lint/suspicious/noThenProperty: a node is never awaited
        return { ...node, then: rewrite(node.then, change), otherwise: rewrite(node.otherwise, change) };
      case "loop":
      case "under":
        return { ...node, body: rewrite(node.body, change) };
      default:
        return node;
    }
  };
  return nodes.flatMap((node) => change(node) ?? [inside(node)]);
}

/** The anchors of a path, in order, each as often as it stands there. */
export function anchorsOf(path: AnyPath): string[] {
  const found: string[] = [];
  rewrite(path.body, (node) => {
    const name = anchorOf(node);
    if (name !== null) found.push(name);
    return null;
  });
  return found;
}

/**
 * A path after one edit.
 *
 * @throws Error when the anchor is missing, or is one of several: "does not apply"
 */
export function edited(path: AnyPath, edit: Edit): AnyPath {
  if (edit.how === "becomes") {
    const lacking = Object.keys(edit.other.args).find((name) => !(name in path.args));
    if (lacking !== undefined)
      throw new Error(`does not apply: ${edit.other.name} needs ${lacking}, which ${path.name} is not told`);
    return edit.other;
  }
  if (edit.how === "locals") {
    const twice = Object.keys(edit.locals).find((name) => name in path.locals || name in path.args);
    if (twice !== undefined) throw new Error(`does not apply: ${path.name} has a local ${twice} already`);
    return { ...path, locals: { ...path.locals, ...edit.locals } };
  }
  const [name, nth] = edit.anchor.split("#");
  const all = anchorsOf(path);
  const count = all.filter((each) => each === name).length;
  if (count === 0)
    throw new Error(
      `does not apply: ${path.name} has no step "${name}"; it has ${[...new Set(all)].join(", ")}`,
    );
  if (nth === undefined && count > 1)
    throw new Error(
      `does not apply: ${path.name} has ${count} steps "${name}"; ${name}#1 names the first of them`,
    );
  const wanted = nth === undefined ? 1 : Number(nth);
  if (!(wanted >= 1 && wanted <= count))
    throw new Error(`does not apply: ${path.name} has ${count} steps "${name}", and no number ${nth}`);
  let met = 0;
  const body = rewrite(path.body, (node) => {
    if (anchorOf(node) !== name || ++met !== wanted) return null;
    if (edit.how === "callee") {
      if (node.op !== "call") throw new Error(`does not apply: "${name}" in ${path.name} is no call`);
      return [{ ...node, callee: edit.callee }];
    }
    if (edit.how === "around") {
      if (node.op !== "step") throw new Error(`does not apply: "${name}" in ${path.name} is no step`);
      const { run, around = [], act = run } = node;
      return [{ ...node, run: edit.wrap(run), around: [...around, edit.what], act }];
    }
    if (edit.how === "before") return [...edit.nodes, node];
    return edit.how === "after" ? [node, ...edit.nodes] : edit.nodes;
  });
  return { ...path, body };
}

/** The labels that nodes go to. */
function targetsOf(nodes: readonly AnyNode[]): string[] {
  const found: string[] = [];
  rewrite(nodes, (node) => {
    if (node.op === "goto") found.push(node.label);
    if (node.op === "check") found.push(node.otherwise);
    if (node.op === "choose") found.push(...node.labels);
    return null;
  });
  return found;
}

/** A label that a path's nodes go to and that it does not have, or null. */
function labelLacking(path: AnyPath): string | null {
  const anchors = new Set(anchorsOf(path));
  return targetsOf(path.body).find((label) => !anchors.has(`${label}:`)) ?? null;
}

/** The edits of a list of patches, in their order, as a function from each path to what becomes of it. */
export function patcher(
  patches: readonly { readonly name: string; readonly edits: readonly Edit[] }[],
): (path: AnyPath) => AnyPath {
  const all = patches.flatMap(({ name, edits }) => edits.map((edit) => ({ name, edit })));
  const made = new WeakMap<AnyPath, AnyPath>();
  return (path) => {
    const known = made.get(path);
    if (known !== undefined) return known;
    let result = path;
    let origin = path;
    for (const { name, edit } of all) {
      if (edit.path !== origin && edit.path !== origin.name) continue;
      try {
        result = edited(result, edit);
        if (edit.how === "becomes") origin = edit.other;
      } catch (error) {
        throw new Error(`patch ${name} ${(error as Error).message}`);
      }
    }
    // Only now: one edit may bring a label that another one goes to, and one may take away what went to it.
    const lacking = result === path ? null : labelLacking(result);
    if (lacking !== null) {
      const goes = all.findLast(({ edit }) => "nodes" in edit && targetsOf(edit.nodes).includes(lacking));
      const labels = anchorsOf(result).filter((anchor) => anchor.endsWith(":"));
      throw new Error(
        `patch ${(goes ?? all[all.length - 1]).name} does not apply: ${result.name} has no label "${lacking}"; it has ${labels.join(" ") || "none"}`,
      );
    }
    made.set(path, result);
    // A path is patched once, whoever asks for it.
    made.set(result, result);
    return result;
  };
}
