/** Tasks that call one path once, and what it gave them. */

import type { Kernel } from "../../../src/kernel/kernel.js";
import { local, path } from "../../../src/kernel/language.js";
import { int } from "../../../src/kernel/types.js";
import type { Path } from "../../../src/machine/path.js";
import type { Actor } from "../harness.js";

/** A task that calls a path with these arguments; what it gives is appended to `answers`. */
export function ask(target: Path<Kernel>, args: readonly number[], answers: number[] = []): Actor {
  const names = Object.fromEntries(Object.keys(target.args).map((name) => [name, name]));
  const into = target.returns ? "answer" : null;
  return {
    path: path("ask", { source: "a test", args: target.args, locals: { answer: int } }, [
      { op: "call", callee: () => target, args: names, into },
      local((_, f) => {
        answers.push((f as { answer: number }).answer);
      }),
    ]),
    args,
    ends: true,
  };
}
