/** A search, an explanation, a bisection or random walks in a thread of its own, so that the prompt lives on and it can be interrupted. */
import { parentPort, workerData } from "node:worker_threads";
import type { Bisected, BisectRequest, Searched, SearchRequest, Walked, WalkRequest } from "../lab/desk.js";
import { type ExploreOptions, explore } from "../lab/explore.js";
import { bisect } from "../lab/kernels.js";
import { isFault } from "../lab/outcomes.js";
import { type Studied, type StudyRequest, study } from "../lab/study.js";
import { walks } from "../lab/walks.js";
import { replayWith, workbench } from "../lab/workbench.js";
import { type FixRequest, loadPatch } from "./fix.js";
import { Meter } from "./meter.js";

/** What the thread is started with. `stop` is one Int32: when it becomes more, what is being done ends, with what there is. */
export interface SearchOrder {
  readonly explore?: SearchRequest;
  readonly bisect?: BisectRequest;
  readonly walk?: WalkRequest;
  readonly study?: StudyRequest;
  readonly fix?: FixRequest;
  readonly stop: SharedArrayBuffer;
}

/** What it says: how far it is, what it found, or why it could not. */
export type Said =
  | { readonly seen: string }
  | { readonly found: Searched | Bisected | Walked | Studied }
  | { readonly failed: string };

const order = workerData as SearchOrder;
const stopped = new Int32Array(order.stop);
let heeded = 0;
const goOn = (): boolean => {
  const asked = Atomics.load(stopped, 0);
  if (asked === heeded) return true;
  heeded = asked;
  return false;
};
const say = (said: Said): void => parentPort?.postMessage(said);
const meter = new Meter(() => performance.now());
let about = "";

const progress: NonNullable<ExploreOptions["progress"]> = ({ states, frontier, depth, found, again }) => {
  const met = found.length > 0 ? `; found: ${found.join(", ")}` : "";
  const extent =
    again === undefined
      ? meter.line({ states, frontier, depth })
      : `${states} states, every step made again: ${Math.floor(100 * again)} %`;
  say({ seen: `${about}${states > 0 ? `${extent}${met}` : ""}` });
  return goOn();
};

try {
  if (order.explore) {
    const { scenario, maxMemory, maxSeconds, ...rest } = order.explore;
    const end = maxSeconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + 1000 * maxSeconds;
    const verdict = explore(scenario, {
      ...rest,
      maxBytes: maxMemory === undefined ? undefined : maxMemory * 2 ** 20,
      overdue: () => performance.now() > end,
      progress,
    });
    say({ found: { text: String(verdict), report: verdict.toJSON() } });
  }
  if (order.walk) {
    const made = walks(order.walk.scenario, {
      ...order.walk,
      progress: ({ strategy, walks: done, steps }) => {
        say({ seen: `${strategy}: ${done} walks, ${steps} steps` });
        return goOn();
      },
    });
    say({ found: { text: String(made), report: made.toJSON(), faulty: made.faulty } });
  }
  if (order.study) {
    const doing = (what: string): boolean => {
      say({ seen: what });
      return goOn();
    };
    say({ found: study(order.study, progress, doing) });
  }
  if (order.fix) {
    const { file, kernel, workloads, maxStates, replay } = order.fix;
    const patch = await loadPatch(file);
    if (replay !== undefined) {
      const again = replayWith(patch, replay);
      const faulty = again.outcomes.some((kind) => kind !== "OK" && isFault(kind));
      say({ found: { text: String(again), report: again.toJSON(), code: faulty ? 3 : 0 } });
    } else {
      const made = workbench(patch, {
        kernel,
        workloads,
        maxStates,
        progress: (seen) => {
          about = `${seen.workload} on ${seen.kernel}: `;
          return progress(seen);
        },
      });
      say({ found: { text: String(made), report: made.toJSON(), code: made.faulty ? 3 : 0 } });
    }
  }
  if (order.bisect) {
    const { scenario, good, bad, maxStates, runs } = order.bisect;
    const searching = (kernel: string): void => {
      about = `${kernel}: `;
    };
    const bisection = bisect(scenario, good, bad, { maxStates, runs, progress, searching });
    say({ found: { text: String(bisection), report: bisection.toJSON() } });
  }
} catch (error) {
  if (!(error instanceof Error) || error.name !== "Error") throw error;
  say({ failed: error.message });
}
