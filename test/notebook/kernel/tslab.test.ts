/** tslab 1.0.22 as the kernel needs it: parts that are private to it, and stay as they are because the version is pinned. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createCompiler } from "../../../src/notebook/kernel/compiler.js";
import { startKernel } from "../../../src/notebook/kernel-client.js";
import { FIGURE_HTML, installGuplab, temporaryFolder } from "../fixture.js";

const require = createRequire(import.meta.url);
const tslab = dirname(require.resolve("tslab/package.json"));
const text = (name: string) => readFileSync(join(tslab, "dist", name), "utf8");
const folder = temporaryFolder();
afterAll(() => folder.remove());

test("the version is the pinned one", () => {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(dependencies.tslab).toBe("1.0.22");
  expect(require("tslab/package.json").version).toBe("1.0.22");
});

test("the executor takes a folder, converters and a console, and runs cells by vm.runInThisContext", () => {
  const { createExecutor } = require(join(tslab, "dist", "executor.js"));
  expect(createExecutor.length).toBe(3);
  const executor = text("executor.js");
  expect(executor.match(/runInThisContext\(wrapped, \{\s*breakOnSigint: true,\s*\}\)/g)).toHaveLength(1);
  expect(executor).toContain('? "(async function(exports, require) { "');
  expect(executor).toContain(': "(function(exports, require) { "');
  expect(executor).toContain("console.log(ret)");
  expect(executor.match(/console\.error\(e\)/g)).toHaveLength(2);
});

test("the converter makes its host and its last step by functions of TypeScript that can be replaced", () => {
  const converter = text("converter.js");
  expect(converter.match(/ts\.createWatchCompilerHost\(Array\.from\(rootFiles\), \{/g)).toHaveLength(1);
  expect(converter.match(/ts\.transpileModule\(js, \{/g)).toHaveLength(1);
  expect(converter).toContain('const srcPrefix = "export {};" + ts.sys.newLine;');
});

test("with our options it is strict, has maps of both steps, and takes imports of guplab by their types", () => {
  const { converter, maps } = createCompiler(false);
  try {
    expect(converter.convert("", "const f = (x) => x;").diagnostics).toMatchObject([{ code: 7006 }]);
    expect(converter.convert("", 'import { explore } from "guplab";\nexplore(3);').diagnostics).toMatchObject(
      [{ code: 2345, start: { line: 1, character: 8 } }],
    );
    expect(converter.convert("", "\n\nconst n: number = 1;").diagnostics).toEqual([]);
    const { toModule, toCell } = maps() as { toModule: string; toCell: string };
    for (const map of [toModule, toCell])
      expect(JSON.parse(map)).toMatchObject({ version: 3, mappings: /.+/ });
  } finally {
    converter.close();
  }
});

test("show() works in the stock kernel: one output with all forms of a figure", async () => {
  await installGuplab(folder);
  const argv = [
    process.execPath,
    join(tslab, "bin", "tslab"),
    "kernel",
    "--config-path",
    "{connection_file}",
  ];
  const kernel = await startKernel(folder.path, argv);
  try {
    const { outputs } = await kernel.execute('import { figure, show } from "guplab";\nshow(figure);', 30);
    expect(outputs.at(-1)).toEqual({
      output_type: "display_data",
      data: { "text/plain": "pins: 3", "text/html": FIGURE_HTML },
      metadata: {},
    });
  } finally {
    kernel.close();
  }
});
