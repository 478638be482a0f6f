/** A linker whose images say which of their steps have run. */
import type { AnyPath } from "../../src/machine/patch.js";
import type { Path } from "../../src/machine/path.js";
import { type Image, type Instruction, link } from "../../src/machine/program.js";
import type { Catalogue } from "./catalogue.js";

/** An instruction says once that it runs, and is as before from then on. */
function mark(instruction: Instruction, key: string, marks: Set<string>): void {
  const { run } = instruction;
  instruction.run = (k, f) => {
    marks.add(key);
    instruction.run = run;
    return run(k, f);
  };
}

/** What `link` gives, with each step of the catalogue made to leave its key in `marks` when it runs. */
export function linkMarked(
  catalogue: Catalogue,
  marks: Set<string>,
  ...[roots, implementations = {}, options = {}]: Parameters<typeof link>
): Image {
  const { patched = (path: AnyPath) => path } = options;
  const image = link(roots, implementations, {
    ...options,
    patched: (path) => catalogue.keyed(patched(path) as Path<never>) as AnyPath,
  });
  for (const instruction of image.code) {
    const key = instruction.step;
    const known = catalogue.steps.get(key);
    if (known === undefined) continue;
    Object.assign(instruction, { step: known.step });
    if (!marks.has(key)) mark(instruction, key, marks);
  }
  return image;
}
