/** What Node does for the verbs: files, the terminal's size, and searches in a thread of their own. */
import { readFileSync } from "node:fs";
import type { Desk, Host, Searched, SearchRequest } from "../lab/desk.js";
import type { Result } from "../lab/verbs/verb.js";
import { NotebookError, writeWhole } from "../notebook/format.js";
import type { SearchOrder } from "./explore-worker.js";
import { runScript } from "./shell.js";

/** How far a search has come. */
export interface Progress {
  readonly states: number;
  readonly transitions: number;
  readonly frontier: number;
  readonly depth: number;
}

export class NodeHost implements Host {
  private stop: Int32Array | null = null;

  /** @param progress told now and then how far a search is */
  constructor(public progress: (seen: Progress) => void = () => {}) {}

  get columns(): number {
    return process.stdout.columns ?? 100;
  }

  get rows(): number {
    return process.stdout.rows ?? 24;
  }

  get color(): boolean {
    return process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  }

  write(path: string, text: string): void {
    try {
      writeWhole(path, text);
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
    const { plotlyLoader } = await import("../notebook/plotly.js");
    return plotlyLoader().replace(/^<script>|<\/script>$/g, "");
  }

  script(desk: Desk, lines: string): Promise<Result> {
    return runScript(desk, lines);
  }

  async explore(request: SearchRequest): Promise<Searched> {
    const { Worker } = await import("node:worker_threads");
    const stop = new SharedArrayBuffer(4);
    const workerData: SearchOrder = { ...request, stop };
    const worker = new Worker(new URL("./explore-worker.js", import.meta.url), { workerData });
    this.stop = new Int32Array(stop);
    try {
      return await new Promise<Searched>((resolve, reject) => {
        worker.on("message", (message: { seen: Progress } | { searched: Searched }) => {
          if ("seen" in message) this.progress(message.seen);
          else resolve(message.searched);
        });
        worker.on("error", reject);
      });
    } finally {
      this.stop = null;
      await worker.terminate();
    }
  }

  /** End a search that is under way; gives whether there was one. */
  interrupt(): boolean {
    if (this.stop === null) return false;
    Atomics.store(this.stop, 0, 1);
    return true;
  }
}
