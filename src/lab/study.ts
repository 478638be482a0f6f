/** Explanations as requests and answers that can go to another thread and come back: what a host does for the verbs. */
import { article } from "./article.js";
import { check } from "./certificate.js";
import { danger } from "./danger.js";
import { type DriverOptions, driver } from "./driver.js";
import type { ExploreOptions } from "./explore.js";
import { liveness } from "./liveness.js";
import { orderings } from "./orderings.js";
import { promela } from "./promela.js";
import { type RateOptions, rate } from "./rate.js";
import { safety } from "./safety.js";

export interface StudyRequest {
  readonly what:
    | "danger"
    | "orderings"
    | "liveness"
    | "safety"
    | "check"
    | "promela"
    | "rate"
    | "article"
    | "driver";
  /** A scenario with its parameters, a replay line, the text of a certificate, the number of a claim, or a driver's calls. */
  readonly of: string;
  readonly kernel: string;
  /** For danger, a kind of fault; undefined: the worst. */
  readonly kind: string | undefined;
  /** Undefined: as many as fit into explore()'s memory. */
  readonly maxStates: number | undefined;
  /** For rate: its times, and how to find out. */
  readonly rate?: Omit<RateOptions, "doing" | "kind">;
  /** For a driver: on what it is tried. */
  readonly driver?: Pick<DriverOptions, "kernels" | "scenarios">;
}

export interface Studied {
  readonly text: string;
  readonly report: unknown;
  /** 3 when a fault was found. */
  readonly code: 0 | 3;
}

/**
 * Do what a request asks.
 *
 * @param doing called now and then with what is being done, where it is no search; returning false ends it
 * @throws Error with one sentence when it does not fit
 */
export function study(
  { what, of, kernel, kind, maxStates, rate: how, driver: on }: StudyRequest,
  progress?: ExploreOptions["progress"],
  doing?: (what: string) => boolean,
): Studied {
  if (what === "rate") {
    const made = rate(of, { ...how, kernel, kind, maxStates, progress, doing });
    return { text: String(made), report: made.toJSON(), code: made.verdict === "never" ? 0 : 3 };
  }
  if (what === "driver") {
    const told = driver(of, {
      ...on,
      maxStates,
      progress: (seen) => doing?.(`${seen.scenario} on ${seen.kernel}: ${seen.states} states`) ?? true,
    });
    return { text: String(told), report: told.toJSON(), code: told.faulty ? 3 : 0 };
  }
  if (what === "check") {
    const checked = check(
      of,
      (seen) => progress?.({ ...seen, transitions: 0, frontier: 0, found: [] }) ?? true,
    );
    return { text: String(checked), report: checked.toJSON(), code: checked.confirmed ? 0 : 3 };
  }
  if (what === "article") {
    const told = article(Number(of), { maxStates, progress });
    return { text: String(told), report: told.toJSON(), code: told.holds === false ? 3 : 0 };
  }
  if (what === "promela")
    return { text: promela(of, { kernel, maxStates, progress }), report: null, code: 0 };
  if (what === "liveness") {
    const told = liveness(of, { kernel, maxStates, progress });
    const code = told.endless.some(({ certain }) => certain) ? 3 : 0;
    return { text: String(told), report: told.toJSON(), code };
  }
  if (what === "safety") {
    const told = safety(of, { kernel, maxStates, progress });
    return { text: String(told), report: told.toJSON(), code: told.verdict === "fault" ? 3 : 0 };
  }
  const made =
    what === "danger"
      ? danger(of, { kind, maxStates, progress })
      : orderings(of, { kernel, maxStates, progress });
  return { text: String(made), report: made.toJSON(), code: 3 };
}
