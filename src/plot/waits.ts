/** Who waits for what at a moment, and who holds it: a graph whose circles are deadlocks, or hangs where not all are waits for locks. */
import { Graph, layout } from "@dagrejs/dagre";
import {
  type Arrow,
  type Box,
  clipped,
  diagram,
  filled,
  type Note,
  paragraph,
  SHEET,
  SIZE,
} from "./diagram.js";
import { COLOR, type Figure, type TextForm } from "./figure.js";
import { textWidth } from "./text.js";

export interface WaitTask {
  readonly name: string;
  /** Where it is; empty when it has finished. */
  readonly path: string;
  readonly step: string;
  /** "can move", "asleep", "waits", "held back", "hung" (it waits for ever), "dead" or "finished". */
  readonly state: string;
}

/** A lock, or something else that tasks wait for. */
export interface WaitThing {
  readonly name: string;
  readonly lock: boolean;
  /** What else is known of who holds it; empty when there is nothing to say. */
  readonly note: string;
  /** Numbers of tasks: who holds the lock; of what is no lock, who can end the wait, as far as that is known. */
  readonly heldBy: readonly number[];
  /** Numbers of tasks. */
  readonly wantedBy: readonly number[];
}

export interface WaitStory {
  /** "tick 44". */
  readonly moment: string;
  /** "kara-2018 on v4.20". */
  readonly run: string;
  readonly replay: string;
  readonly tasks: readonly WaitTask[];
  readonly things: readonly WaitThing[];
  /** Tasks that wait for each other in a circle, in the order in which they wait. */
  readonly circles: readonly (readonly number[])[];
  /** Nobody can move any more, and not everybody has come to his end: what is waited for does not come. */
  readonly still: boolean;
}

interface Link {
  readonly from: string;
  readonly to: string;
  readonly says: "waits for" | "is held by" | "can be ended by";
  /** A part of a circle, or of a wait that cannot end. */
  readonly fatal: boolean;
}

const taskId = (task: number): string => `task ${task}`;
const thingId = (thing: number): string => `thing ${thing}`;

/** Whether a task will never give back what it holds. */
const isLost = ({ state }: WaitTask): boolean => ["hung", "dead", "finished"].includes(state);

function linksOf({ tasks, things, circles, still }: WaitStory): Link[] {
  const circled = new Set(circles.flat());
  return things.flatMap(({ lock, heldBy, wantedBy }, nr) => {
    const lost = (task: number): boolean => still || isLost(tasks[task]) || circled.has(task);
    const ends = lock ? heldBy.some(lost) : heldBy.length > 0 && heldBy.every(lost);
    const stuck = still ? wantedBy.length > 0 : ends && wantedBy.some(lost);
    return [
      ...wantedBy.map(
        (task): Link => ({
          from: taskId(task),
          to: thingId(nr),
          says: "waits for",
          fatal: stuck && lost(task),
        }),
      ),
      ...heldBy.map(
        (task): Link => ({
          from: thingId(nr),
          to: taskId(task),
          says: lock ? "is held by" : "can be ended by",
          fatal: stuck && lost(task),
        }),
      ),
    ];
  });
}

/** Tasks that have to do with any of it. */
const concerned = ({ things }: WaitStory): number[] =>
  [...new Set(things.flatMap(({ heldBy, wantedBy }) => [...heldBy, ...wantedBy]))].sort((a, b) => a - b);

const NODE = { width: 196, height: 58 };
const STILL = "Nobody can move any more, and what is waited for does not come";
const QUIET = "Nobody waits for anything, and nobody holds a lock.";

/** What a task's box says of its state. */
const stateOf = ({ state }: WaitTask): string => (state === "hung" ? "waits for ever" : state);

/**
 * The tasks that wait or hold something, and between them what they wait for and hold: an arrow leads from a task to what it waits for,
 * from a lock to who holds it, and from what is no lock to who can end it. What can never end is drawn thick; so is a circle, which is a
 * deadlock where all wait for locks, and else a hang, as outcomes call them.
 *
 * @example session.report().plot.waits().kind // "waits"
 */
export function waits(story: WaitStory): Figure {
  const { tasks, things, moment, run, replay } = story;
  const links = linksOf(story);
  const placed = place(story, links);
  const boxes: Box[] = [];
  const notes: Note[] = [];
  for (const task of concerned(story)) {
    const { x, y, width } = placed.at(taskId(task));
    const lost = isLost(tasks[task]);
    boxes.push({
      x,
      y,
      width,
      height: NODE.height,
      fill: tasks[task].state === "dead" || tasks[task].state === "finished" ? COLOR.grey : "#DCEAF5",
      border: lost ? COLOR.vermillion : COLOR.dim,
      thick: lost ? 2.5 : 1,
    });
    notes.push(...taskNotes(tasks[task], x, y, width));
  }
  things.forEach(({ name, lock, note }, nr) => {
    const { x, y, width } = placed.at(thingId(nr));
    const words = paragraph(note === "" ? name : `${name}, ${note}`, width - 16);
    boxes.push({
      x,
      y,
      width,
      height: NODE.height,
      fill: lock ? "#FBF3C0" : "#FFFFFF",
      border: COLOR.dim,
      dash: lock ? "solid" : "dash",
    });
    notes.push({ text: words.text, x: x + width / 2, y: y + NODE.height / 2, anchor: "center" });
  });
  if (boxes.length === 0) notes.push({ text: QUIET, x: 0, y: 14, size: SIZE.head });
  const key = legend(placed.height + 26, links, things);
  return diagram({
    kind: "waits",
    title: `Who waits for whom, at ${moment}`,
    subtitle: run,
    height: boxes.length === 0 ? 40 : key.bottom,
    boxes: [...boxes, ...key.boxes],
    arrows: [...placed.arrows, ...key.arrows],
    notes: [...notes, ...key.notes],
    caption: captionOf(story),
    replay,
    text: textOf(story),
  });
}

function taskNotes(task: WaitTask, x: number, y: number, width: number): Note[] {
  const { name, path, step } = task;
  const place = path === "" ? "" : path === step ? path : `${path}: ${step}`;
  const state = stateOf(task);
  const room = width - 24 - textWidth(state, SIZE.small);
  return [
    { text: clipped(name, room, SIZE.head), x: x + 9, y: y + 14, size: SIZE.head },
    { text: state, x: x + width - 8, y: y + 14, anchor: "right", size: SIZE.small, color: COLOR.dim },
    { text: fitted(place, width - 18), x: x + 9, y: y + 24, at: "top", size: SIZE.small },
  ];
}

/** Words in two lines of at most `width` pixels. */
function fitted(words: string, width: number): string {
  const [first = "", ...rest] = paragraph(words, width, SIZE.small).text.split("<br>");
  const lines = rest.length === 0 ? [first] : [first, rest.join(" ")];
  return lines.map((line) => clipped(line, width, SIZE.small)).join("<br>");
}

const lineOf = ({ says, fatal }: Pick<Link, "says" | "fatal">): Omit<Arrow, "along"> => ({
  color: fatal ? COLOR.vermillion : says === "waits for" ? COLOR.dim : COLOR.ink,
  thick: fatal ? 3 : 1.5,
  dash: says === "waits for" ? "dash" : says === "is held by" ? "solid" : "dot",
});

/** Where everything lies: from left to right, or from top to bottom where that is too wide. */
function place(story: WaitStory, links: readonly Link[]) {
  const laid = (rankdir: "LR" | "TB") => {
    const graph = new Graph({ multigraph: true });
    graph.setGraph({ rankdir, nodesep: 26, ranksep: rankdir === "LR" ? 46 : 40, marginx: 2, marginy: 4 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const task of concerned(story)) graph.setNode(taskId(task), { ...NODE });
    story.things.forEach((_, nr) => {
      graph.setNode(thingId(nr), { ...NODE });
    });
    for (const { from, to, says } of links) graph.setEdge(from, to, {}, says);
    layout(graph);
    return graph;
  };
  const wide = laid("LR");
  const graph = (wide.graph().width ?? 0) <= SHEET ? wide : laid("TB");
  const { width = 1, height = 0 } = graph.graph();
  // More abreast than fit are drawn nearer to each other.
  const scale = Math.min(1, SHEET / width);
  return {
    height: Number.isFinite(height) ? height : 0,
    at: (id: string) => {
      const { x, y } = graph.node(id) as { x: number; y: number };
      const boxWidth = NODE.width * scale;
      return { x: x * scale - boxWidth / 2, y: y - NODE.height / 2, width: boxWidth };
    },
    arrows: links.map((link): Arrow => {
      const { points } = graph.edge(link.from, link.to, link.says) as { points: { x: number; y: number }[] };
      return { along: points.map(({ x, y }) => [x * scale, y] as const), ...lineOf(link) };
    }),
  };
}

function legend(y: number, links: readonly Link[], things: readonly WaitThing[]) {
  const boxes: Box[] = [];
  const arrows: Arrow[] = [];
  const notes: Note[] = [];
  let x = 4;
  const name = (text: string, room: number): void => {
    notes.push({ text, x: x + room, y, size: SIZE.small });
    x += room + 22 + textWidth(text, SIZE.small);
  };
  for (const [says, fatal, text] of [
    ["waits for", false, "waits for"],
    ["is held by", false, "is held by"],
    ["can be ended by", false, "can be ended by"],
    ["waits for", true, "waits for ever"],
    ["is held by", true, "and is never given back"],
    ["can be ended by", true, "by nobody but who waits himself"],
  ] as const) {
    if (!links.some((link) => link.says === says && link.fatal === fatal)) continue;
    arrows.push({
      along: [
        [x, y],
        [x + 36, y],
      ],
      ...lineOf({ says, fatal }),
    });
    name(text, 44);
  }
  for (const [lock, text] of [
    [true, "a lock"],
    [false, "something else to wait for"],
  ] as const) {
    if (!things.some((thing) => thing.lock === lock)) continue;
    boxes.push({
      x,
      y: y - 6,
      width: 20,
      height: 12,
      fill: lock ? "#FBF3C0" : "#FFFFFF",
      border: COLOR.dim,
      dash: lock ? "solid" : "dash",
    });
    name(text, 26);
  }
  return { boxes, arrows, notes, bottom: y + 14 };
}

/** What outcomes call a circle. */
const kindOf = ({ things }: WaitStory, circle: readonly number[]): "Deadlock" | "Hang" => {
  const waitsForLock = (task: number, holder: number): boolean =>
    things.some(({ lock, wantedBy, heldBy }) => lock && wantedBy.includes(task) && heldBy.includes(holder));
  return circle.every((task, at) => waitsForLock(task, circle[(at + 1) % circle.length]))
    ? "Deadlock"
    : "Hang";
};

const circleText = ({ tasks }: WaitStory, circle: readonly number[]): string =>
  [...circle, circle[0]].map((task) => tasks[task].name).join(" waits for ");

/** Each wait and each lock in a sentence. */
function sentences(story: WaitStory): string[] {
  const { tasks, things, circles, still } = story;
  const names = (all: readonly number[]): string =>
    all
      .map((task) =>
        isLost(tasks[task]) ? `${tasks[task].name} (${stateOf(tasks[task])})` : tasks[task].name,
      )
      .join(" and ");
  const said = things.map(({ name, lock, note, heldBy, wantedBy }) => {
    const ends = lock ? `held by ${names(heldBy)}` : `which ${names(heldBy)} can end`;
    const holders = heldBy.length > 0 ? ends : note;
    if (wantedBy.length === 0) return `${name} is ${holders === "" ? "held" : holders}`;
    return `${names(wantedBy)} ${wantedBy.length === 1 ? "waits" : "wait"} for ${name}${holders === "" ? "" : `, ${holders}`}`;
  });
  const ends = [
    ...circles.map((circle) => `${kindOf(story, circle)}: ${circleText(story, circle)}`),
    ...(still ? [STILL] : []),
  ];
  return [...said.map((text) => text.replace(/^the /, "The ")), ...ends].map((text) => `${text}.`);
}

function captionOf(story: WaitStory): string {
  if (story.things.length === 0) return `${QUIET} The tasks that sleep have nothing to do.`;
  return (
    "An arrow leads from a task to what it waits for, dashed, from a lock to the task that holds it, and from what is no lock to whoever can end it, dotted; thick is what can never end. " +
    sentences(story).join(" ")
  );
}

/** The same as an indented list: each wait, and below it who holds what is wanted. */
function textOf(story: WaitStory): TextForm {
  const { tasks, things, circles } = story;
  return ({ columns, paint }) => {
    const lines: string[] = [];
    const say = (head: string, words: string, fatal: boolean): void => {
      for (const line of filled(head, words, columns))
        lines.push(fatal ? paint(line, COLOR.vermillion) : line);
    };
    const describe = (task: number): string => {
      const { name, path, step } = tasks[task];
      return `${name} [${stateOf(tasks[task])}]${path === "" ? "" : ` in ${path}: ${step}`}`;
    };
    /** What a task waits for, and so on along the graph; `above` are the tasks that led here. */
    const told = new Set<number>();
    const follow = (task: number, depth: number, above: readonly number[]): void => {
      told.add(task);
      things.forEach(({ name, lock, note, heldBy, wantedBy }) => {
        if (!wantedBy.includes(task)) return;
        const fatal = isLost(tasks[task]);
        say(`${"  ".repeat(depth)}└ waits for `, name, fatal);
        if (note !== "") say(`${"  ".repeat(depth + 1)}└ `, note, false);
        for (const holder of heldBy) {
          const words = above.includes(holder)
            ? `${tasks[holder].name}: this is a circle`
            : told.has(holder)
              ? `${tasks[holder].name}, as said above`
              : describe(holder);
          say(`${"  ".repeat(depth + 1)}└ ${lock ? "held" : "can be ended"} by `, words, fatal);
          if (!told.has(holder)) follow(holder, depth + 2, [...above, holder]);
        }
      });
    };
    for (const task of concerned(story)) {
      if (told.has(task) || !things.some(({ wantedBy }) => wantedBy.includes(task))) continue;
      say("", describe(task), isLost(tasks[task]));
      follow(task, 0, [task]);
    }
    for (const { name, note, heldBy, wantedBy } of things)
      if (wantedBy.length === 0)
        say(
          "",
          `${name}: ${heldBy.length > 0 ? `held by ${heldBy.map(describe).join(" and ")}` : note}; nobody waits for it`,
          false,
        );
    for (const circle of circles)
      say(`${kindOf(story, circle).toUpperCase()}: `, circleText(story, circle), true);
    if (story.still) say("HANG: ", `${STILL}.`, true);
    return lines.length === 0 ? filled("", QUIET, columns) : lines;
  };
}
