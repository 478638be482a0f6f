import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Kernel, KernelError, startKernel } from "../../src/notebook/kernel-client.js";
import { errorLine } from "../../src/notebook/locate.js";
import { temporaryFolder } from "./fixture.js";

const folder = temporaryFolder();
let kernel: Kernel;
beforeAll(async () => {
  kernel = await startKernel(folder.path);
});
afterAll(() => {
  kernel.close();
  folder.remove();
});

/** After an error tslab refuses work for 200 ms, so that a queue of cells stops. */
const recovered = () => new Promise((resolve) => setTimeout(resolve, 250));
const run = (code: string) => kernel.execute(code, 10);

test("the kernel says that its language is TypeScript", () => {
  expect(kernel.languageInfo).toMatchObject({ name: "typescript", file_extension: ".ts" });
});

describe("outputs are those of nbformat", () => {
  test("prints on one stream in a row are one output; the last value is printed", async () => {
    expect(await run('console.log(1); console.log("two"); console.error("three"); ({ four: 4 })')).toEqual({
      complaint: undefined,
      outputs: [
        { output_type: "stream", name: "stdout", text: "1\ntwo\n" },
        { output_type: "stream", name: "stderr", text: "three\n" },
        { output_type: "stream", name: "stdout", text: "{ four: 4 }\n" },
      ],
    });
  });

  test("a display that a later cell updates has the later content", async () => {
    const { outputs } = await run(
      'import * as tslab from "tslab"; const shown = tslab.newDisplay(); shown.text("before")',
    );
    expect(outputs).toEqual([
      { output_type: "display_data", data: { "text/plain": "before" }, metadata: {} },
    ]);
    expect((await run('shown.html("<b>after</b>")')).outputs).toEqual([]);
    expect(outputs).toMatchObject([{ data: { "text/html": "<b>after</b>" } }]);
  });
});

describe("an error is located in its cell", () => {
  const thrower = `interface Page { pfn: number }

function boom(page: Page): never {
  throw new Error("page " + page.pfn);
}`;
  test.each([
    ["a type error", 'const a = 1;\nconst b: number = "x";', 2, "not assignable to type 'number'"],
    ["no TypeScript at all", "const a = 1;\n\nconst = 3;", 3, "expected"],
    [
      "a throw, among types that compile to nothing",
      "type A = {\n  b: number;\n};\nconst a: A = { b: 1 };\nthrow new Error(String(a.b));",
      5,
      "Error: 1",
    ],
    [
      "a call of a function of the same cell",
      `${thrower}\nconsole.error("soon");\nboom({\n  pfn: 3,\n});`,
      7,
      "Error: page 3",
    ],
    [
      "after an await",
      'import * as fs from "fs";\nawait null;\n// some\n// words\nfs.readFileSync("none");',
      5,
      "ENOENT",
    ],
    [
      "after a pause",
      'const pause = () => new Promise((r) => setTimeout(r, 1));\nawait pause();\nthrow new RangeError("late");',
      3,
      "RangeError: late",
    ],
    ["something thrown that is no Error", "throw { pfn: 3 };", undefined, "{ pfn: 3 }"],
  ])("%s", async (_, code, line, words) => {
    const { complaint = "" } = await run(code);
    await recovered();
    expect(complaint).toContain(words);
    expect(errorLine(code, complaint)).toBe(line);
  });

  test("of a function that an earlier cell defined: the line of the call", async () => {
    await run(thrower);
    const code = "const pfn = 4;\nconst page = { pfn };\n\nboom(page);";
    const { complaint = "" } = await run(code);
    await recovered();
    expect(errorLine(code, complaint)).toBe(4);
  });
});

describe("lost output is reported, not waited for and not passed over", () => {
  test("two hundred prints arrive", async () => {
    const { outputs } = await run("for (let i = 0; i < 200; i++) console.log(i);");
    expect(outputs).toHaveLength(1);
    expect(outputs[0]).toMatchObject({ text: Array.from({ length: 200 }, (_, i) => `${i}\n`).join("") });
  });

  test.each([
    ["the end of the cell is lost with them", "for (let i = 0; i < 2000; i++) console.log(i);"],
    [
      "the cell ends well",
      "for (let i = 0; i < 2000; i++) console.log(i);\nawait new Promise((r) => setTimeout(r, 200));",
    ],
  ])("%s", async (_, code) => {
    await expect(run(code)).rejects.toThrow("the kernel lost output");
  });
});

test("a cell that takes too long, and a kernel that dies, are errors of the kernel", async () => {
  await expect(kernel.execute("await new Promise(() => {});", 0.3)).rejects.toThrow(
    new KernelError("not finished within 0.3 s"),
  );
  const second = await startKernel(folder.path);
  await expect(second.execute("process.exit(7);", 10)).rejects.toThrow(
    new KernelError("the kernel died (exit code 7)"),
  );
  second.close();
  second.close();
});
