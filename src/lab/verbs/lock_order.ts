/** The verb that shows in which order the tasks of a world can take locks. */
import { type LockEdge, lockReportText } from "../../machine/lockdep.js";
import { blocks, columns } from "../text.js";
import { result, type Verb, verb } from "./verb.js";

const place = (stack: readonly string[], step: string): string => `${stack.slice(-2).join(" > ")}: ${step}`;

const row = ({ held, taken, takenAt }: LockEdge): string[] => [
  `  ${held.name}`,
  `-> ${taken.name}`,
  place(takenAt.stack, takenAt.step),
];

/** What lockdep says. */
export const lockdepVerb: Verb = verb({
  name: "lockdep",
  help: "The orders in which the tasks here can take locks, and what is wrong with them",
  details: [
    "Every way through every path is followed, whether a run takes it or not. A lock on the left is held where the one on the right is taken; the place is the first one found. Locks that nobody here can ever have to wait for are shown too, though taking them is no step of its own.",
    "A report says what can go wrong: two tasks that take the same locks in different orders, or one that may sleep under a spinlock.",
  ],
  example: "lockdep",
  run: (desk) => {
    const { edges, reports } = desk.world.lockdep;
    const words = desk.world.machine.image.locks.map(({ name }) => name);
    const { names } = desk.world.kernel;
    const site = ({ stack, step }: LockEdge["heldAt"]) => ({
      stack: stack.map(names.path),
      step: names.text(step),
    });
    const reported = reports.map((each) => names.text(lockReportText(each)));
    return result(
      blocks(
        edges.length > 0
          ? columns(edges.map((edge) => row(edge).map(names.text)))
          : "Nobody here takes two locks at once.",
        words.length > 0
          ? `Somebody may have to wait for: ${words.map(names.text).join(", ")}.`
          : "Of the semaphores, nobody here ever waits for one.",
        ...(reports.length > 0 ? reported : ["Nothing is wrong with these orders."]),
      ),
      {
        orders: edges.map(({ held, taken, heldAt, takenAt }) => ({
          held: names.text(held.name),
          taken: names.text(taken.name),
          heldAt: site(heldAt),
          takenAt: site(takenAt),
        })),
        contended: words.map(names.text),
        reports: reported,
      },
      reports,
    );
  },
});
