/** The words in which the simulated kernel's paths are written: pathLanguage for this kernel. */
import { type Node, pathLanguage } from "../machine/path.js";
import type { Config } from "./config.js";
import type { Kernel } from "./kernel.js";

const words = pathLanguage<Kernel>();

export const {
  path,
  step,
  wait,
  pause,
  held,
  heldIf,
  local,
  when,
  given,
  check,
  loop,
  repeat,
  choose,
  branch,
  label,
  goto,
  leave,
  call,
  dispatch,
  down_read,
  down_read_non_owner,
  up_read,
  up_read_non_owner,
  down_write,
  up_write,
  under,
  takes,
  tries,
  gives,
  awaits,
  lockdep_assert_held,
  lockdep_assert_not_held,
} = words;

/** Nodes that a machine has only when its configuration names the option, and others that it has when not. */
export const config = <F>(
  option: Config,
  then: readonly Node<Kernel, F>[],
  otherwise: readonly Node<Kernel, F>[] = [],
): Node<Kernel, F> => words.config(option, then, otherwise);
