import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { run } from "../src/lab/run.js";
import { toSvg } from "../src/plot/index.js";

const file = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");

describe("README", () => {
  it("shows what `guplab run kara-2018` prints", () => {
    expect(file("README.md")).toContain(`$ guplab run kara-2018\n${run("kara-2018")}\n`);
  });

  it("has a picture that is what the replay line in its caption draws", () => {
    const picture = file("notebooks/data/kara-2018.svg");
    const [replay] = /kara-2018@v4\.20:\w+/.exec(picture) ?? [];
    expect(picture).toBe(toSvg(run(replay as string).plot.life()));
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
