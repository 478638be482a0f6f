/** A Jupyter client for tests: it sees every message, as the front ends of a real Jupyter do. */
import { randomUUID } from "node:crypto";
import { Dealer, Request, Subscriber } from "zeromq";
import { address, type Channel } from "../../../src/notebook/kernel/connection.js";
import { type Content, type Header, type Message, Wire } from "../../../src/notebook/kernel/wire.js";
import { type KernelProcess, spawnKernel } from "../../../src/notebook/kernel-client.js";

type Asked = Exclude<Channel, "iopub" | "hb">;

/** What came of a request. */
export interface Exchange {
  readonly header: Header;
  readonly reply: Content;
  /** What was published for it, its busy and its idle included. */
  readonly published: readonly Message[];
}

export class TestClient {
  readonly wire: Wire;
  /** Everything that was published since the client came. */
  readonly published: Message[] = [];
  /** Of input_request, the prompts that nobody answered. */
  readonly asked: Content[] = [];
  private readonly sockets: { readonly [channel in Asked]: Dealer };
  private readonly iopub: Subscriber;
  private readonly replies = new Map<string, Message>();
  private waiting: (() => void)[] = [];

  constructor(private readonly process: KernelProcess) {
    const { connection } = process;
    this.wire = new Wire(connection.key);
    const options = { routingId: randomUUID(), linger: 0, receiveHighWaterMark: 0 };
    this.sockets = { shell: new Dealer(options), control: new Dealer(options), stdin: new Dealer(options) };
    this.iopub = new Subscriber({ linger: 0, receiveHighWaterMark: 0 });
    this.iopub.subscribe();
    this.iopub.connect(address(connection, "iopub"));
    void this.listen(this.iopub, (message) => this.published.push(message));
    for (const channel of ["shell", "control", "stdin"] as const) {
      this.sockets[channel].connect(address(connection, channel));
      void this.listen(this.sockets[channel], (message) => {
        if (message.header.msg_type === "input_request") this.asked.push(message.content);
        else this.replies.set(message.parent.msg_id ?? "", message);
      });
    }
  }

  private async listen(socket: Dealer | Subscriber, take: (message: Message) => void): Promise<void> {
    for await (const frames of socket) {
      const message = this.wire.read(frames);
      if (message) take(message);
      for (const look of this.waiting.splice(0)) look();
    }
  }

  /** Wait until something that arrives makes it true. */
  async until<T>(look: () => T | undefined | false, what: string, limit_s = 30): Promise<T> {
    const end = performance.now() + limit_s * 1000;
    for (;;) {
      const seen = look();
      if (seen) return seen;
      if (performance.now() > end) throw new Error(`${what}: not within ${limit_s} s`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Send a message and wait for nothing. */
  async send(channel: Asked, type: string, content: object = {}, metadata: object = {}): Promise<Header> {
    const header = this.wire.header(type);
    await this.sockets[channel].send(this.wire.frames({ type, content, metadata }, header));
    return header;
  }

  /** Frames as they are, signed by nobody. */
  async sendRaw(channel: Asked, frames: readonly string[]): Promise<void> {
    await this.sockets[channel].send([...frames]);
  }

  /** The reply, and what was published, once both are complete. */
  async answer(header: Header, limit_s = 30): Promise<Exchange> {
    const { msg_id, msg_type } = header;
    const published = () => this.published.filter(({ parent }) => parent.msg_id === msg_id);
    const isIdle = ({ header: { msg_type: type }, content }: Message) =>
      type === "status" && content.execution_state === "idle";
    const reply = await this.until(() => this.replies.get(msg_id), `the reply to ${msg_type}`, limit_s);
    await this.until(() => published().some(isIdle), `the idle of ${msg_type}`, limit_s);
    this.replies.delete(msg_id);
    return { header, reply: reply.content, published: published() };
  }

  async request(channel: Asked, type: string, content: object = {}, limit_s = 30): Promise<Exchange> {
    return this.answer(await this.send(channel, type, content), limit_s);
  }

  execute(code: string, options: object = {}, limit_s = 30): Promise<Exchange> {
    return this.request("shell", "execute_request", { ...EXECUTE, code, ...options }, limit_s);
  }

  submit(code: string, options: object = {}): Promise<Header> {
    return this.send("shell", "execute_request", { ...EXECUTE, code, ...options });
  }

  /** The last question for input, answered. */
  async input(value: string): Promise<void> {
    this.asked.pop();
    await this.send("stdin", "input_reply", { value });
  }

  /** One heartbeat. */
  async beat(text: string): Promise<string> {
    const heart = new Request({ linger: 0, receiveTimeout: 5000 });
    heart.connect(address(this.process.connection, "hb"));
    await heart.send(text);
    const [answer] = await heart.receive();
    heart.close();
    return answer.toString();
  }

  /** Ask until an idle of ours has arrived on the output socket too, which may connect late. */
  async ready(): Promise<Content> {
    for (;;) {
      const header = await this.send("shell", "kernel_info_request");
      const found = await this.answer(header, 1).catch(() => undefined);
      if (found) return found.reply;
    }
  }

  close(): void {
    for (const socket of Object.values(this.sockets)) socket.close();
    this.iopub.close();
  }
}

const EXECUTE = {
  silent: false,
  store_history: true,
  user_expressions: {},
  allow_stdin: false,
  stop_on_error: true,
};

/** A kernel's process with a client that is connected. @param argv as for spawnKernel */
export async function kernelWithClient(
  cwd: string,
  argv?: string[],
): Promise<{ process: KernelProcess; client: TestClient }> {
  const process = await spawnKernel(cwd, argv);
  const client = new TestClient(process);
  await client.ready();
  return { process, client };
}

/** Contents of what was published of a type. */
export const contents = ({ published }: Pick<Exchange, "published">, type: string): Content[] =>
  published.filter(({ header }) => header.msg_type === type).map(({ content }) => content);

/** What was printed on a stream. */
export const printed = (exchange: Pick<Exchange, "published">, name = "stdout"): string =>
  contents(exchange, "stream")
    .filter((content) => content.name === name)
    .map(({ text }) => text)
    .join("");

/** The kinds of messages, in order. */
export const kinds = ({ published }: Pick<Exchange, "published">): string[] =>
  published.map(({ header, content }) =>
    header.msg_type === "status" ? String(content.execution_state) : header.msg_type,
  );
