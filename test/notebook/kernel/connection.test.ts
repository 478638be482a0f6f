import { afterAll, describe, expect, test } from "vitest";
import { address, readConnection } from "../../../src/notebook/kernel/connection.js";
import { History } from "../../../src/notebook/kernel/history.js";
import { unitsOf } from "../../../src/notebook/kernel/language.js";
import { Wire } from "../../../src/notebook/kernel/wire.js";
import { temporaryFolder } from "../fixture.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const good = {
  shell_port: 1,
  iopub_port: 2,
  stdin_port: 3,
  control_port: 4,
  hb_port: 65535,
  key: "k",
};

describe("a connection file", () => {
  test("names a place for each channel", () => {
    const tcp = readConnection(folder.file("good.json", JSON.stringify(good)));
    expect(address(tcp, "hb")).toBe("tcp://127.0.0.1:65535");
    const file = folder.file("ipc.json", JSON.stringify({ ...good, transport: "ipc", ip: "/run/k" }));
    expect(address(readConnection(file), "shell")).toBe("ipc:///run/k-1");
  });

  test.each([
    ["no JSON", "{", "it is not whole JSON"],
    ["no object", "3", "it is not an object"],
    ["a port that is missing", { ...good, hb_port: undefined }, "its hb_port is not a port from 1 to 65535"],
    ["a port that cannot be", { ...good, shell_port: 70000 }, "its shell_port is not a port"],
    ["another transport", { ...good, transport: "udp" }, "its transport is neither tcp nor ipc"],
    ["a signature nobody knows", { ...good, signature_scheme: "hmac-x" }, "signature_scheme hmac-x is none"],
  ])("with %s is refused in a sentence", (_, content, fact) => {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    const path = folder.file("bad.json", text);
    expect(() => readConnection(path)).toThrow(`${path} is no connection file: `);
    expect(() => readConnection(path)).toThrow(fact);
  });

  test("that is not there is refused in a sentence", () => {
    expect(() => readConnection("/none")).toThrow(
      "the connection file /none cannot be read: there is no such file or folder",
    );
  });
});

describe("messages", () => {
  const read = (wire: Wire, frames: readonly (string | Buffer)[]) =>
    wire.read(frames.map((frame) => Buffer.from(frame)));

  test("are read as they were written, with the route before them", () => {
    const wire = new Wire("key");
    const frames = wire.frames({ type: "stream", content: { text: "ä" }, identities: ["a", "b"] });
    expect(read(new Wire("key"), frames)).toMatchObject({
      identities: [Buffer.from("a"), Buffer.from("b")],
      header: { msg_type: "stream", session: wire.session, version: "5.3" },
      parent: {},
      content: { text: "ä" },
    });
  });

  test("of another key, changed on the way, or cut short are none", () => {
    const frames = new Wire("key").frames({ type: "stream", content: { text: "x" } });
    expect(read(new Wire("other"), frames)).toBeUndefined();
    expect(read(new Wire("key"), [...frames.slice(0, -1), '{"text":"y"}'])).toBeUndefined();
    expect(read(new Wire("key"), frames.slice(0, -1))).toBeUndefined();
    expect(read(new Wire("key"), ["x"])).toBeUndefined();
  });

  test("without a key are not signed", () => {
    const frames = new Wire("").frames({ type: "status", content: {} });
    expect(frames[1]).toBe("");
    expect(read(new Wire(""), frames)?.header.msg_type).toBe("status");
  });
});

test("a cursor is counted in characters: a pair of surrogates is one", () => {
  expect(unitsOf("a😀b", 0)).toBe(0);
  expect(unitsOf("a😀b", 2)).toBe(3);
  expect(unitsOf("a😀b", 99)).toBe(4);
});

test("the history forgets the oldest of more than ten thousand, and knows no other session", () => {
  const history = new History();
  for (let line = 1; line <= 10_001; line++) history.add(line, `cell ${line}`);
  const range = { hist_access_type: "range", start: 0, output: false };
  expect(history.answer({ ...range, session: 1, stop: 3 })).toEqual([[1, 2, "cell 2"]]);
  expect(history.answer({ ...range, session: -1, stop: 3 })).toEqual([]);
  expect(history.answer({ hist_access_type: "tail", n: 0 })).toEqual([]);
  // A search takes . and ( for themselves.
  expect(history.answer({ hist_access_type: "search", pattern: "cell.*" })).toEqual([]);
});
