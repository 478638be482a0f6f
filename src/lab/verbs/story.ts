/** The guided crash. */
import { allMoments, momentText, nextMoment } from "../guide.js";
import { oneOf, optional, result, verb } from "./verb.js";

export const guide = verb({
  name: "guide",
  help: "Walk through the article's crash, a moment at a time",
  details: [
    "Each guide goes on to the next moment, and stops there: look with page 0, tasks and diff. After the last it begins again. guide all tells the whole story.",
  ],
  example: "guide all",
  args: { how: optional(oneOf("way through the story", ["all"]), "all: the whole story at once") },
  run: (desk, { how }) => {
    const width = Math.min(100, desk.host.columns);
    if (how === undefined) {
      const moment = nextMoment(desk);
      const next = moment.chapter < moment.of ? "guide goes on" : "guide begins again";
      const text = `${momentText(moment, width)}\n     (look around: page 0, tasks, diff; ${next})`;
      return result(text, moment, moment.last.faults);
    }
    const moments = allMoments(desk);
    return result(
      [...moments.map((moment) => momentText(moment, width)), `replay: ${desk.world.replay}`].join("\n"),
      { moments, replay: desk.world.replay },
      desk.world.k.faults,
    );
  },
});
