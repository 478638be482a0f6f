/**
 * The table of verbs: everything that can be said at the prompt, in a script or on a pipe. Parsing, completion and
 * help are made from it (src/cli/shell.ts); a verb reads its arguments, does one thing to the desk, and gives a text
 * and the same as JSON.
 *
 * A verb that cannot do what it is asked throws an Error with one sentence, and the desk is as it was.
 */
import { kernel, listKernels, listScenarios, scenario, seed } from "./choose.js";
import { bisect, danger, explore, liveness, orderings, plot, rate, safety, walk } from "./draw.js";
import { open, quit, save, source } from "./files.js";
import { helpFor } from "./help.js";
import { layout } from "./layout.js";
import { lockdepVerb } from "./lock_order.js";
import { counters, diff, faults, log, page, pages, paths, tasks, why } from "./look.js";
import { back, goto, replay, run, step, until } from "./move.js";
import { orders } from "./order.js";
import { powerCut } from "./power_cut.js";
import { listProposals } from "./proposals.js";
import { guide } from "./story.js";
import type { Verb } from "./verb.js";

/** Every verb, in the order of help. */
export const verbs: readonly Verb[] = [
  helpFor(() => verbs),
  guide,
  listScenarios,
  scenario,
  listKernels,
  kernel,
  listProposals,
  seed,
  run,
  step,
  until,
  back,
  goto,
  replay,
  tasks,
  pages,
  page,
  layout,
  log,
  faults,
  diff,
  why,
  counters,
  paths,
  lockdepVerb,
  powerCut,
  ...orders,
  explore,
  walk,
  danger,
  orderings,
  liveness,
  safety,
  rate,
  bisect,
  plot,
  save,
  open,
  source,
  quit,
];
