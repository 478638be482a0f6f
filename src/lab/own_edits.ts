/**
 * The edits of a patch that somebody writes himself, made ready: names that the kernel's source has become those of v4.20, an edit that does
 * not apply is refused with what would, and a function of his that throws, or answers what nobody can go by, says in which step.
 */
import { type AnyPath, anchorOf, anchorsOf, type Edit, edited } from "../machine/patch.js";
import type { Node } from "../machine/path.js";
import type { KernelVersion } from "../patches/kernels.js";
import { listed, nearest } from "./text.js";

// biome-ignore lint/suspicious/noExplicitAny: nodes of any frame
type AnyNode = Node<any, any>;
// biome-ignore lint/suspicious/noExplicitAny: the functions of nodes of any frame
type Function_ = (k: any, f: any) => unknown;

const nameOf = (path: AnyPath | string): string => (typeof path === "string" ? path : path.name);

/** What an edit does, for a complaint: `edit 2 (before "PageDirty#1" of shrink_page_list)`. */
export function editText(edit: Edit, nth: number): string {
  const how = edit.how === "callee" ? "recall" : edit.how;
  const what =
    "anchor" in edit ? `${how} "${edit.anchor}" of ${nameOf(edit.path)}` : `${how}: ${nameOf(edit.path)}`;
  return `edit ${nth} (${what})`;
}

/** Each anchor of a path as it is written: with its number where there are several of its name. */
function written(names: readonly string[]): string[] {
  const met = new Map<string, number>();
  return names.map((name) => {
    const nth = (met.get(name) ?? 0) + 1;
    met.set(name, nth);
    return names.indexOf(name) === names.lastIndexOf(name) ? name : `${name}#${nth}`;
  });
}

/**
 * An anchor by the names of v4.20, with its number.
 *
 * @param shown each anchor of the path by the kernel's names, in order
 * @throws Error with what there is, where it is none or one of several
 */
function anchorIn(path: AnyPath, typed: string, shown: readonly string[], title: string): string {
  const all = anchorsOf(path);
  const [name, nth] = typed.split("#");
  const named = all.includes(name) ? all : shown;
  const places = named.flatMap((each, at) => (each === name ? [at] : []));
  if (places.length === 0) {
    const near = nearest(name, shown);
    const hint = near.length > 0 ? `did you mean ${listed(near)}? It has` : "it has";
    throw new Error(
      `does not apply: ${title} has no step "${name}"; ${hint} ${[...new Set(written(shown))].join(", ")}`,
    );
  }
  if (nth === undefined && places.length > 1) {
    const each = places.map((at, number) => {
      const before = at > 0 ? `after ${shown[at - 1]}` : "at the beginning";
      return `${name}#${number + 1} (${before})`;
    });
    throw new Error(`does not apply: ${title} has ${places.length} steps "${name}": write ${listed(each)}`);
  }
  const wanted = nth === undefined ? 1 : Number(nth);
  if (!(wanted >= 1 && wanted <= places.length))
    throw new Error(`does not apply: ${title} has ${places.length} steps "${name}", and no number ${nth}`);
  const at = places[wanted - 1];
  const number = all.slice(0, at + 1).filter((each) => each === all[at]).length;
  return all.filter((each) => each === all[at]).length === 1 ? all[at] : `${all[at]}#${number}`;
}

/** Every node below some, themselves included. */
function below(nodes: readonly AnyNode[]): AnyNode[] {
  return nodes.flatMap((node) => {
    if (node.op === "when" || node.op === "config")
      return [node, ...below(node.then), ...below(node.otherwise)];
    if (node.op === "loop" || node.op === "under") return [node, ...below(node.body)];
    return [node];
  });
}

/** The labels of a path, and those to which it goes. */
function labelsOf(path: AnyPath): { readonly has: readonly string[]; readonly wants: readonly string[] } {
  const nodes = below(path.body);
  return {
    has: nodes.flatMap((node) => (node.op === "label" ? [node.name] : [])),
    wants: nodes.flatMap((node) => {
      if (node.op === "goto") return [node.label];
      if (node.op === "check") return [node.otherwise];
      return node.op === "choose" ? node.labels : [];
    }),
  };
}

/** Complain where an edit leaves a path that goes to a label which it has not, or which it has twice. */
function labelled(before: AnyPath, after: AnyPath, title: string): void {
  const had = labelsOf(before).has;
  const { has, wants } = labelsOf(after);
  // The base has a label twice where only one of two branches is linked.
  const twice = has.find((label) => has.indexOf(label) !== has.lastIndexOf(label) && has.length > had.length);
  if (twice !== undefined && had.indexOf(twice) === had.lastIndexOf(twice))
    throw new Error(`would give ${title} a second label "${twice}"`);
  const missing = wants.find((label) => !has.includes(label));
  if (missing === undefined) return;
  const known = has.length === 0 ? "no label at all" : listed([...new Set(has)], "and");
  throw new Error(`leaves ${title} without the label "${missing}", to which it goes; it has ${known}`);
}

/** How often a function of a patch's is watched for locals that its path does not have. */
const WATCHED = 500;

/** What a function is for: what it may answer. */
type Answer = "nothing" | "yes or no" | "a number";

/** How often functions of a patch have been called, and how many it has. */
export interface Ran {
  calls: number;
  functions: number;
}

/** A function of a patch's that says where it stands when it throws, or answers something else. */
function guarded(run: Function_, answer: Answer, where: string, ran: Ran): Function_ {
  let calls = 0;
  const watch = (f: object): object =>
    new Proxy(f, {
      get: (frame, name) => {
        if (typeof name === "string" && !(name in frame)) throw new Error(`its path has no local ${name}`);
        return Reflect.get(frame, name, frame);
      },
      set: (frame, name, value) => {
        if (!(name in frame)) throw new Error(`its path has no local ${String(name)} that it could set`);
        return Reflect.set(frame, name, value, frame);
      },
    });
  return (k, f) => {
    let said: unknown;
    ran.calls++;
    try {
      said = run(k, calls++ < WATCHED ? watch(f as object) : f);
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
      const [, absent] = /^Memory: struct (\S+) is not in this memory/.exec(message) ?? [];
      const why =
        absent === undefined
          ? `throws: ${name === "Error" ? "" : `${name}: `}${message}`
          : `asks for struct ${absent}, which the machine lacks: tables: [{ struct: ${absent}, rows: (g) => g.pages }] gives it one`;
      throw new Error(`${where} ${why}`, { cause: error });
    }
    // A step decides nothing: what a short function happens to answer is no answer.
    if (answer === "nothing") return undefined;
    if (typeof said === (answer === "a number" ? "number" : "boolean")) return said;
    throw new Error(
      `${where} answers ${String(said)} where ${answer === "a number" ? answer : "true or false"} is needed`,
    );
  };
}

/** Guards what a patch brings: nodes, and the paths that only they call. */
class Guard {
  private readonly paths = new Map<AnyPath, AnyPath>();
  readonly ran: Ran = { calls: 0, functions: 0 };

  /**
   * @param patch its name
   * @param known whether a path is one of the kernel's
   */
  constructor(
    private readonly patch: string,
    private readonly known: (path: AnyPath) => boolean,
  ) {}

  /** A path, guarded if it is the patch's own. */
  path(path: AnyPath): AnyPath {
    if (this.known(path)) return path;
    const made = this.paths.get(path);
    if (made !== undefined) return made;
    const copy = { ...path, body: [] as AnyNode[] };
    this.paths.set(path, copy);
    copy.body.push(...this.nodes(path.body, path.name));
    return copy;
  }

  /** What a patch does around a step. */
  wrap(wrap: (act: Function_) => Function_, path: string, anchor: string): (act: Function_) => Function_ {
    this.ran.functions++;
    return (act) => guarded(wrap(act), "nothing", this.where(path, anchor), this.ran);
  }

  nodes(nodes: readonly AnyNode[], path: string): AnyNode[] {
    return nodes.map((node) => this.node(node, path));
  }

  private where(path: string, step: string): string {
    return `patch ${this.patch}: ${path}/${step}`;
  }

  private node(node: AnyNode, path: string): AnyNode {
    const name = anchorOf(node) ?? (node.op === "local" ? "a local step" : `a ${node.op} without a name`);
    const of = <F extends Function_>(run: F, answer: Answer): F => {
      this.ran.functions++;
      return guarded(run, answer, this.where(path, name), this.ran) as F;
    };
    const held = typeof node.held === "function" ? { held: of(node.held, "yes or no") } : {};
    switch (node.op) {
      case "step":
      case "local":
        return { ...node, ...held, run: of(node.run, "nothing") };
      case "wait":
        return { ...node, ...held, run: of(node.run, "nothing"), until: of(node.until, "yes or no") };
      case "check":
        return { ...node, ...held, test: of(node.test, "yes or no") };
      case "when":
        return {
          ...node,
          ...held,
          test: of(node.test, "yes or no"),
          // biome-ignore lint/suspicious/noThenProperty: a node is never awaited
          then: this.nodes(node.then, path),
          otherwise: this.nodes(node.otherwise, path),
        };
      case "config":
        return {
          ...node,
          // biome-ignore lint/suspicious/noThenProperty: a node is never awaited
          then: this.nodes(node.then, path),
          otherwise: this.nodes(node.otherwise, path),
        };
      case "loop":
        return { ...node, ...held, test: of(node.test, "yes or no"), body: this.nodes(node.body, path) };
      case "under":
        return { ...node, body: this.nodes(node.body, path) };
      case "choose": {
        const index = of(node.index, "a number");
        const most = node.labels.length;
        const chosen: typeof index = (k, f) => {
          const label = index(k, f);
          if (Number.isInteger(label) && label >= 0 && label < most) return label;
          throw new Error(`${this.where(path, name)} chooses label ${label} of 0 to ${most - 1}`);
        };
        return { ...node, ...held, index: chosen };
      }
      case "leave":
        return node.value === null ? node : { ...node, value: of(node.value, "a number") };
      case "call":
        return { ...node, callee: () => this.path(node.callee()) };
      case "dispatch":
        return { ...node, select: of(node.select, "a number") };
      case "acquire":
      case "release":
        return { ...node, which: of(node.which, "a number") };
      default:
        return node;
    }
  }
}

/** The paths that can be edited, by their names, each as the kernel has it. */
export type Editable = ReadonlyMap<string, readonly AnyPath[]>;

/**
 * Edits made ready.
 *
 * @param patch its name
 * @param beneath the kernel that it is written for, with what it needs
 * @param editable the paths of that kernel
 * @returns them, and how often what they bring has run
 * @throws Error with one sentence about the first edit that does not apply: which it is, why, and what would be right
 */
export function readyEdits(
  patch: string,
  edits: readonly Edit[],
  beneath: KernelVersion,
  editable: Editable,
): { readonly edits: readonly Edit[]; readonly ran: Ran } {
  const { names } = beneath;
  const now = new Map([...editable].map(([name, paths]) => [name, [...paths]]));
  const known = new Set([...editable.values()].flat());
  const guard = new Guard(patch, (path) => known.has(path) || known.has(beneath.patched(path)));
  const ready = edits.map((edit, at) => {
    try {
      const typed = nameOf(edit.path);
      const name = names.typed(typed).find((each) => now.has(each));
      if (name === undefined) {
        const near = nearest(typed, [...now.keys()].map(names.path));
        const hint =
          near.length > 0
            ? `did you mean ${listed(near)}?`
            : "guplab repl -e paths lists those of a scenario";
        throw new Error(`does not apply: ${beneath.name} has no path "${typed}"; ${hint}`);
      }
      const path = typeof edit.path === "string" ? name : edit.path;
      const paths = now.get(name) as AnyPath[];
      // Of the paths of one name, an edit of one of them is of that.
      const meant =
        typeof edit.path === "string"
          ? paths
          : [paths[(editable.get(name) ?? []).indexOf(beneath.patched(edit.path))] ?? paths[0]];
      const title = names.path(name);
      const shownIn = (each: AnyPath) => anchorsOf(each).map((anchor) => names.within(name, anchor));
      let made: Edit = { ...edit, path };
      if ("anchor" in made)
        made = { ...made, anchor: anchorIn(meant[0], made.anchor, shownIn(meant[0]), title) };
      if ("nodes" in made) made = { ...made, nodes: guard.nodes(made.nodes, name) };
      if (made.how === "around") made = { ...made, wrap: guard.wrap(made.wrap, name, made.anchor) };
      if (made.how === "callee") {
        const { callee } = made;
        made = { ...made, callee: () => guard.path(callee()) };
      }
      if (made.how === "becomes") made = { ...made, other: guard.path(made.other) };
      for (const each of meant) {
        const after = edited(each, made);
        labelled(each, after, title);
        paths[paths.indexOf(each)] = after;
      }
      return made;
    } catch (error) {
      throw new Error(`patch ${patch}, ${editText(edit, at + 1)}: ${(error as Error).message}`);
    }
  });
  return { edits: ready, ran: guard.ran };
}
