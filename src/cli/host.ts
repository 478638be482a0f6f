/** What Node does for the verbs: files, the terminal's size, and searches in a thread of their own. */
import { readFileSync } from "node:fs";
import type {
  Bisected,
  BisectRequest,
  Desk,
  Host,
  Searched,
  SearchRequest,
  Walked,
  WalkRequest,
} from "../lab/desk.js";
import type { Studied, StudyRequest } from "../lab/study.js";
import type { Result } from "../lab/verbs/verb.js";
import { NotebookError, writeWhole } from "../notebook/format.js";
import type { Said, SearchOrder } from "./explore-worker.js";
import type { FixRequest } from "./fix.js";
import { runScript } from "./shell.js";

export class NodeHost implements Host {
  private stop: Int32Array | null = null;

  /** @param progress told now and then how far a search is */
  constructor(public progress: (seen: string) => void = () => {}) {}

  get columns(): number {
    return process.stdout.columns ?? 100;
  }

  get rows(): number {
    return process.stdout.rows ?? 24;
  }

  get color(): boolean {
    return process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  }

  write(path: string, content: string | Uint8Array): void {
    try {
      writeWhole(path, content);
    } catch (error) {
      throw error instanceof NotebookError ? new Error(error.message) : error;
    }
  }

  read(path: string): string {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const why =
        code === "ENOENT"
          ? "there is no such file"
          : code === "EISDIR"
            ? "it is a folder"
            : "permission denied";
      throw new Error(`${path} cannot be read: ${why}`);
    }
  }

  async plotly(): Promise<string> {
    const { plotlyScript } = await import("../notebook/plotly.js");
    return plotlyScript();
  }

  async png(svg: string): Promise<Uint8Array> {
    return (await import("../notebook/png.js")).svgToPng(svg);
  }

  script(desk: Desk, lines: string): Promise<Result> {
    return runScript(desk, lines);
  }

  explore(request: SearchRequest): Promise<Searched> {
    return this.inThread<Searched>({ explore: request });
  }

  walk(request: WalkRequest): Promise<Walked> {
    return this.inThread<Walked>({ walk: request });
  }

  study(request: StudyRequest): Promise<Studied> {
    return this.inThread<Studied>({ study: request });
  }

  bisect(request: BisectRequest): Promise<Bisected> {
    return this.inThread<Bisected>({ bisect: request });
  }

  /** Try a patch of somebody's own; may be interrupted. @throws Error with one sentence */
  fix(request: FixRequest): Promise<Studied> {
    return this.inThread<Studied>({ fix: request });
  }

  private async inThread<T>(order: Omit<SearchOrder, "stop">): Promise<T> {
    const { Worker } = await import("node:worker_threads");
    const stop = new SharedArrayBuffer(4);
    const workerData: SearchOrder = { ...order, stop };
    const worker = new Worker(new URL("./explore-worker.js", import.meta.url), { workerData });
    this.stop = new Int32Array(stop);
    try {
      return await new Promise<T>((resolve, reject) => {
        worker.on("message", (said: Said) => {
          if ("seen" in said) this.progress(said.seen);
          else if ("failed" in said) reject(new Error(said.failed));
          else resolve(said.found as T);
        });
        worker.on("error", reject);
      });
    } finally {
      this.stop = null;
      this.progress("");
      await worker.terminate();
    }
  }

  /** End a search that is under way, or what is made of its answer; gives whether there was one. */
  interrupt(): boolean {
    if (this.stop === null) return false;
    Atomics.add(this.stop, 0, 1);
    return true;
  }
}

/** A host that tells how far it is, on a terminal, and ends what it does at Ctrl-C. */
export function interruptible(): NodeHost {
  const { isTTY } = process.stderr;
  const host = new NodeHost((seen) => {
    if (isTTY) process.stderr.write(`\r\x1b[K${seen}`);
  });
  process.once("SIGINT", () => host.interrupt());
  return host;
}
