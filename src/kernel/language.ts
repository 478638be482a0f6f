/** The words in which the simulated kernel's paths are written: pathLanguage for this kernel. */
import { pathLanguage } from "../machine/path.js";
import type { Kernel } from "./kernel.js";

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
} = pathLanguage<Kernel>();
