/**
 * A Jupyter kernel as a client sees it: a process that is given a connection file, and signed messages over ZeroMQ sockets.
 * Any kernel can be driven, guplab's own is meant.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dealer, Subscriber } from "zeromq";
import type { MimeBundle, Output } from "./format.js";
import { address, CHANNELS, type Channel, type Connection } from "./kernel/connection.js";
import { kernelJson } from "./kernel/spec.js";
import { type Content, type Message, Wire } from "./kernel/wire.js";

/** How long a kernel may take from its start until it answers. It takes less than a second on an idle machine. */
const READY_LIMIT_S = 60;
const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The kernel is at fault, not the code: it did not start, died, or was too slow. One sentence. */
export class KernelError extends Error {
  override readonly name = "KernelError";
}

/** Why a cell failed. */
export interface CellFailure {
  readonly ename: string;
  readonly evalue: string;
  /** Of the cell that was run, counted from 1; undefined when the error names none. */
  readonly line: number | undefined;
}

/** What a cell did. */
export interface Execution {
  /** Of a cell that failed. */
  readonly failure: CellFailure | undefined;
  /** As nbformat stores them; prints on the same stream in a row are one output. */
  readonly outputs: readonly Output[];
}

export interface Kernel {
  /** What the kernel says of its language, as notebooks keep it in their metadata. */
  readonly languageInfo: MimeBundle;
  /**
   * Run one cell, one at a time.
   *
   * @throws KernelError when the kernel died or the limit passed
   */
  execute(code: string, timeout_s: number): Promise<Execution>;
  /** End the process and remove its files. Safe to call twice. */
  close(): void;
}

/** A kernel's process and where it listens. */
export interface KernelProcess {
  readonly child: ChildProcess;
  readonly connection: Connection;
  /** End the process and remove its files. */
  close(): void;
}

/**
 * Start a kernel's process, which does not mean that it answers yet.
 *
 * @param cwd the folder from which its cells import
 * @param argv as in a kernel.json, with "{connection_file}" for the file; default guplab's own
 */
export async function spawnKernel(cwd: string, argv = kernelJson().argv as string[]): Promise<KernelProcess> {
  const numbers = await freePorts(CHANNELS.length);
  const ports = Object.fromEntries(CHANNELS.map((channel, at) => [channel, numbers[at]]));
  const connection: Connection = {
    transport: "tcp",
    ip: "127.0.0.1",
    key: randomUUID(),
    signature_scheme: "hmac-sha256",
    ports: ports as Record<Channel, number>,
  };
  const folder = mkdtempSync(join(tmpdir(), "guplab-kernel-"));
  const file = join(folder, "connection.json");
  const { ports: _, ...rest } = connection;
  const named = Object.fromEntries(CHANNELS.map((channel, at) => [`${channel}_port`, numbers[at]]));
  writeFileSync(file, JSON.stringify({ ...rest, ...named }), { mode: 0o600 });
  const [command, ...args] = argv.map((word) => word.replace("{connection_file}", file));
  const child = spawn(command, args, {
    cwd,
    // A terminal's Ctrl-C comes to us alone: we end the kernel, where it would only interrupt the cell.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    // Who runs a notebook without a page needs no plotly in it.
    env: { ...process.env, GUPLAB_PLOTLY: "none" },
  });
  return {
    child,
    connection,
    close: () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Start a kernel in a folder, from which its cells import, and wait until it answers. If this process is interrupted
 * meanwhile, or ends in any other orderly way, the kernel and its files go with it.
 *
 * @param argv as for spawnKernel
 * @throws KernelError when it does not come up
 * @example
 * const kernel = await startKernel("notebooks");
 * await kernel.execute("1 + 1", 10); // {outputs: [{output_type: "execute_result", data: {"text/plain": "2"}, ...}]}
 * kernel.close();
 */
export async function startKernel(cwd: string, argv?: string[]): Promise<Kernel> {
  const client = new Client(await spawnKernel(cwd, argv));
  try {
    await client.ready();
    return client;
  } catch (error) {
    client.close();
    throw error;
  }
}

class Client implements Kernel {
  languageInfo: MimeBundle = {};
  private readonly wire: Wire;
  private readonly shell = new Dealer({ linger: 0 });
  private readonly iopub = new Subscriber({ linger: 0, receiveHighWaterMark: 0 });
  /** What was shown under an id: a later update replaces it, in whatever cell it was. */
  private readonly displays = new Map<string, Output>();
  /** Who wants the messages that answer a request, by the request's id. */
  private readonly listeners = new Map<string, (message: Message) => void>();
  /** Rejects when the process ends. */
  private readonly death: Promise<never>;
  private lastWords = "";
  private closed = false;
  private readonly onExit = () => this.close();
  private readonly onSignal = (signal: NodeJS.Signals) => {
    this.close();
    process.kill(process.pid, signal);
  };

  constructor(private readonly kernel: KernelProcess) {
    const { child, connection } = kernel;
    this.wire = new Wire(connection.key);
    this.shell.connect(address(connection, "shell"));
    this.iopub.connect(address(connection, "iopub"));
    this.iopub.subscribe();
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-4000);
    });
    this.death = new Promise((_, reject) => {
      child.once("error", (error) => reject(new KernelError(`the kernel did not start: ${error.message}`)));
      child.once("close", (code, signal) => {
        reject(new KernelError(`the kernel died (${signal ?? `exit code ${code}`})${this.lastError()}`));
      });
    });
    this.death.catch(() => {});
    process.once("exit", this.onExit);
    for (const signal of SIGNALS) process.once(signal, this.onSignal);
    void this.listen(this.shell);
    void this.listen(this.iopub);
  }

  /** What the process itself, not a cell, said of an error. */
  private lastError(): string {
    const said = this.lastWords.match(/^(?:guplab kernel: .*|.*error.*)$/im)?.[0].trim();
    return said ? `: ${said}` : "";
  }

  private async listen(socket: Dealer | Subscriber): Promise<void> {
    for await (const frames of socket) {
      const message = this.wire.read(frames);
      if (message) this.listeners.get(message.parent.msg_id ?? "")?.(message);
    }
  }

  /** Send a request; resolves with its reply's content once the `idle` that ends the request has come as well. */
  private exchange(type: string, content: object, onOutput: (message: Message) => void): Promise<Content> {
    const header = this.wire.header(type);
    return new Promise<Content>((resolve, reject) => {
      let reply: Content | undefined;
      let idle = false;
      this.listeners.set(header.msg_id, (message) => {
        const { msg_type } = message.header;
        if (msg_type === "status") idle ||= message.content.execution_state === "idle";
        else if (msg_type.endsWith("_reply")) reply = message.content;
        else onOutput(message);
        if (reply && idle) resolve(reply);
      });
      this.shell.send(this.wire.frames({ type, content }, header)).catch(reject);
    }).finally(() => this.listeners.delete(header.msg_id));
  }

  /** Asks again and again: the answer to a question that came before both sockets were connected is incomplete. */
  async ready(): Promise<void> {
    let asking: NodeJS.Timeout | undefined;
    const answer = new Promise<Content>((resolve) => {
      const ask = () => void this.exchange("kernel_info_request", {}, () => {}).then(resolve, () => {});
      asking = setInterval(ask, 100);
      ask();
    });
    try {
      const info = await this.within(
        READY_LIMIT_S,
        answer,
        () => `the kernel did not answer within ${READY_LIMIT_S} s${this.lastError()}`,
      );
      this.languageInfo = info.language_info as MimeBundle;
    } finally {
      clearInterval(asking);
    }
  }

  async execute(code: string, timeout_s: number): Promise<Execution> {
    const collected = new Outputs(this.displays);
    let line: number | undefined;
    const request = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false };
    const answer = this.exchange("execute_request", request, (message) => {
      if (message.header.msg_type === "error")
        line = (message.metadata.guplab as { line?: number } | undefined)?.line;
      collected.add(message);
    });
    const reply = await this.within(timeout_s, answer, () => `not finished within ${timeout_s} s`);
    const { status, ename = "Error", evalue = "" } = reply;
    const failure = status === "ok" ? undefined : { ename: String(ename), evalue: String(evalue), line };
    return { failure, outputs: collected.outputs };
  }

  /** What an answer is, unless the kernel dies or the time passes first. */
  private async within<T>(seconds: number, answer: Promise<T>, complaint: () => string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new KernelError(complaint())), seconds * 1000);
    });
    try {
      return await Promise.race([answer, this.death, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    process.off("exit", this.onExit);
    for (const signal of SIGNALS) process.off(signal, this.onSignal);
    this.shell.close();
    this.iopub.close();
    this.kernel.close();
  }
}

/** The outputs of one cell, as its messages make them. */
class Outputs {
  readonly outputs: Output[] = [];
  /** What is here goes when the next output comes. */
  private clears = false;

  constructor(private readonly displays: Map<string, Output>) {}

  add({ header: { msg_type }, content }: Message): void {
    if (msg_type === "clear_output") {
      this.clears = content.wait === true;
      if (!this.clears) this.outputs.length = 0;
      return;
    }
    const { data, metadata } = content as { data: MimeBundle; metadata: MimeBundle };
    const id = (content.transient as { display_id?: string } | undefined)?.display_id;
    if (msg_type === "update_display_data") {
      Object.assign(this.displays.get(id ?? "") ?? {}, { data, metadata });
      return;
    }
    if (this.clears) this.outputs.length = 0;
    this.clears = false;
    switch (msg_type) {
      case "stream": {
        const { name, text } = content as { name: "stdout" | "stderr"; text: string };
        const last = this.outputs.at(-1);
        if (last?.output_type === "stream" && last.name === name)
          this.outputs[this.outputs.length - 1] = { ...last, text: last.text + text };
        else this.outputs.push({ output_type: "stream", name, text });
        return;
      }
      case "display_data": {
        const output: Output = { output_type: "display_data", data, metadata };
        if (id !== undefined) this.displays.set(id, output);
        this.outputs.push(output);
        return;
      }
      case "execute_result":
        this.outputs.push({
          output_type: "execute_result",
          data,
          metadata,
          execution_count: Number(content.execution_count),
        });
        return;
      case "error": {
        const { ename, evalue, traceback } = content as {
          ename: string;
          evalue: string;
          traceback: string[];
        };
        this.outputs.push({ output_type: "error", ename, evalue, traceback });
        return;
      }
    }
  }
}

/** TCP ports that nothing listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(async (server) => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    return (server.address() as AddressInfo).port;
  });
  const numbers = await Promise.all(ports);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return numbers;
}
