/**
 * The standard workloads W1 to W18: small machines on which every kernel and every proposal can be tried, each with what
 * must not happen on it. The numbers and what each is about come from the mails and tables that discuss the problem; they are named
 * at each.
 */
import type { Scenario } from "../scenario.js";
import { counting } from "./counting.js";
import { holeFull } from "./full.js";
import { fsyncPinned, writeDuringWriteback } from "./integrity.js";
import { misuses } from "./misuse.js";
import { control, migrate, noRevoke, pressure, pvmWritev } from "./pressure.js";
import { forkWrite, roLongPrivate } from "./processes.js";
import { dioFlusher, dioReclaim, rdmaLong } from "./reclaim.js";
import { regDax, truncCache, truncDax } from "./truncation.js";

/** In the order of their numbers. */
export const workloads: readonly Scenario[] = [
  dioReclaim,
  dioFlusher,
  pvmWritev,
  rdmaLong,
  fsyncPinned,
  writeDuringWriteback,
  truncCache,
  truncDax,
  regDax,
  pressure,
  forkWrite,
  roLongPrivate,
  holeFull,
  misuses,
  counting,
  migrate,
  noRevoke,
  control,
];
