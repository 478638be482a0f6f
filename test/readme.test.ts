import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runLine, statements } from "../src/cli/shell.js";
import { Desk, type Host } from "../src/lab/desk.js";
import { computeCell } from "../src/lab/matrix/cell.js";
import { cellText } from "../src/lab/matrix/text.js";
import { run } from "../src/lab/run.js";
import { type OwnPatch, workbench } from "../src/lab/workbench.js";
import { toSvg } from "../src/plot/index.js";
import { stubHost } from "./lab/stub_host.js";

const file = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");

/** Nothing is written, read, searched or drawn. */
const host: Host = {
  ...stubHost,
};

describe("README", () => {
  it("shows what `guplab run kara-2018` prints", () => {
    expect(file("README.md")).toContain(`$ guplab run kara-2018\n${run("kara-2018")}\n`);
  });

  it("has a picture that is what the replay line in its caption draws", () => {
    const picture = file("notebooks/data/kara-2018.svg");
    const [replay] = /kara-2018@v4\.20:\w+/.exec(picture) ?? [];
    expect(picture).toBe(toSvg(run(replay as string).plot.life()));
  });

  it("crashes the sandbox with the lines that it gives", async () => {
    const [, block] = /```text\n(scenario sandbox[\s\S]*?)```/.exec(file("README.md")) ?? [];
    const desk = new Desk(host);
    const texts: string[] = [];
    for (const statement of statements(block)) texts.push((await runLine(desk, statement)).text);
    expect(texts.join("\n")).toContain("BUG: page_buffers: BUG_ON(!PagePrivate(page))");
    expect(desk.world.k.faults.map(({ kind }) => kind)).toEqual(["WARN", "BUG"]);
  });

  it("shows a fix of somebody's own, and what `guplab fix` prints of it", async () => {
    const source = "test/fixes/skip-referenced.mjs";
    const readme = file("README.md");
    expect(readme).toContain(`\`\`\`js\n${file(source)}\`\`\`\n`);
    const { default: patch } = (await import("./fixes/skip-referenced.mjs" as string)) as {
      default: OwnPatch;
    };
    const printed = workbench(patch, { workloads: ["W1"] });
    expect(readme).toContain(`$ guplab fix ${source} -w W1\n${printed}\n`);
  });

  it("shows what `guplab matrix --cell` prints of a truncation that looks too early", () => {
    const cell = computeCell({ kernel: "v4.20+gunthorpe-fail-truncate-2018", workload: "W7" });
    expect(file("README.md")).toContain(
      `$ guplab matrix --cell gunthorpe-fail-truncate-2018 W7\n${cellText(cell)}\n`,
    );
  });

  it("names folders that exist", () => {
    const folders = [...file("README.md").matchAll(/`((?:src|repl|notebooks|test)\/[\w/]*)`/g)].map(
      ([, name]) => name,
    );
    expect(folders.length).toBeGreaterThan(8);
    for (const name of folders)
      expect(() => readFileSync(new URL(`../${name}`, import.meta.url)), name).toThrow(/EISDIR/);
  });
});
