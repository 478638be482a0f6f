/** A search in a thread of its own, so that the prompt lives on and the search can be interrupted. */
import { parentPort, workerData } from "node:worker_threads";
import type { SearchRequest } from "../lab/desk.js";
import { explore } from "../lab/explore.js";

/** What the thread is started with. `stop` is one Int32; a 1 in it ends the search. */
export interface SearchOrder extends SearchRequest {
  readonly stop: SharedArrayBuffer;
}

const { scenario, kernel, maxStates, stop } = workerData as SearchOrder;
const stopped = new Int32Array(stop);
const verdict = explore(scenario, {
  kernel,
  maxStates,
  progress: (seen) => {
    parentPort?.postMessage({ seen });
    return Atomics.load(stopped, 0) === 0;
  },
});
parentPort?.postMessage({ searched: { text: String(verdict), report: verdict.toJSON() } });
