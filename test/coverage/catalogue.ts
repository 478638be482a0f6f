/**
 * Which steps there are: every named node of every path that a set of modules exports, and of the private paths that
 * those call, by name or through a table of operations. What a configuration leaves out is a step too.
 *
 * To know a step again in a linked image, the catalogue gives copies of paths in which its name is its key; whoever links asks for a copy of
 * each path that is called.
 */
import type { Edit } from "../../src/machine/patch.js";
import type { Path } from "../../src/machine/path.js";
import type { Implementations } from "../../src/machine/program.js";

export interface Step {
  readonly path: string;
  readonly step: string;
  /** Which of the path's steps of this name, from 1 on, in the order in which they are written. */
  readonly nth: number;
  /** Where the real one is: file and version. */
  readonly source: string;
  /** Our file: the one that exports the path, or the first path that calls it. */
  readonly file: string;
}

type AnyPath = Path<never>;
type AnyNode = AnyPath["body"][number];

const isPath = (value: unknown): value is AnyPath => {
  if (typeof value !== "object" || value === null) return false;
  const { name, source, args, locals, body } = value as Partial<AnyPath>;
  return (
    typeof name === "string" &&
    typeof source === "string" &&
    typeof args === "object" &&
    typeof locals === "object" &&
    Array.isArray(body)
  );
};

/** A copy of a node with other names and other callees, in it and below it, in the order in which they are written. */
function copyNode(
  node: AnyNode,
  rename: (name: string, node: AnyNode) => string,
  follow: (callee: AnyPath) => () => AnyPath,
): AnyNode {
  const copies = (nodes: readonly AnyNode[]) => nodes.map((inner) => copyNode(inner, rename, follow));
  switch (node.op) {
    case "step":
    case "wait":
    case "check":
    case "acquire":
    case "release":
      return { ...node, name: rename(node.name, node) };
    case "choose":
      return { ...node, name: node.name === null ? null : rename(node.name, node) };
    case "when": {
      const name = node.name === null ? null : rename(node.name, node);
      const then = copies(node.then);
      return { ...node, name, then, otherwise: copies(node.otherwise) };
    }
    case "loop": {
      const name = node.name === null ? null : rename(node.name, node);
      return { ...node, name, body: copies(node.body) };
    }
    case "config": {
      const then = copies(node.then);
      return { ...node, then, otherwise: copies(node.otherwise) };
    }
    case "under":
      return { ...node, body: copies(node.body) };
    case "call":
      return { ...node, callee: follow(node.callee()) };
    case "assert":
    case "dispatch":
    case "pause":
    case "local":
    case "label":
    case "goto":
    case "leave":
      return node;
    default: {
      const unknown: never = node;
      throw new Error(`copyNode: a node "${(unknown as AnyNode).op}" is not known here`);
    }
  }
}

/** What a node does: the same function in every copy of it. */
const actOf = (node: AnyNode): unknown => {
  if (node.act !== undefined) return node.act;
  if ("test" in node) return node.test;
  if ("which" in node) return node.which;
  if ("index" in node) return node.index;
  return "run" in node ? node.run : node;
};

/** A patch, as far as its steps go. */
export interface PatchOfSteps {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly daemons?: readonly { readonly path: unknown }[];
}

export class Catalogue {
  /** The key of each act, by the name of the path that it stands in. */
  private readonly acts = new Map<unknown, Map<string, string>>();
  /** Every step by its key. */
  readonly steps = new Map<string, Step>();
  private readonly files = new Map<AnyPath, string>();
  private readonly copies = new WeakMap<AnyPath, AnyPath>();

  /** The steps of these modules (their exports by file name) and of what these tables of operations lead to. */
  constructor(
    modules: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
    tables: { readonly file: string; readonly operations: Implementations },
    patches: readonly PatchOfSteps[] = [],
  ) {
    for (const [file, exported] of Object.entries(modules))
      for (const path of Object.values(exported).filter(isPath))
        if (!this.files.has(path)) this.files.set(path, file);
    for (const path of this.files.keys()) this.keyed(path);
    for (const rows of Object.values(tables.operations))
      for (const row of Object.values(rows))
        for (const path of Object.values(row)) this.copyOf(path, this.files.get(path) ?? tables.file);
    for (const patch of patches) this.addPatch(patch);
  }

  /** The steps that a patch puts into paths, and those of the paths that it brings. */
  private addPatch({ name, edits, daemons = [] }: PatchOfSteps): void {
    const file = `patch ${name}`;
    const brings = (path: AnyPath) => this.copyOf(path, this.files.get(path) ?? file);
    const bodies = new Map<string, AnyNode[]>();
    for (const edit of edits) {
      if (edit.how === "callee") brings(edit.callee() as AnyPath);
      if (edit.how === "becomes") brings(edit.other as AnyPath);
      if (!("nodes" in edit)) continue;
      const path = typeof edit.path === "string" ? edit.path : edit.path.name;
      bodies.set(path, [...(bodies.get(path) ?? []), ...(edit.nodes as AnyNode[])]);
    }
    // All that it puts into one path is counted through, as steps of one name in it are.
    for (const [path, body] of bodies)
      this.copyOf({ name: path, source: file, args: {}, locals: {}, returns: null, body }, file);
    for (const { path } of daemons) brings(path as AnyPath);
  }

  /** The path with the keys of its steps for their names; steps that are in no module of the catalogue keep theirs. */
  keyed(path: AnyPath): AnyPath {
    return this.copyOf(path, this.files.get(path) ?? null);
  }

  private copyOf(path: AnyPath, file: string | null): AnyPath {
    const made = this.copies.get(path);
    if (made) return made;
    const counts = new Map<string, number>();
    const rename = (step: string, node: AnyNode): string => {
      const known = this.acts.get(actOf(node))?.get(path.name);
      if (file === null) return known ?? step;
      // A path that a patch makes of another one has that one's steps.
      if (file.startsWith("patch ") && known !== undefined) return known;
      const nth = (counts.get(step) ?? 0) + 1;
      counts.set(step, nth);
      const key = `${file} ${path.name} ${step} ${nth}`;
      const acts = this.acts.get(actOf(node)) ?? new Map<string, string>();
      this.acts.set(actOf(node), acts.set(path.name, key));
      // A path that is made anew for each use is one path.
      if (!this.steps.has(key))
        this.steps.set(key, { path: path.name, step, nth, source: path.source, file });
      return key;
    };
    const callees: AnyPath[] = [];
    const follow = (callee: AnyPath) => {
      callees.push(callee);
      return () => callee;
    };
    const copy = { ...path, body: path.body.map((node) => copyNode(node, rename, follow)) };
    this.copies.set(path, copy);
    for (const callee of callees) this.copyOf(callee, this.files.get(callee) ?? file);
    return copy;
  }
}
