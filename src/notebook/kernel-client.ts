/**
 * A Jupyter kernel as a client sees it: a process started from a connection file, and signed messages over ZeroMQ
 * sockets. It drives the stock tslab kernel and knows three things about it that its protocol does not say:
 *
 * - an error is stderr text and `status: "error"`; there is no `error` message;
 * - each print is one message, and of more than about 200 in one turn some are lost without a word, as is the `idle`
 *   that ends the cell. A cell whose reply came and whose `idle` did not is reported, never waited for, and so is one
 *   with as many messages as are the most that tslab delivers;
 * - an unready kernel drops messages: readiness is asked for until its `idle` has arrived on the output socket too.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Dealer, Subscriber } from "zeromq";
import type { Json, MimeBundle, Output } from "./format.js";

/** How long a kernel may take from its start until it answers. It takes two to three seconds on an idle machine. */
const READY_LIMIT_S = 60;
/** How long after a cell's reply its `idle` may be under way; both leave the kernel in the same turn. */
const IDLE_GRACE_S = 2;
/** Of a cell that prints without a pause tslab delivers 509 to 512 messages at the most, and the rest are lost. */
const MESSAGES_MAX = 500;
const OUTPUT_LOST =
  "the kernel lost output: tslab delivers about 200 prints of one cell; print fewer, longer texts";
const FINDING = /^\d+:\d+ - /;
const DELIMITER = "<IDS|MSG>";
const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The kernel is at fault, not the code: it did not start, died, was too slow, or lost output. One sentence. */
export class KernelError extends Error {
  override readonly name = "KernelError";
}

/** What a cell did. */
export interface Execution {
  /** Of a cell that failed, what tslab printed about it: the findings of its type check, or the error's stack. */
  readonly complaint: string | undefined;
  /** As nbformat stores them; prints on the same stream in a row are one output. */
  readonly outputs: readonly Output[];
}

export interface Kernel {
  /** What the kernel says of its language, as notebooks keep it in their metadata. */
  readonly languageInfo: MimeBundle;
  /**
   * Run one cell, one at a time. For 0.2 s after a cell that failed tslab refuses the next.
   *
   * @throws KernelError when the kernel died, the limit passed, or output was lost
   */
  execute(code: string, timeout_s: number): Promise<Execution>;
  /** End the process and remove its files. Safe to call twice. */
  close(): void;
}

/** One Jupyter message, as far as a client of tslab needs it. */
interface Message {
  readonly type: string;
  /** Of the request that it answers. */
  readonly parentId: string;
  readonly content: Readonly<Record<string, Json>>;
}

/**
 * Start tslab in a folder, from which its cells import, and wait until it answers. If this process is interrupted
 * meanwhile, or ends in any other orderly way, the kernel and its files go with it.
 *
 * @throws KernelError when it does not come up
 * @example
 * const kernel = await startKernel("notebooks");
 * await kernel.execute("1 + 1", 10); // {outputs: [{output_type: "stream", name: "stdout", text: "2\n"}]}
 * kernel.close();
 */
export async function startKernel(cwd: string): Promise<Kernel> {
  const [shell_port, iopub_port, control_port, stdin_port, hb_port] = await freePorts(5);
  const key = randomUUID();
  const folder = mkdtempSync(join(tmpdir(), "guplab-kernel-"));
  const connectionFile = join(folder, "connection.json");
  const ports = { shell_port, iopub_port, control_port, stdin_port, hb_port };
  const connection = { transport: "tcp", ip: "127.0.0.1", ...ports, key, signature_scheme: "hmac-sha256" };
  writeFileSync(connectionFile, JSON.stringify(connection), { mode: 0o600 });

  const tslab = join(dirname(createRequire(import.meta.url).resolve("tslab/package.json")), "bin", "tslab");
  const child = spawn(process.execPath, [tslab, "kernel", "--config-path", connectionFile], {
    cwd,
    // A terminal's Ctrl-C comes to us alone: we end the kernel, where tslab would only interrupt the cell.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    // Colours would be written into the outputs, and warnings with the process's number.
    env: { ...process.env, FORCE_COLOR: "0", NODE_NO_WARNINGS: "1" },
  });
  const shell = new Dealer({ linger: 0 });
  const iopub = new Subscriber({ linger: 0 });
  shell.connect(`tcp://127.0.0.1:${shell_port}`);
  iopub.connect(`tcp://127.0.0.1:${iopub_port}`);
  iopub.subscribe();
  const client = new TslabClient(child, folder, key, shell, iopub);
  try {
    await client.ready();
    return client;
  } catch (error) {
    client.close();
    throw error;
  }
}

class TslabClient implements Kernel {
  languageInfo: MimeBundle = {};
  /** What newDisplay() of tslab has shown, by its id: a later update replaces it, in whatever cell it was. */
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

  constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly key: string,
    private readonly shell: Dealer,
    private readonly iopub: Subscriber,
  ) {
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
    void this.listen(shell);
    void this.listen(iopub);
  }

  /** What the process itself, not a cell, said of an error. */
  private lastError(): string {
    const said = this.lastWords.match(/^.*error.*$/im)?.[0].trim();
    return said ? `: ${said}` : "";
  }

  private async listen(socket: Dealer | Subscriber): Promise<void> {
    for await (const frames of socket) {
      const message = readMessage(this.key, frames);
      if (message) this.listeners.get(message.parentId)?.(message);
    }
  }

  /** Send a request; resolves with its reply's content once the `idle` that ends the request has come as well. */
  private exchange(
    type: string,
    content: object,
    onOutput: (message: Message) => void,
  ): Promise<Message["content"]> {
    const id = randomUUID();
    return new Promise<Message["content"]>((resolve, reject) => {
      let reply: Message["content"] | undefined;
      let idle = false;
      this.listeners.set(id, (message) => {
        if (message.type === "status") idle ||= message.content.execution_state === "idle";
        else if (message.type.endsWith("_reply")) reply = message.content;
        else onOutput(message);
        if (reply && idle) resolve(reply);
        else if (reply) setTimeout(() => reject(new KernelError(OUTPUT_LOST)), IDLE_GRACE_S * 1000).unref();
      });
      const header = {
        msg_id: id,
        msg_type: type,
        session: this.key,
        username: "guplab",
        version: "5.3",
        date: "",
      };
      const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
      this.shell.send([DELIMITER, sign(this.key, parts), ...parts]).catch(reject);
    }).finally(() => this.listeners.delete(id));
  }

  /** Asks again and again: the answer to a question that came before both sockets were connected is incomplete. */
  async ready(): Promise<void> {
    let asking: NodeJS.Timeout | undefined;
    const answer = new Promise<Message["content"]>((resolve) => {
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
    const outputs: Output[] = [];
    const errors: string[] = [];
    let messages = 0;
    const request = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
    const reply = this.exchange("execute_request", request, (message) => {
      messages++;
      if (message.content.name === "stderr") errors.push(String(message.content.text));
      this.collect(message, outputs);
    });
    const { status } = await this.within(timeout_s, reply, () => `not finished within ${timeout_s} s`);
    if (messages >= MESSAGES_MAX) throw new KernelError(OUTPUT_LOST);
    // Findings are one print each, and then nothing else was printed; a stack is the last of the cell's prints.
    const last = errors.at(-1) ?? "";
    const complaint = FINDING.test(last) ? errors.join("") : last;
    return { complaint: status === "ok" ? undefined : complaint, outputs };
  }

  private collect({ type, content }: Message, outputs: Output[]): void {
    const { data, metadata } = content as { data: MimeBundle; metadata: MimeBundle };
    if (type === "stream") {
      const { name, text } = content as { name: "stdout" | "stderr"; text: string };
      const last = outputs.at(-1);
      if (last?.output_type === "stream" && last.name === name) {
        outputs[outputs.length - 1] = { ...last, text: last.text + text };
      } else {
        outputs.push({ output_type: "stream", name, text });
      }
    } else if (type === "display_data") {
      const output = { output_type: type, data, metadata } as const;
      const displayId = (content.transient as { display_id?: string } | undefined)?.display_id;
      if (displayId) this.displays.set(displayId, output);
      outputs.push(output);
    } else if (type === "update_display_data") {
      const { display_id } = content.transient as { display_id: string };
      Object.assign(this.displays.get(display_id) ?? {}, { data, metadata });
    }
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
    this.child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function sign(key: string, parts: readonly (string | Buffer)[]): string {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

/** A message from its frames; undefined when it is not signed with our key. */
function readMessage(key: string, frames: readonly Buffer[]): Message | undefined {
  const at = frames.findIndex((frame) => frame.toString() === DELIMITER);
  const [signature, ...parts] = frames.slice(at + 1);
  if (at < 0 || signature.toString() !== sign(key, parts)) return undefined;
  const [header, parent, , content] = parts.map((part) => JSON.parse(part.toString()));
  return { type: header.msg_type, parentId: parent.msg_id, content };
}

/** TCP ports that nothing listens on, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(async (server) => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    return (server.address() as AddressInfo).port;
  });
  const numbers = await Promise.all(ports);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return numbers;
}
