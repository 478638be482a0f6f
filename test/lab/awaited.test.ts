/** Whoever waits in the kernel can say what for. */
import { describe, expect, it } from "vitest";
import { operations } from "../../src/kernel/linux.js";
import { AWAITED, PAGE_LOCK_WAITS } from "../../src/lab/awaited.js";
import type { Path } from "../../src/machine/path.js";
import { proposals } from "../../src/patches/proposals/index.js";

type AnyPath = Path<never>;
type AnyNode = AnyPath["body"][number];

const modules = import.meta.glob<Record<string, unknown>>("../../src/kernel/**/*.ts", { eager: true });

/** Every wait of the kernel's paths, and of proposals, that takes no lock, as path: step. */
function waits(): string[] {
  const found = new Set<string>();
  const seen = new Set<AnyPath>();
  const visit = (path: AnyPath): void => {
    if (seen.has(path)) return;
    seen.add(path);
    within(path.name, path.body);
  };
  const within = (path: string, nodes: readonly AnyNode[]): void => {
    for (const at of nodes) {
      if (at.op === "wait" && at.lock?.how !== "takes") found.add(`${path}: ${at.name}`);
      if (at.op === "call") visit(at.callee());
      if (at.op === "loop" || at.op === "under") within(path, at.body);
      if (at.op === "when" || at.op === "config") within(path, [...at.then, ...at.otherwise]);
    }
  };
  const exported = Object.values(modules).flatMap((module) => Object.values(module));
  const tabled = Object.values(operations).flatMap((rows) =>
    Object.values(rows).flatMap((row) => Object.values(row)),
  );
  for (const each of [...exported, ...tabled]) {
    const path = each as Partial<AnyPath> | null;
    if (typeof path === "object" && path !== null && Array.isArray(path.body) && "locals" in path)
      visit(path as AnyPath);
  }
  for (const edit of proposals.flatMap(({ edits }) => edits)) {
    const name = typeof edit.path === "string" ? edit.path : edit.path.name;
    if (edit.how === "before" || edit.how === "after" || edit.how === "replace") within(name, edit.nodes);
    else if (edit.how === "callee") visit(edit.callee());
    else if (edit.how === "becomes") visit(edit.other);
  }
  for (const { path } of proposals.flatMap(({ daemons = [] }) => daemons)) visit(path as AnyPath);
  return [...found].sort();
}

const lineOf = (wait: string): string =>
  [wait, wait.slice(wait.indexOf(": ") + 2)].find((key) => key in AWAITED) ?? wait;

describe("what a task waits for", () => {
  it("has words at every wait of the kernel that takes no lock", () => {
    const without = waits().filter(
      (wait) => !(lineOf(wait) in AWAITED) && !PAGE_LOCK_WAITS.includes(wait.slice(wait.indexOf(": ") + 2)),
    );
    expect(without).toEqual([]);
  });

  it("has no words for a wait that is not there", () => {
    const there = new Set(waits().map(lineOf));
    const elsewhere = ["thread: next order", "revoke: revoke"];
    expect(Object.keys(AWAITED).filter((key) => !there.has(key) && !elsewhere.includes(key))).toEqual([]);
  });
});
