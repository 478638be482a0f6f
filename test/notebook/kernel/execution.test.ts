/** What cells may do to a kernel, and what it says of those that fail: a real process. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kernelJson } from "../../../src/notebook/kernel/spec.js";
import type { KernelProcess } from "../../../src/notebook/kernel-client.js";
import { LOADER_MARK } from "../../../src/notebook/plotly.js";
import { temporaryFolder } from "../fixture.js";
import { contents, kernelWithClient, kinds, printed, type TestClient } from "./client.js";

const folder = temporaryFolder();
let kernel: KernelProcess;
let client: TestClient;
beforeAll(async () => {
  ({ process: kernel, client } = await kernelWithClient(folder.path));
}, 60_000);
afterAll(() => {
  client.close();
  kernel.close();
  folder.remove();
});

const lines = (count: number) => Array.from({ length: count }, (_, i) => `${i}\n`).join("");

describe("nothing is lost", () => {
  test("of ten thousand lines of one cell, which are a few messages", async () => {
    const exchange = await client.execute("for (let i = 0; i < 10_000; i++) console.log(i);");
    expect(printed(exchange)).toBe(lines(10_000));
    expect(contents(exchange, "stream").length).toBeLessThan(100);
  });

  test("of five thousand displays of one cell", async () => {
    const exchange = await client.execute("for (let i = 0; i < 5_000; i++) display(i);");
    const shown = contents(exchange, "display_data").map(
      ({ data }) => (data as Record<string, string>)["text/plain"],
    );
    expect(shown).toEqual(Array.from({ length: 5_000 }, (_, i) => String(i)));
  });

  test("of one line of 50 million characters", async () => {
    const exchange = await client.execute('console.log("x".repeat(50_000_000));');
    expect(printed(exchange).length).toBe(50_000_001);
  });

  test("of the order among prints on both streams and displays", async () => {
    const { published } = await client.execute(
      'for (let i = 0; i < 3; i++) { console.log("a" + i); console.error("b" + i); display("c" + i); }',
    );
    const order = published.flatMap(({ content }) => {
      const { text, data } = content as { text?: string; data?: Record<string, string> };
      return [text ?? data?.["text/plain"] ?? []].flat();
    });
    expect(order.map((text) => text.trim())).toEqual("a0 b0 c0 a1 b1 c1 a2 b2 c2".split(" "));
  });
});

describe("an interrupt ends", () => {
  const cells = [
    ["a loop", 'console.log("on"); for (;;);'],
    ["a loop that prints", 'for (;;) console.log("on");'],
    ["a wait", 'console.log("on"); await new Promise(() => {});'],
    ["a loop after an await", 'await null; console.log("on"); for (;;);'],
    ["a loop after a pause", 'await new Promise((r) => setTimeout(r, 5)); console.log("on"); for (;;);'],
  ];

  test.each(cells)("%s, by a message; the kernel goes on, with the names it had", async (_, code) => {
    await client.execute("const kept = 7;");
    const header = await client.submit(code);
    await client.until(() => printed({ published: answering(header.msg_id) }), "the cell runs");
    expect((await client.request("control", "interrupt_request")).reply).toEqual({ status: "ok" });
    const { reply } = await client.answer(header);
    expect(reply).toMatchObject({
      status: "error",
      ename: "Interrupted",
      evalue: "the cell was interrupted",
    });
    expect(contents(await client.execute("kept"), "execute_result")).toMatchObject([
      { data: { "text/plain": "7" } },
    ]);
  });

  test.each(cells.slice(0, 3))("%s, by a signal", async (_, code) => {
    const header = await client.submit(code);
    await client.until(() => printed({ published: answering(header.msg_id) }), "the cell runs");
    // Node loses a signal that comes while a cell's first run ends.
    await new Promise((resolve) => setTimeout(resolve, 500));
    kernel.child.kill("SIGINT");
    expect((await client.answer(header)).reply).toMatchObject({ status: "error", ename: "Interrupted" });
    expect((await client.execute("1")).reply.status).toBe("ok");
  });

  test("a timer that never ends, when no cell runs", async () => {
    const header = await client.submit('setTimeout(() => { console.log("on"); for (;;); }, 20);');
    await client.answer(header);
    await client.until(() => printed({ published: answering(header.msg_id) }), "the timer runs");
    await client.request("control", "interrupt_request");
    expect((await client.execute("1")).reply.status).toBe("ok");
  });

  test("a question for input, and the next one is answered", async () => {
    const header = await client.submit("await input()", { allow_stdin: true });
    await client.until(() => client.asked.length > 0, "the question");
    await client.request("control", "interrupt_request");
    expect((await client.answer(header)).reply.ename).toBe("Interrupted");
    client.asked.length = 0;
    const again = await client.submit("(await input()).length", { allow_stdin: true });
    await client.until(() => client.asked.length > 0, "the question");
    await client.input("four");
    expect(contents(await client.answer(again), "execute_result")).toMatchObject([
      { data: { "text/plain": "4" } },
    ]);
  });

  test.each([
    ["a wait", 'console.log("on"); await new Promise(() => {});'],
    ["a question", 'console.log("on"); await input();'],
    ["a loop after an await", 'await null; console.log("on"); for (;;);'],
  ])("%s, and never what is sent while the interrupt is under way", async (_, code) => {
    for (let i = 0; i < 5; i++) {
      const first = await client.submit(code, { allow_stdin: true, stop_on_error: false });
      await client.until(() => printed({ published: answering(first.msg_id) }), "the cell runs");
      const interrupt = await client.send("control", "interrupt_request");
      const next = await client.submit('await new Promise((r) => setTimeout(r, 20)); "kept"');
      expect((await client.answer(first)).reply.ename).toBe("Interrupted");
      expect((await client.answer(next)).reply.status).toBe("ok");
      expect((await client.answer(interrupt)).reply).toEqual({ status: "ok" });
    }
    client.asked.length = 0;
  });

  test("nothing, when nothing runs", async () => {
    await client.request("control", "interrupt_request");
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect((await client.execute("2")).reply.status).toBe("ok");
  });

  test("prints are seen and the heart beats while a loop keeps the kernel busy", async () => {
    const header = await client.submit('console.log("before the loop"); for (;;);');
    await client.until(() => printed({ published: answering(header.msg_id) }), "the print");
    expect(await client.beat("x")).toBe("x");
    expect((await client.request("control", "kernel_info_request")).reply.status).toBe("ok");
    await client.request("control", "interrupt_request");
    await client.answer(header);
  });
});

const answering = (id: string) => client.published.filter(({ parent }) => parent.msg_id === id);

test("a cell that ends the process is heard to the end", async () => {
  const { process: second, client: other } = await kernelWithClient(folder.path);
  const exit = once(second.child, "exit");
  const { msg_id } = await other.submit('console.log("last words"); process.exit(7);');
  await other.until(
    () => printed({ published: other.published.filter(({ parent }) => parent.msg_id === msg_id) }),
    "the last words",
  );
  expect(await exit).toEqual([7, null]);
  other.close();
  second.close();
});

describe("an error", () => {
  const failure = async (code: string) => {
    const exchange = await client.execute(code);
    const [error] = exchange.published.filter(({ header }) => header.msg_type === "error");
    const { ename, evalue, traceback } = error.content as {
      ename: string;
      evalue: string;
      traceback: string[];
    };
    expect(exchange.reply).toMatchObject({ status: "error", ename, evalue, traceback });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
    const text = traceback.join("\n").replace(/\x1b\[\d*m/g, "");
    return { ename, evalue, text, at: error.metadata.guplab, count: Number(exchange.reply.execution_count) };
  };

  test("of the type check has TypeScript's number and sentence, and the line with an arrow", async () => {
    const { ename, evalue, text, at, count } = await failure('const a = 1;\nconst b: number = "x";');
    expect({ ename, evalue, at }).toEqual({
      ename: "TS2322",
      evalue: "Type 'string' is not assignable to type 'number'.",
      at: { line: 2, column: 7 },
    });
    expect(text).toBe(
      `TS2322: ${evalue}
    1 | const a = 1;
  > 2 | const b: number = "x";
      |       ^
    at cell ${count}:2:7`,
    );
  });

  test("is at the line that was written, among types that compile to nothing and after an await", async () => {
    const { at, text, count } = await failure(
      "type A = {\n  b: number;\n};\nconst a: A = { b: 1 };\nawait null;\n\nthrow new RangeError('b is ' + a.b);",
    );
    expect(at).toEqual({ line: 7, column: 7 });
    expect(text).toBe(`RangeError: b is 1
    6 |
  > 7 | throw new RangeError('b is ' + a.b);
      |       ^
    at cell ${count}:7:7`);
  });

  test("in a function of an earlier cell is at that cell's line, and this cell's call", async () => {
    await client.execute("const filler = 1;");
    const earlier = await client.execute(
      "interface Page { pfn: number }\n\nfunction boom(page: Page): never {\n  throw new Error('page ' + page.pfn);\n}",
    );
    // Another cell in between, with other lines.
    await client.execute("\n\n\n\n\n\n\n\nconst more = (x: number): number => x + 1;");
    const { at, text, count } = await failure("const pfn = 4;\nconst page = {\n  pfn };\n\nboom(page);");
    expect(at).toEqual({ line: 5, column: 1 });
    const first = earlier.reply.execution_count;
    expect(text).toBe(`Error: page 4
    3 | function boom(page: Page): never {
  > 4 |   throw new Error('page ' + page.pfn);
      |         ^
    5 | }
    at boom (cell ${first}:4:9)
    at cell ${count}:5:1`);
  });

  test("has what Node adds to it: its code, its cause", async () => {
    const { ename, evalue, text } = await failure(
      'throw new Error("outer", { cause: new TypeError("inner") });',
    );
    expect({ ename, evalue }).toEqual({ ename: "Error", evalue: "outer" });
    expect(text).toMatch(/\[cause\]: TypeError: inner\n\s+at cell \d+:1:/);
  });

  test("that is none, or breaks when it is looked at, is shown as well as can be", async () => {
    expect(await failure("throw { pfn: 3 };")).toMatchObject({ ename: "Thrown", evalue: "{ pfn: 3 }" });
    const broken = await failure(
      'throw Object.defineProperty(new Error("broken"), "stack", { get() { throw new Error("no stack"); } });',
    );
    expect(broken).toMatchObject({ ename: "Error", evalue: "broken" });
  });

  test("nobody waits for is printed, and the kernel lives", async () => {
    const { header } = await client.execute(
      'setTimeout(() => { throw new Error("later"); }, 10);\nPromise.reject(7);',
    );
    const said = () => printed({ published: answering(header.msg_id) }, "stderr");
    await client.until(() => /later/.test(said()) && /Thrown: 7|7/.test(said()), "both errors");
    expect(said()).toMatch(/at Timeout.*\(cell \d+:1:26\)/);
    expect((await client.execute("1")).reply.status).toBe("ok");
  });
});

describe("cells", () => {
  test("have guplab's names from the start, typed, and may declare them anew", async () => {
    const fresh = await kernelWithClient("/");
    const { client: other } = fresh;
    const shown = await other.execute('lab.run("kara-2018").outcomes');
    expect(contents(shown, "execute_result")).toHaveLength(1);
    expect((await other.execute("explore(3)")).reply.ename).toBe("TS2345");
    expect((await other.execute("const run = 5; run + 1")).reply.status).toBe("ok");
    expect((await other.execute("run.toFixed(1)")).reply.status).toBe("ok");
    const imported = await other.execute('import { pageHistory } from "guplab"; typeof pageHistory');
    expect(contents(imported, "execute_result")).toMatchObject([{ data: { "text/plain": "function" } }]);
    other.close();
    fresh.process.close();
  });

  test("are checked strictly, and know what notebooks use without an import", async () => {
    expect((await client.execute("const f = (x) => x;")).reply.ename).toBe("TS7006");
    const { reply } = await client.execute(
      "const t: NodeJS.Timeout = setTimeout(() => {}, 1); clearTimeout(t); console.table([{ a: structuredClone(1) }]); queueMicrotask(() => {});",
    );
    expect(reply.status).toBe("ok");
  });

  test.each([
    'import { strict as assert } from "assert"; assert.equal(1, 1);',
    'import { readFileSync } from "node:fs"; readFileSync("/dev/null", "utf8").length',
    'import { gunzipSync, gzipSync } from "zlib"; gunzipSync(gzipSync("a")).toString()',
    'import { join } from "path"; join("a", "b")',
    "process.version.length + Buffer.from('a').length",
    'new URL("https://lwn.net/Articles/774411/").pathname',
  ])("use Node: %s", async (code) => {
    expect((await client.execute(code)).reply).toMatchObject({ status: "ok" });
  });

  test("import a file beside the notebook, also one that was written after the kernel started", async () => {
    folder.file("helper.ts", "export const twice = (n: number): number => 2 * n;\n");
    const exchange = await client.execute('import { twice } from "./helper";\ntwice(21)');
    expect(exchange.reply.status).toBe("ok");
    expect(contents(exchange, "execute_result")).toMatchObject([{ data: { "text/plain": "42" } }]);
  });

  test.each([
    ["lab.sandbox({ pages: 1 }).page(0)", /^page 0 at tick 0\n {2}flags +\S/],
    [
      'lab.run("kara-2018").recording',
      /^a recording of kara-2018 on v4\.20: \d+ events of 5 tasks\nreplay: kara-2018@/,
    ],
    ['lab.run("kara-2018").replay', /^kara-2018@v4\.20:/],
    ["({ a: [1, 2] })", /^\{ a: \[ 1, 2 \] \}$/],
    ["new Map([[1, 2]])", /^Map\(1\) \{ 1 => 2 \}$/],
  ])("what guplab gives prints itself, other values as Node prints them: %s", async (code, text) => {
    const [shown] = contents(await client.execute(code), "execute_result") as unknown as {
      data: Record<string, string>;
    }[];
    expect(shown.data["text/plain"]).toMatch(text);
  });

  test("end with a figure, which is shown as text, page and picture; who makes a file is brought no plotly", async () => {
    const shown = await client.execute('lab.run("kara-2018").plot.pins()');
    expect(kinds(shown)).toEqual(["busy", "execute_input", "execute_result", "idle"]);
    const [result] = contents(shown, "execute_result") as unknown as { data: Record<string, string> }[];
    expect(Object.keys(result.data).sort()).toEqual(["image/svg+xml", "text/html", "text/plain"]);
  });

  test.each([
    ["the value of a cell", "", "execute_result"],
    ["shown in a cell", "show", "display_data"],
  ])(
    "a figure that is %s brings plotly to a live notebook before it, once for each page",
    async (_, call, type) => {
      // As Jupyter starts it: without what our own runner adds.
      const argv = ["env", "-u", "GUPLAB_PLOTLY", ...(kernelJson().argv as string[])];
      const { process: second, client: other } = await kernelWithClient(folder.path, argv);
      const cell = `${call}(lab.run("kara-2018").plot.pins())`;
      const first = await other.execute(cell);
      expect(kinds(first)).toEqual(["busy", "execute_input", "display_data", type, "idle"]);
      const [loader] = contents(first, "display_data");
      expect(loader).toEqual({
        data: { "text/html": expect.stringMatching(/^<script class="guplab-plotly">\nwindow\.plotlyReady/) },
        metadata: LOADER_MARK,
        transient: {},
      });
      expect(kinds(await other.execute(cell))).toEqual(["busy", "execute_input", type, "idle"]);
      // A page that is opened, or loaded anew, begins with this request.
      await other.request("shell", "kernel_info_request");
      expect(kinds(await other.execute("1"))).toEqual(["busy", "execute_input", "execute_result", "idle"]);
      expect(kinds(await other.execute(cell))).toEqual([
        "busy",
        "execute_input",
        "display_data",
        type,
        "idle",
      ]);
      expect(kinds(await other.execute(cell))).toEqual(["busy", "execute_input", type, "idle"]);
      other.close();
      second.close();
    },
  );
});

test("plotly is brought again when the output that has it has gone, as far as the front end tells", async () => {
  const argv = ["env", "-u", "GUPLAB_PLOTLY", ...(kernelJson().argv as string[])];
  const { process: second, client: other } = await kernelWithClient(folder.path, argv);
  const brings = async (content: object, metadata: object = {}): Promise<boolean> => {
    const request = { code: 'lab.run("kara-2018").plot.pins()', ...content };
    const exchange = await other.answer(await other.send("shell", "execute_request", request, metadata));
    return contents(exchange, "display_data").length === 1;
  };
  // JupyterLab names the cell that is run, and has cleared its outputs.
  const named = ["a", "b", "b", "a", "b", "a"].map((cellId) => () => brings({}, { cellId }));
  const brought: boolean[] = [];
  for (const run of named) brought.push(await run());
  expect(brought).toEqual([true, false, false, true, false, true]);
  // In the classic notebook the page says whether it has it (plotly.ts), and nothing while it waits for it.
  const said = [true, undefined, false, undefined, true].map(
    (guplab_plotly) => () => brings({ guplab_plotly }),
  );
  brought.length = 0;
  for (const run of said) brought.push(await run());
  expect(brought).toEqual([false, false, true, false, false]);
  // A new page that was saved with it has it.
  await other.request("shell", "kernel_info_request");
  expect(await brings({ guplab_plotly: true })).toBe(false);
  await other.request("shell", "kernel_info_request");
  expect(await brings({})).toBe(true);
  other.close();
  second.close();
});

test("memory does not grow with the number of cells", async () => {
  const { process: second, client: other } = await kernelWithClient(folder.path);
  const resident_MiB = () =>
    Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${second.child.pid}/status`, "utf8"))?.[1]) / 1024;
  const cell = (i: number) => `const value${i % 5} = "${"x".repeat(200)}"; value${i % 5}.length + ${i}`;
  for (let i = 0; i < 200; i++) await other.execute(cell(i));
  const before = resident_MiB();
  for (let i = 200; i < 1200; i++) await other.execute(cell(i));
  // What a thousand cells leave behind is their text and their maps, some kB each.
  expect(resident_MiB() - before).toBeLessThan(100);
  other.close();
  second.close();
}, 300_000);
