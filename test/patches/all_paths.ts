/** Every path there is, from the modules themselves: what patches can be applied to. */
import type { AnyPath } from "../../src/machine/patch.js";

const modules = import.meta.glob<Record<string, unknown>>(
  ["../../src/kernel/**/*.ts", "../../src/patches/*.ts"],
  {
    eager: true,
  },
);

/** Every path that a module of the base exports, and all that those call. */
export function allPaths(): AnyPath[] {
  const found = new Set<AnyPath>();
  const visit = (path: AnyPath): void => {
    if (found.has(path)) return;
    found.add(path);
    const nodes = (body: AnyPath["body"]): void => {
      for (const node of body) {
        if (node.op === "call") visit(node.callee());
        if (node.op === "when" || node.op === "config") nodes([...node.then, ...node.otherwise]);
        if (node.op === "loop" || node.op === "under") nodes(node.body);
      }
    };
    nodes(path.body);
  };
  for (const exported of Object.values(modules))
    for (const value of Object.values(exported))
      if (typeof value === "object" && value !== null && "body" in value && "source" in value)
        visit(value as AnyPath);
  return [...found];
}
