import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Kernel, KernelError, startKernel } from "../../src/notebook/kernel-client.js";
import { temporaryFolder } from "./fixture.js";

const folder = temporaryFolder();
let kernel: Kernel;
beforeAll(async () => {
  kernel = await startKernel(folder.path);
}, 60_000);
afterAll(() => {
  kernel.close();
  folder.remove();
});

const run = (code: string) => kernel.execute(code, 20);

test("the kernel says that its language is TypeScript", () => {
  expect(kernel.languageInfo).toMatchObject({ name: "typescript", version: "5.0.4", file_extension: ".ts" });
});

describe("outputs are those of nbformat", () => {
  test("prints on one stream in a row are one output; the last value is the result", async () => {
    const { outputs, failure } = await run(
      'console.log(1); console.log("two"); console.error("three"); ({ four: 4 })',
    );
    expect(failure).toBeUndefined();
    expect(outputs).toEqual([
      { output_type: "stream", name: "stdout", text: "1\ntwo\n" },
      { output_type: "stream", name: "stderr", text: "three\n" },
      {
        output_type: "execute_result",
        data: { "text/plain": "{ four: 4 }" },
        metadata: {},
        execution_count: 1,
      },
    ]);
  });

  test("a display that a later cell updates has the later content", async () => {
    const { outputs } = await run('display("before", { display_id: "d" });');
    expect(outputs).toEqual([
      { output_type: "display_data", data: { "text/plain": "before" }, metadata: {} },
    ]);
    expect((await run('display("after", { display_id: "d", update: true });')).outputs).toEqual([]);
    expect(outputs).toMatchObject([{ data: { "text/plain": "after" } }]);
  });

  test("what was cleared is gone: at once, or when the next output comes", async () => {
    expect((await run("display(1); clearOutput(); display(2);")).outputs).toMatchObject([
      { data: { "text/plain": "2" } },
    ]);
    expect((await run("display(1); clearOutput(true);")).outputs).toHaveLength(1);
    expect((await run("display(1); clearOutput(true); display(2);")).outputs).toHaveLength(1);
  });
});

test("a failure has its name, its message and its line, and is the last output", async () => {
  const { failure, outputs } = await run('console.log("so far");\nthrow new RangeError("no");');
  expect(failure).toEqual({ ename: "RangeError", evalue: "no", line: 2 });
  expect(outputs).toMatchObject([{ text: "so far\n" }, { output_type: "error", ename: "RangeError" }]);
  expect((await run("throw 3;")).failure).toEqual({ ename: "Thrown", evalue: "3", line: undefined });
});

test("a cell that takes too long, and a kernel that dies, are errors of the kernel", async () => {
  await expect(kernel.execute("await new Promise(() => {});", 0.3)).rejects.toThrow(
    new KernelError("not finished within 0.3 s"),
  );
  const second = await startKernel(folder.path);
  await expect(second.execute("process.exit(7);", 20)).rejects.toThrow(
    new KernelError("the kernel died (exit code 7)"),
  );
  second.close();
  second.close();
});

test("a kernel that does not start says why", async () => {
  const argv = [process.execPath, "-e", 'console.error("guplab kernel: no ports"); process.exitCode = 1'];
  await expect(startKernel(folder.path, argv)).rejects.toThrow(
    new KernelError("the kernel died (exit code 1): guplab kernel: no ports"),
  );
  await expect(startKernel(folder.path, ["no-such-program"])).rejects.toThrow(/^the kernel did not start: /);
});
