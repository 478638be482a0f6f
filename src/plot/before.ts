/**
 * Happens-before: the steps of a way to a fault between which an order matters, a lane for each task, and which of these orders every
 * way to the fault has.
 */
import { type Arrow, type Box, clipped, diagram, filled, type Note, SHEET, SIZE } from "./diagram.js";
import { COLOR, type Figure, type TextForm } from "./figure.js";
import { textWidth } from "./text.js";

/** A step of the way. */
export interface BeforeStep {
  readonly tick: number;
  readonly task: string;
  readonly path: string;
  readonly step: string;
}

/** That a step comes before another one, which touches the same cells. */
export interface BeforeOrder {
  readonly before: BeforeStep;
  readonly after: BeforeStep;
  readonly cells: readonly string[];
  /** Whether every way to the fault has it; null: not known. */
  readonly necessary: boolean | null;
}

export interface BeforeStory {
  /** Kind of the fault. */
  readonly kind: string;
  /** "kara-2018 on v4.20". */
  readonly run: string;
  readonly replay: string;
  readonly orderings: readonly BeforeOrder[];
  /** The step in which the fault happens. */
  readonly fault: BeforeStep;
  /** Steps of the whole way. */
  readonly steps: number;
}

interface Event extends BeforeStep {
  readonly lane: number;
  readonly row: number;
}

/** The steps that matter, in their order, and the lanes, first to move on the left. */
function eventsOf({ orderings, fault }: BeforeStory): { events: Event[]; lanes: string[] } {
  const steps = new Map<number, BeforeStep>();
  for (const { before, after } of orderings) for (const step of [before, after]) steps.set(step.tick, step);
  steps.set(fault.tick, fault);
  const sorted = [...steps.values()].sort((a, b) => a.tick - b.tick);
  const lanes = [...new Set(sorted.map(({ task }) => task))];
  return { events: sorted.map((step, row) => ({ ...step, row, lane: lanes.indexOf(step.task) })), lanes };
}

type Strength = "necessary" | "optional" | "unknown";
const strengthOf = (necessary: boolean | null): Strength =>
  necessary === null ? "unknown" : necessary ? "necessary" : "optional";

const LOOK: Readonly<Record<Strength, Omit<Arrow, "along"> & { readonly says: string }>> = {
  necessary: { color: COLOR.blue, thick: 3.5, dash: "solid", says: "in every way to the fault" },
  optional: { color: COLOR.dim, thick: 1.25, dash: "dash", says: "another way is without it" },
  unknown: { color: COLOR.dim, thick: 1.25, dash: "dot", says: "not known: the search was cut short" },
};

const GUTTER = 44;
const TOP = 34;
const ROW = 37;
const HEIGHT = 31;
/** Paper between a box and the edge of its lane: room for the arrows' heads. */
const ASIDE = 14;

/**
 * The steps of a way to a fault that have to be in an order, a lane for each task, time from top to bottom. An arrow leads from a step to one
 * of another task that touches the same thing later: thick where no way to the fault is without that order.
 *
 * @example orderings("cve-2020-29374").figure().kind // "before"
 */
export function beforeGraph(story: BeforeStory): Figure {
  const { kind, run, replay, orderings, fault } = story;
  const { events, lanes } = eventsOf(story);
  const width = (SHEET - GUTTER) / lanes.length;
  const box = { width: Math.min(260, width - 2 * ASIDE), height: HEIGHT };
  const middle = (lane: number): number => GUTTER + (lane + 0.5) * width;
  const top = (row: number): number => TOP + row * ROW;
  const at = new Map(events.map((event) => [event.tick, event]));
  const bottom = top(events.length);
  const rails = lanes.map(
    (_, lane): Arrow => ({
      along: [
        [middle(lane), TOP - 8],
        [middle(lane), bottom - 4],
      ],
      color: COLOR.grid,
      thick: 2,
      head: false,
    }),
  );
  const arrows = orderings.map(({ before, after, necessary }): Arrow => {
    const [from, to] = [at.get(before.tick) as Event, at.get(after.tick) as Event];
    const side = to.lane > from.lane ? 1 : -1;
    const end = (event: Event, towards: number): readonly [number, number] => [
      middle(event.lane) + (towards * box.width) / 2,
      top(event.row) + HEIGHT / 2,
    ];
    const { says: _, ...line } = LOOK[strengthOf(necessary)];
    return { along: [end(from, side), end(to, -side)], ...line };
  });
  // Faint ones below strong ones.
  arrows.sort((a, b) => a.thick - b.thick);
  const boxes = events.map((event): Box => {
    const isFault = event.tick === fault.tick;
    return {
      x: middle(event.lane) - box.width / 2,
      y: top(event.row),
      ...box,
      fill: isFault ? "#FBE0D0" : "#F4F8FB",
      border: isFault ? COLOR.vermillion : COLOR.dim,
      thick: isFault ? 2.5 : 1,
    };
  });
  const notes = events.flatMap((event) =>
    eventNotes(event, event.tick === fault.tick ? kind : "", middle(event.lane), top(event.row), box.width),
  );
  const heads = lanes.map(
    (name, lane): Note => ({
      text: clipped(name, width - 8, SIZE.head),
      x: middle(lane),
      y: 12,
      anchor: "center",
      size: SIZE.head,
    }),
  );
  const key = legend(bottom + 16, orderings);
  return diagram({
    kind: "before",
    title: `What has to come before what, on the way to ${kind}`,
    subtitle: run,
    height: key.bottom,
    boxes,
    arrows: [...rails, ...arrows, ...key.arrows],
    notes: [
      { text: "step", x: GUTTER - 12, y: 12, anchor: "right", size: SIZE.small, color: COLOR.dim },
      ...heads,
      ...notes,
      ...key.notes,
    ],
    caption: captionOf(story, events.length),
    replay,
    text: textOf(story),
  });
}

function eventNotes({ tick, path, step }: Event, fault: string, x: number, y: number, width: number): Note[] {
  const left = x - width / 2 + 7;
  const name = fault === "" ? step : `${fault}: ${step}`;
  return [
    {
      text: String(tick),
      x: GUTTER - 12,
      y: y + HEIGHT / 2,
      anchor: "right",
      size: SIZE.small,
      color: COLOR.dim,
    },
    { text: clipped(name, width - 12, SIZE.body), x: left, y: y + 10 },
    ...(path === step
      ? []
      : [
          {
            text: clipped(`in ${path}`, width - 12, SIZE.small),
            x: left,
            y: y + 23,
            size: SIZE.small,
            color: COLOR.dim,
          },
        ]),
  ];
}

function legend(y: number, orderings: readonly BeforeOrder[]) {
  const arrows: Arrow[] = [];
  const notes: Note[] = [];
  let x = GUTTER;
  for (const [strength, { says, ...line }] of Object.entries(LOOK)) {
    if (!orderings.some(({ necessary }) => strengthOf(necessary) === strength)) continue;
    arrows.push({
      along: [
        [x, y],
        [x + 40, y],
      ],
      ...line,
    });
    notes.push({ text: says, x: x + 48, y, size: SIZE.small });
    x += 74 + textWidth(says, SIZE.small);
  }
  return { arrows, notes, bottom: y + 14 };
}

const nameOf = ({ tick, task, step }: BeforeStep): string => `${task}'s ${step} (step ${tick})`;

function captionOf({ kind, orderings, steps }: BeforeStory, shown: number): string {
  const necessary = orderings.filter((order) => order.necessary === true);
  const list = necessary.map(({ before, after }) => `${nameOf(before)} before ${nameOf(after)}`).join("; ");
  return (
    `${shown} of the ${steps} steps of the shortest way to ${kind}: those that have to come before or after a step of another task, time from top ` +
    `to bottom. An arrow leads from a step to one that touches the same thing later. ${orderings.length} orders, ` +
    `${necessary.length} of them in every way to ${kind}${list === "" ? "" : `: ${list}`}.`
  );
}

/** What stands before an order in a terminal. */
const MARK: Readonly<Record<Strength, string>> = { necessary: "⇐", optional: "←", unknown: "‹" };

/** Names of tasks that are no longer than this head their lanes in a terminal. */
const LANE_NAME = 9;

/** The same as lanes of dots, a line a step, and below a step what comes before it. */
function textOf(story: BeforeStory): TextForm {
  const { kind, orderings, fault } = story;
  const { events, lanes } = eventsOf(story);
  const names = lanes.map((name) => (name.length > LANE_NAME ? `${name.slice(0, LANE_NAME - 1)}…` : name));
  const room = names.reduce((sum, name) => sum + name.length + 1, 0);
  return ({ columns, paint }) => {
    // Many lanes leave no room for their names beside the steps'.
    const tight = room > columns / 2;
    const widths = names.map((name) => (tight ? 2 : name.length + 1));
    const cells = (mark: (lane: number) => string): string =>
      widths.map((width, lane) => mark(lane).padEnd(width)).join("");
    const lines = tight
      ? filled("lanes: ", lanes.join(", "), columns)
      : [`${" ".repeat(6)}${cells((lane) => names[lane])}`];
    const indent = 6 + widths.reduce((sum, width) => sum + width, 0);
    for (const event of events) {
      const isFault = event.tick === fault.tick;
      const rails = cells((lane) => (lane === event.lane ? (isFault ? "✗" : "●") : "│"));
      const where = event.path === event.step ? event.step : `${event.path}: ${event.step}`;
      const words = filled("", isFault ? `${kind} in ${where}` : where, columns - indent);
      const empty = cells(() => "│");
      words.forEach((text, nr) => {
        const head = nr === 0 ? `${String(event.tick).padStart(4)}  ${rails}` : `${" ".repeat(6)}${empty}`;
        lines.push(`${head}${isFault ? paint(text, COLOR.vermillion) : text}`);
      });
      for (const { before, after, necessary, cells: touched } of orderings) {
        if (after.tick !== event.tick) continue;
        const strength = strengthOf(necessary);
        const what = touched.length > 1 ? `${touched[0]} …` : touched[0];
        const said = `after ${before.tick} ${before.task}${strength === "necessary" ? ", NECESSARY" : ""}: ${what}`;
        filled(`${MARK[strength]} `, said, columns - indent).forEach((text) => {
          lines.push(
            `${" ".repeat(6)}${empty}${strength === "necessary" ? paint(text, COLOR.blue) : paint(text, COLOR.dim)}`,
          );
        });
      }
    }
    const key = (Object.keys(LOOK) as Strength[])
      .filter((strength) => orderings.some(({ necessary }) => strengthOf(necessary) === strength))
      .map((strength) => `${MARK[strength]} ${LOOK[strength].says}`);
    return [...lines, ...filled("", key.join("; "), columns)];
  };
}
