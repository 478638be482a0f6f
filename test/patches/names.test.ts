/** Names as a kernel has them: where they are shown, where they are typed, and whether there are functions of these names in the sources. */

import { describe, expect, it } from "vitest";
import { runLine, runScript, statements } from "../../src/cli/shell.js";
import { Desk, type Host } from "../../src/lab/desk.js";
import { explore } from "../../src/lab/explore.js";
import { kernelDiff } from "../../src/lab/kernels.js";
import { run } from "../../src/lab/run.js";
import { Session } from "../../src/lab/session.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { namesOf } from "../../src/patches/names.js";
import { RENAMES } from "../../src/patches/renames.js";
import { stubHost } from "../lab/stub_host.js";
import { GONE, SOURCES, type Source } from "./source_names.js";

interface Body {
  readonly op: string;
  readonly name?: string | null;
  readonly operation?: string;
  readonly callee?: () => { readonly name: string; readonly body: readonly Body[] };
  readonly then?: readonly Body[];
  readonly otherwise?: readonly Body[] | string;
  readonly body?: readonly Body[];
}

const modules = import.meta.glob<Record<string, unknown>>(
  ["../../src/kernel/**/*.ts", "../../src/patches/*.ts"],
  { eager: true },
);

/** The names of every path of a kernel and of all that its paths call, and the words of their steps, each with its path. */
function namesIn(kernel: string): Map<string, Set<string>> {
  const { patched } = findKernel(kernel);
  const found = new Map<string, Set<string>>();
  const seen = new Set<unknown>();
  // biome-ignore lint/suspicious/noExplicitAny: paths of any frame
  const visit = (unpatched: any): void => {
    const path = patched(unpatched);
    if (seen.has(path)) return;
    seen.add(path);
    const words = found.get(path.name) ?? new Set<string>();
    found.set(path.name, words);
    const nodes = (body: readonly Body[]): void => {
      for (const node of body) {
        const text = node.op === "label" || node.op === "pause" ? "" : (node.name ?? node.operation ?? "");
        for (const [word] of text.matchAll(/[A-Za-z_]\w{3,}/g)) words.add(word);
        if (node.op === "call" && node.callee) visit(node.callee());
        for (const inside of [node.then, node.otherwise, node.body]) if (Array.isArray(inside)) nodes(inside);
      }
    };
    nodes(path.body);
  };
  for (const exported of Object.values(modules))
    for (const value of Object.values(exported))
      if (typeof value === "object" && value !== null && "body" in value && "source" in value) visit(value);
  return found;
}

/** The kernel of the list whose source the names were read of. */
const KERNEL: Readonly<Record<Exclude<Source, "v4.20">, string>> = { "v6.1": "v6.1", "v6.12": "v6.12" };

describe("every function of v4.20 that is a path or a step", () => {
  const was = new Set(SOURCES["v4.20"]);

  it.each(["v6.1", "v6.12"] as const)("has a name that is in the source of %s, or is gone", (source) => {
    const is = new Set(SOURCES[source]);
    const { names } = findKernel(KERNEL[source]);
    const gone = new Set(GONE[source]);
    const missing = new Set<string>();
    let checked = 0;
    for (const [path, words] of namesIn(KERNEL[source])) {
      const shown: [string, string][] = [
        [path, names.path(path)],
        ...[...words].map((word): [string, string] => [word, names.within(path, word)]),
      ];
      for (const [old, now] of shown) {
        if (!was.has(old)) continue;
        checked++;
        if (!is.has(now) && !gone.has(old)) missing.add(`${path}: ${old} (shown as ${now})`);
      }
    }
    expect([...missing]).toEqual([]);
    expect(checked).toBeGreaterThan(900);
  });

  it("that is gone is in the map under no new name, and is gone indeed", () => {
    for (const source of ["v6.1", "v6.12"] as const) {
      const is = new Set(SOURCES[source]);
      const { names } = findKernel(KERNEL[source]);
      for (const name of GONE[source])
        expect([source, name, is.has(names.path(name))]).toEqual([source, name, false]);
    }
  });

  it("has new names that the source has: none of the map is invented", () => {
    for (const source of ["v6.1", "v6.12"] as const) {
      const is = new Set(SOURCES[source]);
      const { names } = findKernel(KERNEL[source]);
      for (const { release, everywhere, within } of RENAMES) {
        if (source === "v6.1" && ["v6.3", "v6.4", "v6.5", "v6.12"].includes(release)) continue;
        // Drivers and what only a patch brings were not read here.
        for (const old of Object.keys(everywhere).filter(
          (name) => was.has(name) && !GONE[source].includes(name),
        ))
          expect([source, old, is.has(names.path(old))]).toEqual([source, old, true]);
        for (const [path, words] of Object.entries(within))
          for (const old of Object.keys(words).filter(
            (name) => was.has(name) && !GONE[source].includes(name),
          ))
            expect([source, path, old, is.has(names.within(path, old))]).toEqual([source, path, old, true]);
      }
    }
  });
});

describe("a kernel's names", () => {
  it("v4.20 and kernels up to v5.9 have the base's", () => {
    for (const kernel of ["v4.20", "v5.9", "v4.20+ext4-page-without-buffers"])
      expect(findKernel(kernel).names.path("shrink_page_list")).toBe("shrink_page_list");
  });

  it.each([
    ["v5.11", "mmap_sem", "mmap_lock"],
    ["v5.18", "ext4_set_page_dirty", "ext4_dirty_folio"],
    ["v5.18", "set_page_dirty", "folio_mark_dirty"],
    ["v5.18", "clear_page_dirty_for_io", "folio_clear_dirty_for_io"],
    ["v5.18", "try_to_release_page", "filemap_release_folio"],
    ["v5.18", "__set_page_dirty_buffers", "block_dirty_folio"],
    ["v5.18", "shrink_page_list", "shrink_page_list"],
    ["v6.1", "shrink_page_list", "shrink_folio_list"],
    ["v6.1.192", "shrink_page_list", "shrink_folio_list"],
    ["2026", "shrink_page_list", "shrink_folio_list"],
    ["v6.1+keep-private-of-pinned", "ext4_releasepage", "ext4_release_folio"],
  ])("%s calls %s %s", (kernel, old, now) => {
    expect(namesOf(kernel).path(old)).toBe(now);
    expect(namesOf(kernel).typed(now)).toContain(old);
  });

  it("a step has the name that its function calls it by", () => {
    const { within } = namesOf("v6.1");
    expect(within("shrink_page_list", "if PageDirty")).toBe("if folio_test_dirty");
    expect(within("ib_umem_release", "if PageDirty")).toBe("if PageDirty");
    expect(within("shrink_page_list", "call try_to_unmap")).toBe("call try_to_unmap");
  });

  it("each release of the map is newer than the one before it", () => {
    const at = kernels.map(({ name }) => name);
    const known = RENAMES.map(({ release }) => at.indexOf(release)).filter((place) => place >= 0);
    expect(known).toEqual([...known].sort((a, b) => a - b));
  });
});

const host: Host = {
  ...stubHost,
  explore: async () => ({ text: "", report: null }) as never,
  script: runScript,
};

/** What a desk answers to the last of these statements. */
async function answer(kernel: string, text: string): Promise<string> {
  const desk = new Desk(host);
  desk.start("kara-2018", kernel);
  let last = "";
  for (const statement of statements(text)) last = (await runLine(desk, statement))?.text ?? "";
  return last;
}

describe("where names are shown", () => {
  it("paths has the kernel's names, and takes both", async () => {
    for (const typed of ["shrink_folio_list", "shrink_page_list"]) {
      const text = await answer("v6.1", `paths ${typed}`);
      expect(text).toMatch(/^shrink_folio_list\(/);
      expect(text).toContain("folio_trylock");
      expect(text).not.toMatch(/PageDirty|trylock_page/);
    }
    expect(await answer("v4.20", "paths shrink_page_list")).toContain("trylock_page");
    expect(await answer("v6.1", "paths")).toContain("ext4_release_folio");
  });

  it("until and back take both", async () => {
    for (const typed of ["shrink_folio_list", "shrink_page_list", "folio_trylock"])
      expect(await answer("v6.1", `until ${typed}`)).toMatch(/shrink_folio_list/);
  });

  it("log, tasks and diff have the kernel's", async () => {
    expect(await answer("v6.1", "until shrink_folio_list; log 3")).toContain("shrink_folio_list");
    const tasks = await answer("v6.1", "until shrink_folio_list; tasks");
    expect(tasks).toContain("folio_referenced");
    expect(tasks).not.toContain("page_referenced");
    expect(await answer("v6.1", "until shrink_folio_list; diff")).not.toContain("shrink_page_list");
  });

  it("a recording, its faults and a run's text have the kernel's", () => {
    const { recording, faults, ...made } = run("kara-2018", { kernel: "v5.18" });
    expect(recording.info.steps.some(({ path }) => path === "ext4_dirty_folio")).toBe(true);
    expect(recording.info.steps.some(({ path }) => path === "ext4_set_page_dirty")).toBe(false);
    expect(faults.map(({ message }) => message).join()).toContain("ext4_dirty_folio: WARN_ON_ONCE");
    expect(`${made.toString()}`).toContain("ext4_dirty_folio");
  });

  it("a search's steps have the kernel's", () => {
    const found = explore("fsync-pinned", { kernel: "v6.1" }).steps;
    expect(found.some(({ path }) => path === "folio_clear_dirty_for_io")).toBe(true);
    expect(found.some(({ path }) => path === "clear_page_dirty_for_io")).toBe(false);
  });

  it("a diff has the newer kernel's on both sides: what has only been renamed is no difference", () => {
    const diff = kernelDiff("v6.3", "v6.4", "shrink_page_list");
    expect(diff).toContain("--- v6.3/shrink_folio_list");
    expect(diff).toContain("+    if folio_maybe_dma_pinned");
    expect(kernelDiff("v6.3", "v6.4", "shrink_folio_list")).toBe(diff);
    expect(kernelDiff("v6.11", "v6.12")).toBe("");
  });

  it("the sentence of a task that cannot move has the kernel's", () => {
    const { world } = new Session("kara-2018", { kernel: "v6.1" });
    expect(world.named({ path: "shrink_page_list", step: "PageDirty" })).toEqual({
      path: "shrink_folio_list",
      step: "folio_test_dirty",
    });
  });
});
