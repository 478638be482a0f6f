/**
 * The examples in docstrings run. A line that ends in `// value` has that value; a line that compares with === holds.
 * Examples of the notebook and command floors start kernels and write files: their own tests do what they show.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";

const root = new URL("../", import.meta.url);
const files = import.meta.glob("../src/{index,machine/*,trace/*,plot/*,lab/*}.ts");

/** The code of each @example of a file. */
function examplesOf(source: string): string[] {
  return [...source.matchAll(/@example\b([\s\S]*?)(?=\n\s*\* @|\*\/)/g)].map(([, text]) =>
    text
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, "").trim())
      .filter((line) => line !== "" && !line.startsWith("import "))
      .join("\n"),
  );
}

/** What the examples may speak of without saying where it comes from. */
async function surroundings(): Promise<Record<string, unknown>> {
  const folder = new URL("notebooks/data/b-dio-pageout-6.1/", root);
  const outcomeText = readFileSync(new URL("outcome.json", folder), "utf8");
  const text = gunzipSync(readFileSync(new URL("trace.txt.gz", folder))).toString();
  const guplab = await import("../src/index.js");
  const recording = guplab.readFtrace(text, JSON.parse(outcomeText));
  const session = new guplab.Session("kara-2018");
  const { world } = session;
  return {
    ...guplab,
    recording,
    text,
    outcomeText,
    session,
    world,
    writeFileSync: () => {},
    console: { log: () => {} },
  };
}

/** Run an example; gives the claims in it as pairs of what is and what should be. */
function runExample(code: string, scope: Record<string, unknown>): [unknown, unknown][] {
  const body = code
    .split("\n")
    .map((line) => {
      const valued = /^(.*?);?\s*\/\/ (.*)$/.exec(line);
      if (valued && !/^(const|let)\b/.test(line)) return `__claims.push([${valued[1]}, ${valued[2]}]);`;
      if (!line.includes("===") || !/^[^=]*\(.*\) ===/.test(line)) return line;
      return line
        .split(";")
        .filter((claim) => claim.trim() !== "")
        .map((claim) => `__claims.push([${claim}, true]);`)
        .join("\n");
    })
    .join("\n");
  const claims: [unknown, unknown][] = [];
  // In a block of its own, so that an example may declare what the surroundings have too.
  const script = `{ ${transformSync(body, { loader: "ts" }).code} }`;
  new Function(...Object.keys(scope), "__claims", script)(...Object.values(scope), claims);
  return claims;
}

const examples = Object.keys(files).flatMap((file) =>
  examplesOf(readFileSync(new URL(file.replace("../", ""), root), "utf8")).map((code) => ({ file, code })),
);

describe("docstrings", () => {
  it("have examples", () => {
    expect(examples.length).toBeGreaterThan(20);
  });

  it.each(examples)("$file: $code", async ({ file, code }) => {
    const scope = { ...(await surroundings()), ...((await files[file]()) as Record<string, unknown>) };
    for (const [is, should] of runExample(code, scope)) expect(is).toEqual(should);
  });
});
