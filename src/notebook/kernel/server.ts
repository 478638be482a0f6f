/**
 * The kernel's sockets and its protocol (Jupyter messaging 5.3), in a thread of their own. Requests on the shell are
 * handled one after the other, each between its busy and its idle; what needs the compiler or runs code is done by the
 * other thread (engine.ts). Requests on the control channel are handled at once, whatever the other thread is doing.
 *
 * Every send goes through one queue and is awaited, with no high-water mark: zeromq.js refuses a send while another is
 * under way, and drops messages beyond the mark without a word.
 */
import { Session } from "node:inspector";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Publisher, Reply, Router, type Socket } from "zeromq";
import type { Json } from "../format.js";
import { address, CHANNELS, type Channel } from "./connection.js";
import { History } from "./history.js";
import {
  type Fatal,
  type Order,
  printSize,
  type ServerData,
  SHARED,
  type ToEngine,
  type ToServer,
} from "./link.js";
import { Streams } from "./streams.js";
import { type Content, type Header, type Message, Wire } from "./wire.js";

/** How long the thread of cells may take to notice an interrupt before what it runs is ended from outside. */
const NOTICE_LIMIT_MS = 500;
/** How long the process may take to end by itself after a shutdown request. */
const EXIT_LIMIT_MS = 1000;
/** What is sent at once arrives within so long. */
const ARRIVAL_MS = 5;
/** What was sent may be under way for so long after the sockets are closed. */
const LINGER_MS = 500;

/** Serve until the process ends; called in the thread that was started with ServerData. */
export async function serve(): Promise<void> {
  const port = parentPort as MessagePort;
  const server = new Server(port, workerData as ServerData);
  try {
    await server.bind();
  } catch (error) {
    port.postMessage({ kind: "fatal", sentence: (error as Error).message } satisfies Fatal);
    return;
  }
  server.listen();
}

class Server {
  private readonly wire: Wire;
  private readonly shared: Int32Array;
  private readonly history = new History();
  private readonly sockets: {
    readonly shell: Router;
    readonly control: Router;
    readonly stdin: Router;
    readonly iopub: Publisher;
    readonly hb: Reply;
  };
  /** Resolves when everything handed over so far is sent. */
  private sending: Promise<void> = Promise.resolve();
  /** Requests on the shell that wait for their turn. */
  private readonly queue: Message[] = [];
  private isServing = false;
  private executionCount = 0;
  /** Executions that are in no history, for their names in stacks. */
  private unsaved = 0;
  /** The request whose outputs arrive: the one under way, or the last. */
  private current: Message | undefined;
  private answered: ((answer: { content: Content; shown?: string }) => void) | undefined;
  private wantsInput = false;
  /** The interrupt under way, until the thread of cells has noticed it. */
  private interrupting: Promise<void> | undefined;
  private noticed: (() => void) | undefined;
  /** A client has asked who we are since the last execution. */
  private hasNewcomer = false;
  private readonly streams = new Streams(
    (name, text) => void this.publish("stream", { name, text }, this.current?.header ?? {}),
  );

  constructor(
    private readonly port: MessagePort,
    private readonly data: ServerData,
  ) {
    this.wire = new Wire(data.connection.key, data.connection.signature_scheme);
    this.shared = new Int32Array(data.shared);
    const options = { linger: LINGER_MS, sendHighWaterMark: 0 };
    this.sockets = {
      shell: new Router(options),
      control: new Router(options),
      stdin: new Router(options),
      iopub: new Publisher(options),
      hb: new Reply(options),
    };
  }

  /** @throws Error with one sentence when a port is taken or no address of this machine */
  async bind(): Promise<void> {
    const { connection } = this.data;
    for (const channel of CHANNELS) {
      try {
        await this.sockets[channel].bind(address(connection, channel));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const where = `${connection.ip}, port ${connection.ports[channel]}`;
        throw new Error(
          code === "EADDRINUSE"
            ? `the ${channel} channel cannot listen at ${where}: another program does; start with other ports`
            : `the ${channel} channel cannot listen at ${where}: ${message}`,
        );
      }
    }
  }

  listen(): void {
    this.port.on("message", (message: ToServer) => this.fromEngine(message));
    void this.echo();
    void this.each("shell", (message) => {
      this.queue.push(message);
      if (!this.isServing) void this.serveQueue();
    });
    void this.each("control", (message) => void this.control(message));
    void this.each("stdin", ({ header, content }) => {
      if (header.msg_type !== "input_reply" || !this.wantsInput) return;
      this.wantsInput = false;
      this.tell({ kind: "input", value: String(content.value ?? "") });
    });
    this.publish("status", { execution_state: "starting" }, {});
    this.endWithParent();
  }

  private async echo(): Promise<void> {
    for await (const frames of this.sockets.hb) await this.sockets.hb.send(frames);
  }

  private async each(
    channel: "shell" | "control" | "stdin",
    handle: (message: Message) => void,
  ): Promise<void> {
    for await (const frames of this.sockets[channel]) {
      const message = this.wire.read(frames);
      if (message) handle(message);
    }
  }

  private tell(message: ToEngine): void {
    this.port.postMessage(message);
  }

  private send(
    socket: Socket & { send(frames: (Buffer | string)[]): Promise<void> },
    frames: (Buffer | string)[],
  ) {
    this.sending = this.sending
      .then(() => socket.send(frames))
      // A client that is gone is no fault of the kernel's.
      .catch(() => {});
    return this.sending;
  }

  private publish(
    type: string,
    content: object,
    parent: Header | Record<string, never>,
    metadata: object = {},
  ): Promise<void> {
    const identities = [`kernel.${this.wire.session}.${type}`];
    return this.send(this.sockets.iopub, this.wire.frames({ type, content, parent, metadata, identities }));
  }

  private reply(
    channel: Exclude<Channel, "hb" | "iopub">,
    type: string,
    { identities, header }: Message,
    content: object,
  ) {
    return this.send(this.sockets[channel], this.wire.frames({ type, content, parent: header, identities }));
  }

  // The shell: one request after the other.

  private async serveQueue(): Promise<void> {
    this.isServing = true;
    for (let message = this.queue.shift(); message; message = this.queue.shift()) {
      void this.publish("status", { execution_state: "busy" }, message.header);
      let aborted: readonly Message[] = [];
      try {
        aborted = await this.serveOne(message);
      } catch (error) {
        // A fault of the kernel's own must not leave the client without an answer.
        const { name, message: evalue, stack = "" } = error as Error;
        const content = { status: "error", ename: name, evalue, traceback: stack.split("\n") };
        void this.reply("shell", replyOf(message), message, content);
      }
      void this.publish("status", { execution_state: "idle" }, message.header);
      for (const other of aborted) this.abort(other);
    }
    this.isServing = false;
  }

  /** Gives the executions that are to be aborted, because this one failed. */
  private async serveOne(message: Message): Promise<readonly Message[]> {
    const { msg_type } = message.header;
    const content = message.content;
    switch (msg_type) {
      case "execute_request":
        return this.execute(message);
      case "complete_request":
      case "inspect_request":
      case "is_complete_request": {
        const code = String(content.code ?? "");
        const cursor = typeof content.cursor_pos === "number" ? content.cursor_pos : Infinity;
        const orders: Record<string, Order> = {
          complete_request: { type: "complete", code, cursor },
          inspect_request: { type: "inspect", code, cursor, detail: Number(content.detail_level ?? 0) },
          is_complete_request: { type: "is_complete", code },
        };
        const { content: answer } = await this.order(orders[msg_type]);
        void this.reply("shell", replyOf(message), message, answer);
        return [];
      }
      case "history_request":
        void this.reply("shell", "history_reply", message, {
          status: "ok",
          history: this.history.answer(content),
        });
        return [];
      case "comm_info_request":
        void this.reply("shell", "comm_info_reply", message, { status: "ok", comms: {} });
        return [];
      case "comm_open":
        // No comm can be opened here: who tries is told so.
        void this.publish("comm_close", { comm_id: content.comm_id, data: {} }, message.header);
        return [];
      default:
        await this.serveAnywhere("shell", message);
        return [];
    }
  }

  private async order(order: Order): Promise<{ content: Content; shown?: string }> {
    // An interrupt under way is meant for what came before.
    await this.interrupting;
    return new Promise((resolve) => {
      this.answered = resolve;
      this.tell({ kind: "order", order });
    });
  }

  private async execute(message: Message): Promise<readonly Message[]> {
    const { content, header } = message;
    const code = String(content.code ?? "");
    const silent = content.silent === true;
    const saved = !silent && content.store_history !== false;
    if (saved) this.history.add(++this.executionCount, code);
    const execution_count = this.executionCount;
    const name = saved ? `cell ${execution_count}` : `cell (${++this.unsaved})`;
    if (!silent) void this.publish("execute_input", { code, execution_count }, header);
    this.streams.flush();
    this.current = message;
    const { guplab_plotly } = content;
    // A page that was opened or loaded anew since the last cell has nothing yet, unless it says so (plotly.ts).
    const hasPlotly = typeof guplab_plotly === "boolean" ? guplab_plotly : this.hasNewcomer ? false : null;
    this.hasNewcomer = false;
    const { cellId } = message.metadata;
    const { content: answer, shown } = await this.order({
      type: "execute",
      code,
      name,
      execution_count,
      silent,
      allow_stdin: content.allow_stdin === true,
      cell: typeof cellId === "string" ? cellId : undefined,
      hasPlotly,
      user_expressions: (content.user_expressions ?? {}) as Record<string, string>,
    });
    if (saved && shown !== undefined) this.history.shown(shown);
    let aborted: readonly Message[] = [];
    if (answer.status === "error" && content.stop_on_error !== false) {
      // What was sent together with the cell that failed has arrived after this, and what follows the reply has not.
      await pause(ARRIVAL_MS);
      aborted = this.queue.filter(isExecution);
      const others = this.queue.filter((other) => !isExecution(other));
      this.queue.splice(0, Infinity, ...others);
    }
    void this.reply("shell", "execute_reply", message, { ...answer, execution_count });
    return aborted;
  }

  private abort(message: Message): void {
    const content = { status: "aborted", execution_count: this.executionCount };
    void this.publish("status", { execution_state: "busy" }, message.header);
    void this.reply("shell", "execute_reply", message, content);
    void this.publish("status", { execution_state: "idle" }, message.header);
  }

  // Both channels.

  private async serveAnywhere(channel: "shell" | "control", message: Message): Promise<void> {
    switch (message.header.msg_type) {
      case "kernel_info_request":
        // With which every client begins, and a page that is loaded again too.
        this.hasNewcomer = true;
        void this.reply(channel, "kernel_info_reply", message, { status: "ok", ...this.data.info });
        return;
      case "interrupt_request":
        await this.interrupt();
        void this.reply(channel, "interrupt_reply", message, { status: "ok" });
        return;
      case "shutdown_request": {
        const content = { status: "ok", restart: message.content.restart === true };
        void this.reply(channel, "shutdown_reply", message, content);
        void this.publish("shutdown_reply", content, message.header);
        void this.publish("status", { execution_state: "idle" }, message.header);
        await this.end();
        return;
      }
    }
  }

  private async control(message: Message): Promise<void> {
    void this.publish("status", { execution_state: "busy" }, message.header);
    await this.serveAnywhere("control", message);
    void this.publish("status", { execution_state: "idle" }, message.header);
  }

  /** End what the other thread runs; resolves when nothing of it can reach what is run later. */
  private interrupt(): Promise<void> {
    this.interrupting ??= this.endExecution().finally(() => {
      this.interrupting = undefined;
    });
    return this.interrupting;
  }

  /**
   * Say so to the other thread, which ends a cell that waits; a loop, which hears nothing, is ended from outside. No
   * signal is sent for it: Node loses one that comes at the end of a cell's first run, and gives it to a later cell.
   */
  private async endExecution(): Promise<void> {
    const noticed = new Promise<true>((resolve) => {
      this.noticed = () => resolve(true);
    });
    for (let limit_ms = NOTICE_LIMIT_MS; ; limit_ms *= 2) {
      this.tell({ kind: "interrupt" });
      if (await Promise.race([noticed, pause(limit_ms)])) return;
      // A thread that was merely slow loses what it was about to do, this message perhaps: it is told again.
      if (Atomics.load(this.shared, SHARED.busy) === 0) await this.terminate();
    }
  }

  /** End what the other thread runs from outside. */
  private terminate(): Promise<void> {
    return new Promise((resolve) => {
      const session = new Session();
      session.connectToMainThread();
      session.post("Runtime.terminateExecution", () => {
        session.disconnect();
        this.tell({ kind: "terminated" });
        resolve();
      });
    });
  }

  /** Send what is to be sent, then end the process: by its own will, or without it. */
  private async end(): Promise<void> {
    await this.close();
    this.tell({ kind: "exit" });
    setTimeout(() => process.kill(process.pid, "SIGKILL"), EXIT_LIMIT_MS);
  }

  private async close(): Promise<void> {
    this.streams.flush();
    await this.sending;
    for (const channel of CHANNELS) this.sockets[channel].close();
    Atomics.store(this.shared, SHARED.closed, 1);
    Atomics.notify(this.shared, SHARED.closed);
  }

  /** A kernel whose Jupyter has gone is of use to nobody, and would run for ever. */
  private endWithParent(): void {
    const parent = process.ppid;
    if (!process.env.JPY_PARENT_PID) return;
    setInterval(() => {
      if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
    }, 1000);
  }

  // The thread that runs cells.

  private fromEngine(message: ToServer): void {
    const parent = this.current?.header ?? {};
    switch (message.kind) {
      case "print":
        Atomics.sub(this.shared, SHARED.unsent, printSize(message.text));
        Atomics.notify(this.shared, SHARED.unsent);
        this.streams.add(message.name, message.text);
        return;
      case "publish":
        this.streams.flush();
        void this.publish(message.type, message.content, parent, message.metadata);
        return;
      case "answer":
        this.streams.flush();
        this.answered?.(message);
        this.answered = undefined;
        return;
      case "input": {
        const { identities, header } = this.current as Message;
        const content: Record<string, Json> = { prompt: message.prompt, password: message.password };
        this.streams.flush();
        this.wantsInput = true;
        void this.send(
          this.sockets.stdin,
          this.wire.frames({ type: "input_request", content, parent: header, identities }),
        );
        return;
      }
      case "no-input":
        this.wantsInput = false;
        return;
      case "noticed":
        this.noticed?.();
        return;
      case "exit":
        void this.close();
        return;
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const replyOf = ({ header }: Message): string => header.msg_type.replace(/_request$/, "_reply");

const isExecution = ({ header }: Message): boolean => header.msg_type === "execute_request";
