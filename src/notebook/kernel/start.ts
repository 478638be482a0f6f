/**
 * The kernel's process: the sockets' thread is started first, so that a client is answered while the compiler loads;
 * what is to be run waits until it has.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Json } from "../format.js";
import { readConnection } from "./connection.js";
import { Engine } from "./engine.js";
import { type Fatal, SHARED, type ToEngine, type ToServer } from "./link.js";
import { Output } from "./output.js";
import { packageRoot } from "./root.js";
import { PROTOCOL } from "./wire.js";

/** How long the sockets may take to close when the process ends. */
const CLOSE_LIMIT_MS = 1000;
/**
 * How long ZeroMQ's own threads have, after that, for what was sent and for what is behind a closed socket. One of 115 processes that were
 * shut down on a busy machine aborted at its end; that these threads were still at work is the likely cause, and not shown.
 */
const SETTLE_MS = 100;

/**
 * Become a kernel until a client ends it.
 *
 * @param connectionFile what Jupyter wrote for this kernel
 * @param server the file of the sockets' thread
 * @throws ConnectionError when the connection file is at fault
 */
export async function startKernelProcess(connectionFile: string, server: URL): Promise<void> {
  const connection = readConnection(connectionFile);
  const complaints = process.stderr.write.bind(process.stderr);
  const fail = (sentence: string): never => {
    complaints(`guplab kernel: ${sentence}\n`);
    process.exit(1);
  };
  const shared = new SharedArrayBuffer(SHARED.length * Int32Array.BYTES_PER_ELEMENT);
  const flags = new Int32Array(shared);
  flags[SHARED.busy] = 1;
  const worker = new Worker(server, { workerData: { connection, info: kernelInfo(), shared } });
  const early: ToEngine[] = [];
  let receive = (message: ToEngine): unknown => early.push(message);
  worker.on("message", (message: ToEngine | Fatal) =>
    message.kind === "fatal" ? fail(message.sentence) : receive(message),
  );
  worker.on("error", (error) => fail(`the thread of its sockets ended: ${error.stack}`));

  const post = (message: ToServer) => worker.postMessage(message);
  // A cell may end the process: what it printed is sent first, and ZeroMQ wants its sockets closed before its thread ends.
  process.on("exit", () => {
    post({ kind: "exit" });
    if (flags[SHARED.closed] === 0) Atomics.wait(flags, SHARED.closed, 0, CLOSE_LIMIT_MS);
    Atomics.wait(flags, SHARED.closed, 1, SETTLE_MS);
  });
  const output = new Output(post, flags);
  catchOutput(output);
  let engine: Engine | undefined;
  // A signal ends what waits, and by breakOnSigint what is at its first run; most clients send a message instead.
  const onSignal = () => engine?.interrupt();
  process.on("SIGINT", onSignal);
  try {
    const made = new Engine(output, post, flags);
    await made.preload();
    // What arrived meanwhile, signals too.
    await new Promise((resolve) => setImmediate(resolve));
    engine = made;
  } catch (error) {
    return fail((error as Error).message);
  }
  const ready = engine;
  process.on("uncaughtException", (error) => ready.complain(error));
  process.on("unhandledRejection", (error) => ready.complain(error));
  flags[SHARED.busy] = 0;
  receive = (message) => {
    // Node takes listeners away for a cell's first run, and if that is ended from outside they are not put back.
    if (message.kind === "terminated") process.off("SIGINT", onSignal).on("SIGINT", onSignal);
    return ready.fromServer(message);
  };
  for (const message of early) receive(message);
}

/** What is printed by anybody in this process goes to the client; no colours, which would be in the outputs. */
function catchOutput(output: Output): void {
  delete process.env.FORCE_COLOR;
  for (const name of ["stdout", "stderr"] as const) {
    const decoder = new TextDecoder();
    const write = (
      data: string | Uint8Array,
      encoding?: BufferEncoding | ((error?: Error) => void),
      done?: (error?: Error) => void,
    ): boolean => {
      output.print(name, typeof data === "string" ? data : decoder.decode(data, { stream: true }));
      const called = typeof encoding === "function" ? encoding : done;
      if (called) process.nextTick(called);
      return true;
    };
    process[name].write = write as typeof process.stdout.write;
    Object.defineProperty(process[name], "isTTY", { value: false });
  }
  // Node's own form has the number of the process in it, which is another one each time.
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => {
    if (name !== "ExperimentalWarning") output.print("stderr", `${name}: ${message}\n`);
  });
}

/** What kernel_info says. */
function kernelInfo(): Record<string, Json> {
  const versionOf = (file: string): string => JSON.parse(readFileSync(file, "utf8")).version;
  const tslab = createRequire(createRequire(import.meta.url).resolve("tslab/package.json"));
  const typescript = versionOf(tslab.resolve("@tslab/typescript-for-tslab/package.json"));
  const guplab = versionOf(join(packageRoot(), "package.json"));
  return {
    protocol_version: PROTOCOL,
    implementation: "guplab",
    implementation_version: guplab,
    language_info: {
      name: "typescript",
      version: typescript,
      mimetype: "text/typescript",
      file_extension: ".ts",
      pygments_lexer: "typescript",
      // The classic notebook takes `name` and `typescript`, JupyterLab takes `mode`.
      codemirror_mode: { mode: "typescript", name: "javascript", typescript: true },
      nbconvert_exporter: "script",
    },
    banner: `guplab ${guplab}, TypeScript ${typescript}, Node ${process.versions.node}: lab.run("kara-2018") crashes a kernel`,
    help_links: [{ text: "DMA and get_user_pages() (LWN)", url: "https://lwn.net/Articles/774411/" }],
  };
}
