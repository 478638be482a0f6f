/** What the kernel says to its clients (Jupyter messaging 5.3), of a real process. */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KernelProcess } from "../../../src/notebook/kernel-client.js";
import { temporaryFolder } from "../fixture.js";
import { contents, kernelWithClient, kinds, printed, TestClient } from "./client.js";

const folder = temporaryFolder();
let process_: KernelProcess;
let client: TestClient;
beforeAll(async () => {
  ({ process: process_, client } = await kernelWithClient(folder.path));
}, 60_000);
afterAll(() => {
  client.close();
  process_.close();
  folder.remove();
});

describe("about itself", () => {
  test("kernel_info has a status, real versions and what editors need", async () => {
    const { reply } = await client.request("shell", "kernel_info_request");
    expect(reply).toMatchObject({
      status: "ok",
      protocol_version: "5.3",
      implementation: "guplab",
      language_info: {
        name: "typescript",
        version: "5.0.4",
        file_extension: ".ts",
        mimetype: "text/typescript",
      },
    });
    expect((await client.request("control", "kernel_info_request")).reply).toEqual(reply);
  });

  test("the heart beats", async () => {
    expect(await client.beat("still there?")).toBe("still there?");
  });

  test("there are no comms: the list is empty, and who opens one is told that it is closed", async () => {
    expect((await client.request("shell", "comm_info_request")).reply).toEqual({ status: "ok", comms: {} });
    const { msg_id } = await client.send("shell", "comm_open", { comm_id: "c1", target_name: "x", data: {} });
    const closed = await client.until(
      () =>
        client.published.find(
          ({ header, parent }) => header.msg_type === "comm_close" && parent.msg_id === msg_id,
        ),
      "comm_close",
    );
    expect(closed.content).toEqual({ comm_id: "c1", data: {} });
  });

  test("its messages are of a session of its own, and each has an id of its own", () => {
    const headers = client.published.map(({ header }) => header);
    expect(new Set(headers.map(({ session }) => session)).size).toBe(1);
    expect(headers[0].session).not.toBe(client.wire.session);
    expect(new Set(headers.map(({ msg_id }) => msg_id)).size).toBe(headers.length);
  });

  test("a message that is not signed with the key is not answered, and nor is one that is none", async () => {
    const before = client.published.length;
    const header = client.wire.header("kernel_info_request");
    await client.sendRaw("shell", ["<IDS|MSG>", "0".repeat(64), JSON.stringify(header), "{}", "{}", "{}"]);
    await client.sendRaw("shell", ["no", "message"]);
    await client.request("shell", "kernel_info_request");
    const since = client.published.slice(before);
    expect(since.map(({ parent }) => parent.msg_id)).not.toContain(header.msg_id);
  });
});

describe("an execution", () => {
  test("is busy, repeats its input, shows, and is idle, in this order", async () => {
    const exchange = await client.execute(
      'console.log("one"); console.error("two"); display("three"); 1 + 3',
    );
    expect(kinds(exchange)).toEqual([
      "busy",
      "execute_input",
      "stream",
      "stream",
      "display_data",
      "execute_result",
      "idle",
    ]);
    expect(printed(exchange)).toBe("one\n");
    expect(printed(exchange, "stderr")).toBe("two\n");
    const { execution_count } = exchange.reply;
    expect(contents(exchange, "execute_input")).toEqual([
      { code: expect.stringContaining("1 + 3"), execution_count },
    ]);
    expect(contents(exchange, "execute_result")).toEqual([
      { execution_count, data: { "text/plain": "4" }, metadata: {} },
    ]);
    expect(exchange.reply).toMatchObject({ status: "ok", payload: [], user_expressions: {} });
  });

  test("shows its last value by its own method, which may take its time; a string is its own text", async () => {
    const rich = await client.execute(
      '({ [Symbol.for("Jupyter.display")]: async () => ({ "text/html": "<b>3</b>", "text/plain": "3" }) })',
    );
    expect(contents(rich, "execute_result")).toMatchObject([
      { data: { "text/html": "<b>3</b>", "text/plain": "3" } },
    ]);
    expect(contents(await client.execute('"a\\nb"'), "execute_result")).toMatchObject([
      { data: { "text/plain": "a\nb" } },
    ]);
    const nothing = await client.execute("const quiet = 1;");
    expect(contents(nothing, "execute_result")).toEqual([]);
  });

  test("a method that gives no bundle is an error that says what it should give", async () => {
    const { reply } = await client.execute('({ [Symbol.for("Jupyter.display")]: () => "text" })');
    expect(reply).toMatchObject({ status: "error", ename: "TypeError" });
    expect(reply.evalue).toContain("an object of MIME types and contents");
  });

  test("what has a name is replaced, and an output can be cleared", async () => {
    const exchange = await client.execute(
      'display(1, { display_id: "a" }); clearOutput(true); display(2, { display_id: "a", update: true })',
    );
    expect(contents(exchange, "display_data")).toMatchObject([{ transient: { display_id: "a" } }]);
    expect(contents(exchange, "clear_output")).toEqual([{ wait: true }]);
    expect(contents(exchange, "update_display_data")).toEqual([
      { data: { "text/plain": "2" }, metadata: {}, transient: { display_id: "a" } },
    ]);
    const { reply } = await client.execute("display(1, { update: true })");
    expect(reply.evalue).toBe("display: update needs the display_id of what is to be replaced");
  });

  test("silent: nothing is shown, counted or remembered", async () => {
    const before = (await client.execute("1")).reply.execution_count;
    const exchange = await client.execute('console.log("x"); display(1); 2', { silent: true });
    expect(kinds(exchange)).toEqual(["busy", "idle"]);
    expect((await client.execute("2")).reply.execution_count).toBe(Number(before) + 1);
    const { reply } = await client.request("shell", "history_request", { hist_access_type: "tail", n: 2 });
    expect((reply.history as unknown[][]).map(([, , code]) => code)).toEqual(["1", "2"]);
  });

  test("without store_history it is shown, and neither counted nor remembered", async () => {
    const before = (await client.execute("3")).reply.execution_count;
    const exchange = await client.execute("44", { store_history: false });
    expect(contents(exchange, "execute_result")).toMatchObject([{ data: { "text/plain": "44" } }]);
    expect(exchange.reply.execution_count).toBe(before);
  });

  test("user expressions are evaluated among the cell's names, each with its own fault", async () => {
    const { reply } = await client.execute("const six = 6;", {
      user_expressions: { good: "six + 1", bad: "seven" },
    });
    expect(reply.user_expressions).toMatchObject({
      good: { status: "ok", data: { "text/plain": "7" }, metadata: {} },
      bad: { status: "error", ename: "TS2304", evalue: "Cannot find name 'seven'." },
    });
  });

  test("prints that come after its end are shown all the same", async () => {
    const { header } = await client.execute('setTimeout(() => console.log("late"), 50);');
    await client.until(
      () => printed({ published: client.published.filter(({ parent }) => parent.msg_id === header.msg_id) }),
      "the late print",
    );
  });
});

describe("requests in a row", () => {
  test("are handled in order, and what is busy is idle before the next is busy", async () => {
    const headers = [
      await client.submit("await new Promise((r) => setTimeout(r, 100)); console.log(1)"),
      await client.send("shell", "is_complete_request", { code: "1" }),
      await client.submit("console.log(2)"),
    ];
    const from = client.published.length;
    for (const header of headers) await client.answer(header);
    const ids = headers.map(({ msg_id }) => msg_id);
    const states = client.published
      .slice(from)
      .filter(({ header, parent }) => header.msg_type === "status" && ids.includes(parent.msg_id ?? ""))
      .map(({ parent, content }) => `${content.execution_state} ${ids.indexOf(parent.msg_id ?? "")}`);
    expect(states).toEqual(["busy 0", "idle 0", "busy 1", "idle 1", "busy 2", "idle 2"]);
  });

  test("after an error those that wait are aborted; not those without stop_on_error, nor later ones", async () => {
    const queue = ["await null; throw new Error('stop')", "1", "2"];
    const headers = await Promise.all(queue.map((code) => client.submit(code)));
    const [failed, ...aborted] = await Promise.all(headers.map((header) => client.answer(header)));
    expect(failed.reply.status).toBe("error");
    for (const { reply, published } of aborted) {
      expect(reply.status).toBe("aborted");
      expect(kinds({ published })).toEqual(["busy", "idle"]);
    }
    expect((await client.execute("3")).reply.status).toBe("ok");
    const going = await Promise.all(
      ["throw 1", "4"].map((code) => client.submit(code, { stop_on_error: false })),
    );
    const [, next] = await Promise.all(going.map((header) => client.answer(header)));
    expect(next.reply.status).toBe("ok");
  });

  test("a second client sees the first one's code and its outputs, and has the same names", async () => {
    const second = new TestClient(process_);
    await second.ready();
    const { header } = await client.execute('const shared = 5; console.log("seen by all")');
    await second.until(
      () =>
        second.published.some(
          ({ content, parent }) => content.execution_state === "idle" && parent.msg_id === header.msg_id,
        ),
      "the idle of the first client's cell",
    );
    const seen = { published: second.published.filter(({ parent }) => parent.msg_id === header.msg_id) };
    expect(kinds(seen)).toEqual(["busy", "execute_input", "stream", "idle"]);
    expect(contents(await second.execute("shared"), "execute_result")).toMatchObject([
      { data: { "text/plain": "5" } },
    ]);
    second.close();
  });
});

describe("questions about code", () => {
  test.each([
    ["1 + 1", "complete", undefined],
    ["const f = () => {", "incomplete", "  "],
    ["`two\nlines", "incomplete", ""],
    ["/* not yet", "incomplete", ""],
    ["const = 3", "invalid", undefined],
    ["}", "invalid", undefined],
  ])("%j is %s", async (code, status, indent) => {
    const { reply } = await client.request("shell", "is_complete_request", { code });
    expect(reply).toEqual({ status, ...(indent === undefined ? {} : { indent }) });
  });

  test("completion goes by types, and counts characters as Jupyter does", async () => {
    const code = '"😀"; lab.explo';
    const { reply } = await client.request("shell", "complete_request", { code, cursor_pos: 14 });
    expect(reply).toMatchObject({ status: "ok", matches: ["explore"], cursor_start: 9, cursor_end: 14 });
    await client.execute("const page = { pfn: 3, pinned: true };");
    const { reply: own } = await client.request("shell", "complete_request", {
      code: "page.p",
      cursor_pos: 6,
    });
    expect((own.matches as string[]).slice(0, 2)).toEqual(["pfn", "pinned"]);
  });

  test.each(["explore", "explore(", 'explore("kara-2018", '])(
    "%j is inspected with guplab's documentation",
    async (code) => {
      const { reply } = await client.request("shell", "inspect_request", {
        code,
        cursor_pos: code.length,
        detail_level: 0,
      });
      expect(reply).toMatchObject({ status: "ok", found: true });
      const { "text/plain": plain, "text/markdown": markdown } = reply.data as Record<string, string>;
      expect(plain).toMatch(/^(?:function )?explore\(scenario: string/);
      expect(plain).toContain("Visit every interleaving of a scenario.");
      expect(markdown).toMatch(/^```typescript\n(?:function )?explore\(scenario/);
    },
  );

  test.each([
    ["lab.run(", "Run a scenario once."],
    ['lab.run("kara-2018").plot.dirty', "What pages count as over time"],
  ])("so is what stands behind a point: %s", async (code, documentation) => {
    const { reply } = await client.request("shell", "inspect_request", { code, cursor_pos: code.length });
    expect((reply.data as Record<string, string>)["text/plain"]).toContain(documentation);
  });

  test("what is nothing is not found", async () => {
    const { reply } = await client.request("shell", "inspect_request", { code: "  ", cursor_pos: 1 });
    expect(reply).toEqual({ status: "ok", found: false, data: {}, metadata: {} });
  });
});

describe("history", () => {
  const history = async (request: object) =>
    (await client.request("shell", "history_request", { raw: true, output: false, ...request })).reply
      .history as [number, number, unknown][];

  test("tail, range and search", async () => {
    const first = Number((await client.execute("101 + 1")).reply.execution_count);
    for (const code of ["102 + 1", "101 + 1"]) await client.execute(code);
    expect(await history({ hist_access_type: "tail", n: 2 })).toEqual([
      [1, first + 1, "102 + 1"],
      [1, first + 2, "101 + 1"],
    ]);
    expect(await history({ hist_access_type: "range", session: 0, start: first, stop: first + 1 })).toEqual([
      [1, first, "101 + 1"],
    ]);
    expect(await history({ hist_access_type: "search", pattern: "10? + 1" })).toHaveLength(3);
    expect(await history({ hist_access_type: "search", pattern: "10?*", unique: true })).toEqual([
      [1, first + 1, "102 + 1"],
      [1, first + 2, "101 + 1"],
    ]);
    expect(await history({ hist_access_type: "tail", n: 1, output: true })).toEqual([
      [1, first + 2, ["101 + 1", "102"]],
    ]);
  });
});

describe("input", () => {
  test("is asked of the client whose cell it is, and awaited", async () => {
    const header = await client.submit(
      'const name = await input("Which? ", { password: true }); name + "!"',
      {
        allow_stdin: true,
      },
    );
    await client.until(() => client.asked.length > 0, "the question");
    expect(client.asked).toEqual([{ prompt: "Which? ", password: true }]);
    await client.input("v4.20");
    expect(contents(await client.answer(header), "execute_result")).toMatchObject([
      { data: { "text/plain": "v4.20!" } },
    ]);
  });

  test("of a client that takes none is an error", async () => {
    const { reply } = await client.execute("await input()");
    expect(reply.evalue).toBe("input: who runs this notebook takes no input (allow_stdin is false)");
  });
});

test("shutdown is answered, told to all, and ends the process; a restart begins anew", async () => {
  for (const restart of [true, false]) {
    const { process: second, client: other } = await kernelWithClient(folder.path);
    expect((await other.execute("const once = 1; once")).reply.execution_count).toBe(1);
    const exit = once(second.child, "exit");
    const { reply, published } = await other.request("control", "shutdown_request", { restart });
    expect(reply).toEqual({ status: "ok", restart });
    expect(contents({ published }, "shutdown_reply")).toEqual([reply]);
    expect(await exit).toEqual([0, null]);
    other.close();
    second.close();
  }
});

test("a shutdown ends a cell that never ends, too", async () => {
  const { process: second, client: other } = await kernelWithClient(folder.path);
  await other.submit('console.log("on"); for (;;);');
  await other.until(() => printed(other), "the cell runs");
  const exit = once(second.child, "exit");
  await other.request("control", "shutdown_request", { restart: false });
  expect(await exit).toEqual([null, "SIGKILL"]);
  other.close();
  second.close();
});
