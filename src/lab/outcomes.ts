/** The outcomes of runs and searches: which of them are faults, and which is the worst. */
import type { FaultKind } from "../trace/recording.js";

/** Severity, worst first: which fault a verdict shows its witness for. */
export const SEVERITY: readonly FaultKind[] = [
  "BUG",
  "UAF",
  "INFOLEAK",
  "LOST",
  "TORN",
  "STALE",
  "DEADLOCK",
  "HANG",
  "ENOSPC",
  "LEAK",
  "WARN",
  "SLOW",
  "REFUSED",
];

/** Whether an outcome is a fault: a call that is refused, or slow, does what it says. */
export const isFault = (kind: FaultKind): boolean => kind !== "REFUSED" && kind !== "SLOW";
