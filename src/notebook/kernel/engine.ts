/**
 * Runs cells: tslab's executor with a console of our own, by which it hands over results and errors, and with a name for
 * each cell in what it runs. guplab's names are there from the start.
 *
 * tslab 1.0.22 is pinned: its executor calls vm.runInThisContext for each cell, console.log with the value of the last
 * expression and console.error with what was thrown. A test holds it to that.
 */
import Module, { createRequire } from "node:module";
import { join } from "node:path";
import vm from "node:vm";
import type { Json } from "../format.js";
import { bundleOf } from "./bundle.js";
import {
  type Compiler,
  type Completions,
  type Converted,
  type Converter,
  createCompiler,
  type QuickInfo,
} from "./compiler.js";
import { type Failure, failureOf, failureOfFindings } from "./failure.js";
import { becomeKernel } from "./global.js";
import { completionsAt, inspectionAt } from "./language.js";
import { type ExecuteOrder, type Order, SHARED, type ToEngine, type ToServer } from "./link.js";
import type { Output } from "./output.js";
import { Positions } from "./positions.js";
import { preloadedImport } from "./preload.js";
import { packageRoot } from "./root.js";
import type { Content } from "./wire.js";

interface Executor {
  execute(code: string): Promise<boolean>;
  complete(code: string, position: number): Completions;
  inspect(code: string, position: number): QuickInfo | undefined;
  interrupt(): void;
}

interface Console {
  log(value: unknown): void;
  error(...values: unknown[]): void;
}

type CreateExecutor = (
  folder: string,
  converters: { node: Converter; browser: Converter; close(): void },
  console: Console,
) => Executor;

type Outcome =
  | { readonly ok: true; readonly value?: { readonly is: unknown } }
  | { readonly ok: false; readonly failure: Failure };

interface Answer {
  readonly content: Content;
  /** The text of the cell's result. */
  readonly shown?: string;
}

const INTERRUPTED: Failure = {
  ename: "Interrupted",
  evalue: "the cell was interrupted",
  traceback: ["Interrupted: the cell was interrupted"],
  at: undefined,
};

export class Engine {
  private readonly compiler: Compiler;
  private readonly executor: Executor;
  private readonly positions = new Positions();
  /** The cell that is compiled or run, or was last. */
  private cell = "";
  private source = "";
  private converted: Converted | undefined;
  private result: { readonly is: unknown } | undefined;
  private thrown: { readonly is: unknown } | undefined;
  private isInterrupted = false;
  /** Gives the answer to the order under way, for the code that cannot any more. */
  private settle: ((answer: Answer) => void) | undefined;
  private allowsInput = false;
  private inputs: { resolve: (value: string) => void; reject: (error: Error) => void } | undefined;
  /** Displays of this cell whose bundles come later. */
  private pending: Promise<void>[] = [];

  constructor(
    private readonly output: Output,
    private readonly post: (message: ToServer) => void,
    private readonly shared: Int32Array,
  ) {
    findGuplab();
    this.compiler = createCompiler(process.env.GUPLAB_TYPES === "node");
    const { converter } = this.compiler;
    const node: Converter = {
      ...converter,
      convert: (declarations, code) => {
        const before = Atomics.exchange(this.shared, SHARED.busy, 1);
        try {
          this.converted = converter.convert(declarations, code);
        } finally {
          Atomics.store(this.shared, SHARED.busy, before);
        }
        return this.converted;
      },
    };
    const createExecutor = loadExecutor((code, options) => this.runNamed(code, options));
    this.executor = createExecutor(
      process.cwd(),
      { node, browser: node, close: () => converter.close() },
      {
        log: (value) => {
          this.result = { is: value };
        },
        error: (...values) => {
          this.thrown = { is: values[0] };
        },
      },
    );
    this.positions.inStacks();
    this.defineGlobals();
  }

  /** Make guplab's names known to cells. */
  async preload(): Promise<void> {
    const guplab = createRequire(import.meta.url)("guplab") as Record<string, unknown>;
    const outcome = await this.run(preloadedImport(guplab), "guplab");
    if (!outcome.ok) throw new Error(`guplab's own names do not load: ${outcome.failure.evalue}`);
  }

  async fromServer(message: ToEngine): Promise<void> {
    switch (message.kind) {
      case "order": {
        this.isInterrupted = false;
        // In a turn of its own: what is ended from outside never comes to an end by itself, and nor does who awaits it.
        const answer = await new Promise<Answer>((resolve) => {
          this.settle = resolve;
          setImmediate(() => this.answer(message.order).then(resolve));
        });
        this.settle = undefined;
        this.output.silent = false;
        this.post({ kind: "answer", ...answer });
        return;
      }
      case "input":
        this.inputs?.resolve(message.value);
        this.inputs = undefined;
        return;
      case "interrupt":
        this.interrupt();
        this.post({ kind: "noticed" });
        return;
      case "terminated": {
        const { settle } = this;
        // What was waited for beside it may come to its end by itself.
        setTimeout(() => {
          if (settle && this.settle === settle) settle(this.failed(INTERRUPTED));
        }, 50);
        return;
      }
      case "exit":
        process.exit(0);
    }
  }

  /** End the cell that waits, or is about to begin. */
  interrupt(): void {
    this.isInterrupted = true;
    this.inputs?.reject(new Error("interrupted"));
    this.inputs = undefined;
    this.executor.interrupt();
  }

  /** An error that no cell waits for: printed, with the lines of the cell it came from. */
  complain(error: unknown): void {
    const { traceback } = failureOf(error, this.cell, this.positions);
    this.output.print("stderr", `${traceback.join("\n")}\n`);
  }

  private async answer(order: Order): Promise<Answer> {
    const { executor } = this;
    switch (order.type) {
      case "execute":
        return this.execute(order);
      case "complete":
        return { content: completionsAt(executor.complete, order.code, order.cursor) };
      case "inspect":
        return { content: inspectionAt(executor.inspect, order.code, order.cursor) };
      case "is_complete":
        return { content: this.compiler.isComplete(order.code) };
    }
  }

  private async execute(order: ExecuteOrder): Promise<Answer> {
    this.output.silent = order.silent;
    this.allowsInput = order.allow_stdin;
    this.output.begin(order.cell, order.hasPlotly);
    const outcome = await this.run(order.code, order.name);
    let shown: string | undefined;
    let failure = outcome.ok ? undefined : outcome.failure;
    if (outcome.ok && outcome.value && !order.silent) {
      try {
        const data = await bundleOf(outcome.value.is);
        shown = String(data["text/plain"] ?? "");
        this.output.show("execute_result", data, { execution_count: order.execution_count });
      } catch (error) {
        failure = failureOf(error, order.name, this.positions);
      }
    }
    if (failure) return this.failed(failure);
    const user_expressions: Record<string, Json> = {};
    for (const [name, code] of Object.entries(order.user_expressions))
      user_expressions[name] = await this.evaluate(String(code), order.name);
    return { content: { status: "ok", payload: [], user_expressions }, shown };
  }

  private failed({ ename, evalue, traceback, at }: Failure): Answer {
    const content = { ename, evalue, traceback };
    this.output.publish("error", content, at ? { guplab: { line: at.line, column: at.column } } : {});
    return { content: { status: "error", ...content } };
  }

  /** What a user expression is, among a cell's names. */
  private async evaluate(code: string, cell: string): Promise<Json> {
    const outcome = await this.run(`(${code})`, `${cell} (${code})`);
    if (outcome.ok) return { status: "ok", data: await bundleOf(outcome.value?.is), metadata: {} };
    const { ename, evalue, traceback } = outcome.failure;
    return { status: "error", ename, evalue, traceback };
  }

  private async run(code: string, cell: string): Promise<Outcome> {
    this.cell = cell;
    this.source = code;
    this.converted = this.result = this.thrown = undefined;
    this.pending = [];
    this.positions.add(cell, code, undefined);
    if (this.isInterrupted) return { ok: false, failure: INTERRUPTED };
    try {
      const ok = await this.executor.execute(code);
      if (ok) await Promise.all(this.pending);
      if (ok) return { ok, value: this.result };
    } catch (error) {
      this.thrown = { is: error };
    }
    const { diagnostics = [] } = (this.converted as Converted | undefined) ?? {};
    if (diagnostics.length > 0)
      return { ok: false, failure: failureOfFindings(cell, diagnostics, this.positions) };
    const error = (this.thrown as { is: unknown } | undefined)?.is;
    const { code: errorCode } = (error ?? {}) as { code?: string };
    // The second is what a signal does to a cell that is at its first run.
    if (this.isInterrupted || errorCode === "ERR_SCRIPT_EXECUTION_INTERRUPTED")
      return { ok: false, failure: INTERRUPTED };
    return { ok: false, failure: failureOf(error, cell, this.positions) };
  }

  /** Run what a cell was compiled to, under the cell's name. */
  private runNamed(code: string, options: vm.RunningCodeOptions): unknown {
    this.positions.add(this.cell, this.source, this.compiler.maps());
    // tslab wraps a cell into a function, on the cell's first line.
    const [wrapper] = /^\((?:async )?function\(exports, require\) \{ /.exec(code) ?? [""];
    const named = { filename: this.cell, columnOffset: -wrapper.length, displayErrors: false };
    return vm.runInThisContext(code, { ...options, ...named });
  }

  private defineGlobals(): void {
    becomeKernel({ show: (bundle) => this.output.show("display_data", bundle, { transient: {} }) });
    const names = {
      display: (value: unknown, options: { display_id?: string; update?: boolean } = {}): void => {
        const { display_id, update } = options;
        if (update && display_id === undefined)
          throw new TypeError("display: update needs the display_id of what is to be replaced");
        const type = update ? "update_display_data" : "display_data";
        const transient: Json = display_id === undefined ? {} : { display_id };
        const bundle = bundleOf(value);
        if (bundle instanceof Promise)
          this.pending.push(bundle.then((data) => this.output.show(type, data, { transient })));
        else this.output.show(type, bundle, { transient });
      },
      clearOutput: (wait = false): void => this.output.publish("clear_output", { wait }),
      input: (prompt = "", { password = false } = {}): Promise<string> =>
        this.input(String(prompt), password),
    };
    for (const [name, value] of Object.entries(names))
      Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }

  private async input(prompt: string, password: boolean): Promise<string> {
    if (!this.allowsInput)
      throw new Error("input: who runs this notebook takes no input (allow_stdin is false)");
    if (this.inputs) throw new Error("input: another input is still waited for; await it first");
    try {
      return await new Promise<string>((resolve, reject) => {
        this.inputs = { resolve, reject };
        this.post({ kind: "input", prompt, password });
      });
    } finally {
      this.inputs = undefined;
      this.post({ kind: "no-input" });
    }
  }
}

/** tslab's executor, with a function of ours in the place of vm.runInThisContext, for cells alone. */
function loadExecutor(run: (code: string, options: vm.RunningCodeOptions) => unknown): CreateExecutor {
  const tslab = createRequire(createRequire(import.meta.url).resolve("tslab/package.json"));
  const loader = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown };
  const { _load } = loader;
  loader._load = (name, ...rest) => {
    if (name !== "vm") return _load(name, ...rest);
    const runInThisContext = (code: string, options?: vm.RunningCodeOptions) =>
      options?.breakOnSigint ? run(code, options) : vm.runInThisContext(code, options);
    return { ...vm, runInThisContext };
  };
  try {
    return (tslab("./dist/executor.js") as { createExecutor: CreateExecutor }).createExecutor;
  } finally {
    loader._load = _load;
  }
}

/** Cells import guplab from any folder: theirs is the one that the kernel is part of. */
function findGuplab(): void {
  const loader = Module as unknown as { _resolveFilename: (name: string, ...rest: unknown[]) => string };
  const { _resolveFilename } = loader;
  const file = join(packageRoot(), "dist", "src", "index.js");
  loader._resolveFilename = (name, ...rest) =>
    name === "guplab" ? file : _resolveFilename.call(loader, name, ...rest);
}
