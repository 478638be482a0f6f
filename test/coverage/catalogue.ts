/**
 * Which steps there are: every named node of every path that a set of modules exports, and of the private paths that
 * those call, by name or through a table of operations. What a configuration leaves out is a step too.
 *
 * To know a step again in a linked image, the catalogue gives copies of paths in which its name is its key; whoever links asks for a copy of
 * each path that is called.
 */
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
  rename: (name: string) => string,
  follow: (callee: AnyPath) => () => AnyPath,
): AnyNode {
  const copies = (nodes: readonly AnyNode[]) => nodes.map((inner) => copyNode(inner, rename, follow));
  switch (node.op) {
    case "step":
    case "wait":
    case "check":
    case "acquire":
    case "release":
      return { ...node, name: rename(node.name) };
    case "choose":
      return { ...node, name: node.name === null ? null : rename(node.name) };
    case "when": {
      const name = node.name === null ? null : rename(node.name);
      const then = copies(node.then);
      return { ...node, name, then, otherwise: copies(node.otherwise) };
    }
    case "loop": {
      const name = node.name === null ? null : rename(node.name);
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

export class Catalogue {
  /** Every step by its key. */
  readonly steps = new Map<string, Step>();
  private readonly files = new Map<AnyPath, string>();
  private readonly copies = new WeakMap<AnyPath, AnyPath>();

  /** The steps of these modules (their exports by file name) and of what these tables of operations lead to. */
  constructor(
    modules: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
    tables: { readonly file: string; readonly operations: Implementations },
  ) {
    for (const [file, exported] of Object.entries(modules))
      for (const path of Object.values(exported).filter(isPath))
        if (!this.files.has(path)) this.files.set(path, file);
    for (const path of this.files.keys()) this.keyed(path);
    for (const rows of Object.values(tables.operations))
      for (const row of Object.values(rows))
        for (const path of Object.values(row)) this.copyOf(path, this.files.get(path) ?? tables.file);
  }

  /** The path with the keys of its steps for their names; steps that are in no module of the catalogue keep theirs. */
  keyed(path: AnyPath): AnyPath {
    return this.copyOf(path, this.files.get(path) ?? null);
  }

  private copyOf(path: AnyPath, file: string | null): AnyPath {
    const made = this.copies.get(path);
    if (made) return made;
    const counts = new Map<string, number>();
    const rename = (step: string): string => {
      if (file === null) return step;
      const nth = (counts.get(step) ?? 0) + 1;
      counts.set(step, nth);
      const key = `${file} ${path.name} ${step} ${nth}`;
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
