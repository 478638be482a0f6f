/**
 * The two owners: who believes at a moment that a page is dirty. On one side those who write the memory (CPUs through their PTEs,
 * devices), on the other those who save it (the mapping's tags, the filesystem's buffers, writeback), and between them PG_dirty,
 * the one bit by which they tell each other.
 */
import { pagesOf, type Recording } from "../trace/recording.js";
import { BUFFER_BIT, PTE_BIT, pg, TAG_BIT, WORD, type WordName } from "../trace/words.js";
import { type Arrow, type Box, diagram, filled, type Note, paragraph, SHEET, SIZE } from "./diagram.js";
import type { DirtyWords } from "./dirty.js";
import { COLOR, type Figure, type TextForm } from "./figure.js";
import { hex } from "./pins.js";

export interface OwnersStory {
  readonly pfn: number;
  /** "tick 44" or "1.203 s". */
  readonly moment: string;
  /** "kara-2018 on v4.20". */
  readonly run: string;
  readonly replay: string;
  /** The page's words; absent where nothing is known. */
  readonly words: DirtyWords;
  /** Whether the page's filesystem keeps buffers, and whether its mapping keeps tags: without them their absence says nothing. */
  readonly buffers: boolean;
  readonly tags: boolean;
  /** Generations of the bytes, part by part; null where nobody knows, or there is no disk. */
  readonly contents: {
    readonly memory: readonly number[];
    readonly disk: readonly number[];
    readonly newer: boolean;
  } | null;
}

/** One who has to do with the page's bytes, what he has noted, and whether that says "dirty"; null: it says nothing about it. */
interface Party {
  readonly name: string;
  readonly says: string;
  readonly dirty: boolean | null;
}

/** Something that does not fit together. `wrong`: bytes are at stake; else it is so for a while in every life of a page. */
export interface Misfit {
  readonly wrong: boolean;
  readonly text: string;
}

/** What the words say, bit by bit. */
function readOf({ words, buffers: keepsBuffers, tags: keepsTags, contents }: OwnersStory) {
  const { flags = 0, pte = 0, buffers = 0, tags = 0, device = 0, pins = 0, refcount } = words;
  const has = (word: number, bit: number): boolean => (word & bit) !== 0;
  return {
    here: refcount !== 0,
    dirty: has(flags, pg("dirty")),
    writeback: has(flags, pg("writeback")),
    locked: has(flags, pg("locked")),
    mapped: has(pte, PTE_BIT.present),
    writable: has(pte, PTE_BIT.write),
    pteDirty: has(pte, PTE_BIT.dirty),
    device: device !== 0,
    pins,
    attached: has(buffers, BUFFER_BIT.attached),
    bufferDirty: has(buffers, BUFFER_BIT.dirty | BUFFER_BIT.jbddirty),
    bufferBusy: has(buffers, BUFFER_BIT.async_write),
    delay: has(buffers, BUFFER_BIT.delay),
    unwritten: has(buffers, BUFFER_BIT.unwritten),
    block: has(buffers, BUFFER_BIT.mapped),
    tagged: has(tags, TAG_BIT.dirty | TAG_BIT.towrite),
    tagNames: Object.entries(TAG_BIT).flatMap(([name, bit]) => (has(tags, bit) ? [name] : [])),
    keepsBuffers,
    keepsTags,
    newer: contents?.newer ?? null,
  };
}

type Read = ReturnType<typeof readOf>;

const plural = (nr: number, what: string): string => `${nr} ${what}${nr === 1 ? "" : "s"}`;

/** Who writes the memory. */
function writers(r: Read, contents: OwnersStory["contents"]): Party[] {
  return [
    {
      name: "PTEs (CPUs)",
      says: !r.mapped
        ? "none: the next store faults"
        : `${r.pteDirty ? "dirty" : "not dirty"}, ${r.writable ? "writable: a store needs no fault" : "read-only: a store faults"}`,
      dirty: r.pteDirty ? true : null,
    },
    {
      name: "pins (drivers)",
      says: r.pins === 0 ? "none" : `${plural(r.pins, "pin")}: a device may write, and no fault tells`,
      dirty: null,
    },
    {
      name: "the device",
      says: r.device ? "has written, and nobody has said so" : "has written nothing that was not said",
      dirty: r.device ? true : null,
    },
    { name: "the bytes", says: bytesText(contents), dirty: r.newer && !r.writeback ? true : null },
  ];
}

/** Generations of the bytes in memory and on the disk. */
function bytesText(contents: OwnersStory["contents"]): string {
  if (contents === null) return "not compared with a disk";
  const { memory, disk, newer } = contents;
  return `generation ${memory.join(" ")} in memory, ${disk.join(" ")} on the disk${newer ? ": newer" : ""}`;
}

/** Who saves it. */
function savers(r: Read): Party[] {
  return [
    {
      name: "the mapping's tags (the flusher)",
      says: !r.keepsTags
        ? "not kept for this page"
        : r.tagNames.length === 0
          ? "none"
          : r.tagNames.join(", "),
      dirty: !r.keepsTags || (r.writeback && !r.tagged) ? null : r.tagged,
    },
    {
      name: "buffers (the filesystem)",
      says: !r.attached
        ? r.keepsBuffers
          ? "none: it has let go of the page"
          : "none, and none needed"
        : r.bufferBusy
          ? "being written"
          : r.bufferDirty
            ? "dirty"
            : "clean",
      dirty: r.bufferBusy || (!r.attached && !r.keepsBuffers) ? null : r.attached && r.bufferDirty,
    },
    {
      name: "its block on the disk",
      says: r.delay
        ? "promised: to be allocated when the page is written"
        : r.unwritten
          ? "allocated, to be marked written"
          : !r.attached
            ? "not known from the page"
            : r.block
              ? "there"
              : "none",
      dirty: r.delay ? true : null,
    },
    {
      name: "writeback",
      says: r.writeback ? "PG_writeback: the page is on its way to the disk" : "not under way",
      dirty: null,
    },
  ];
}

const RULES: readonly (Misfit & { readonly when: (r: Read) => boolean })[] = [
  {
    wrong: true,
    when: (r) => r.device && !r.dirty,
    text: "A device has written and PG_dirty is clear: writeback passes the page by, and reclaim may drop it.",
  },
  {
    wrong: true,
    when: (r) => r.dirty && r.keepsBuffers && !r.attached,
    text: "PG_dirty is set and the buffers are gone: the filesystem has nothing to write the page from.",
  },
  {
    wrong: true,
    when: (r) => r.dirty && r.keepsTags && !r.tagged,
    text: "PG_dirty is set and the mapping has no dirty tag: the flusher walks the tags, and does not find the page.",
  },
  {
    wrong: true,
    when: (r) => r.newer === true && !r.dirty && !r.writeback && !r.pteDirty && !r.device && !r.tagged,
    text: "Memory is newer than the disk, and nobody says that the page is dirty.",
  },
  {
    wrong: true,
    when: (r) => r.writeback && r.pins > 0,
    text: "The page is being written to the disk and is pinned: what a device writes meanwhile can be torn.",
  },
  {
    wrong: false,
    when: (r) => r.pteDirty && !r.dirty,
    text: "A PTE is dirty and PG_dirty is clear: the page hears of it when that PTE is cleaned or unmapped.",
  },
  {
    wrong: false,
    when: (r) => r.tagged && !r.dirty,
    text: "The mapping's tag says dirty and PG_dirty is clear: the flusher will come, look, and pass on.",
  },
  {
    wrong: false,
    when: (r) => r.dirty && r.attached && !r.bufferDirty && !r.bufferBusy,
    text: "PG_dirty is set and the buffers are clean: writeback will find nothing in them to write.",
  },
  {
    wrong: false,
    when: (r) => !r.dirty && r.bufferDirty && !r.bufferBusy,
    text: "Buffers are dirty and PG_dirty is clear: they are about to be written, or are the journal's.",
  },
  {
    wrong: false,
    when: (r) => r.pins > 0 && !r.dirty && !r.device,
    text: "The page is pinned and counts as clean: the filesystem will not hear of it when a device writes.",
  },
  {
    wrong: false,
    when: (r) => r.writable && !r.pteDirty && !r.dirty,
    text: "A PTE is writable and the page counts as clean: the filesystem will not hear of the next store.",
  },
];

/**
 * What does not fit together in what is noted about a page, the worst first.
 *
 * @example misfitsOf(ownersIn(recording, 0x9489)).every(({ text }) => text.endsWith(".")) === true
 */
export function misfitsOf(story: OwnersStory): Misfit[] {
  const read = readOf(story);
  return read.here ? RULES.filter(({ when }) => when(read)).map(({ wrong, text }) => ({ wrong, text })) : [];
}

/**
 * The words of a page at a moment of a recording; of a real kernel's nobody knows the bytes.
 *
 * @param at in the recording's unit; default its end
 * @throws Error when the recording has no such page, or the moment is not in it
 * @example ownersIn(recording, 0x9489).contents // null
 */
export function ownersIn(recording: Recording, pfn: number, at?: number): OwnersStory {
  const { info, length, time, word, value } = recording;
  if (!pagesOf(recording).includes(pfn)) throw new Error(`The recording never speaks of page frame ${pfn}.`);
  const [first, last] = [time[0], time[length - 1]];
  if (at !== undefined && !(at >= first && at <= last))
    throw new Error(`${at} is not in the recording, which goes from ${first} to ${last} (${info.timeUnit}).`);
  const words: Partial<Record<WordName, number>> = {};
  let buffers = false;
  let tags = false;
  const end = at ?? last;
  for (let i = 0; i < length; i++) {
    buffers ||= word[i] === WORD.buffers && (value[i] & BUFFER_BIT.attached) !== 0;
    tags ||= word[i] === WORD.tags && value[i] !== 0;
    if (recording.pfn[i] === pfn && time[i] <= end) words[NAMES[word[i]]] = value[i];
  }
  const moment = info.timeUnit === "s" ? `${end.toFixed(3)} s` : `tick ${end}`;
  return { pfn, moment, run: info.title, replay: info.replay, words, buffers, tags, contents: null };
}

const NAMES = Object.keys(WORD) as WordName[];

// ---- the sheet

const SIDE = 300;
const MIDDLE = { x: SIDE + 50, width: SHEET - 2 * (SIDE + 50) };
const BOX = { height: 54, gap: 10 };
const TOP = 26;

/** How a party stands to PG_dirty, with a sign that can be read without colour. */
function standing(party: boolean | null, dirty: boolean) {
  if (party === null) return { sign: "", color: COLOR.rule, dash: "dot", thick: 1.5 } as const;
  if (party === dirty) return { sign: "=", color: COLOR.blue, dash: "solid", thick: 2 } as const;
  return { sign: "≠", color: COLOR.vermillion, dash: "dash", thick: 2.5 } as const;
}

const FILL = { true: "#F8D5B5", false: "#DCEAF5", null: "#FFFFFF" } as const;
const fillOf = (dirty: boolean | null): string => FILL[`${dirty}`];
const wordOf = (dirty: boolean | null): string => (dirty === null ? "" : dirty ? "DIRTY" : "clean");
const setText = (bit: boolean): string => (bit ? "set" : "clear");

/** What the middle says below PG_dirty. */
const bitsOf = ({ words: { refcount } }: OwnersStory, { writeback, locked, pins }: Read): string[] => [
  `PG_writeback ${setText(writeback)}`,
  `PG_locked ${setText(locked)}`,
  ...(refcount === undefined ? [] : [plural(refcount, "reference")]),
  plural(pins, "pin"),
];

/**
 * Who believes that a page is dirty: a box for each who has noted something about it, orange where that says dirty and blue where it says
 * clean, joined to PG_dirty in the middle by "=" where they agree and "≠" where they do not.
 *
 * @example owners(ownersIn(recording, 0x9489)).kind // "owners"
 */
export function owners(story: OwnersStory): Figure {
  const read = readOf(story);
  const misfits = misfitsOf(story);
  const [left, right] = [writers(read, story.contents), savers(read)];
  const rows = left.length;
  const inner = rows * BOX.height + (rows - 1) * BOX.gap;
  const parties = left.flatMap((party, at) => {
    const y = TOP + at * (BOX.height + BOX.gap);
    return [partyOf(party, 0, y, read.dirty), partyOf(right[at], SHEET - SIDE, y, read.dirty)];
  });
  const told = sentences(misfits, read, TOP + inner + 22);
  const page = { x: MIDDLE.x, y: TOP, width: MIDDLE.width, height: inner };
  return diagram({
    kind: "owners",
    title: `Who believes that page ${hex(story.pfn)} is dirty, at ${story.moment}`,
    subtitle: story.run,
    height: told.bottom,
    boxes: [
      { ...page, fill: fillOf(read.dirty), border: COLOR.ink, thick: 2 },
      ...parties.flatMap(({ boxes }) => boxes),
    ],
    arrows: parties.map(({ arrow }) => arrow),
    notes: [
      heading("who writes the memory", SIDE / 2),
      heading("the page", SHEET / 2),
      heading("who saves it on the disk", SHEET - SIDE / 2),
      { text: `PG_dirty ${setText(read.dirty)}`, x: SHEET / 2, y: TOP + 34, anchor: "center", size: 20 },
      { text: bitsOf(story, read).join("<br>"), x: SHEET / 2, y: TOP + 62, at: "top", anchor: "center" },
      ...parties.flatMap(({ notes }) => notes),
      ...told.notes,
    ],
    caption: captionOf(story, [...left, ...right], read, misfits),
    replay: story.replay,
    text: textOf(story, left, right, read, misfits),
  });
}

const heading = (text: string, x: number): Note => ({
  text,
  x,
  y: 10,
  anchor: "center",
  size: SIZE.head,
  color: COLOR.dim,
});

/** A party's box at a place, joined to the middle. */
function partyOf({ name, says, dirty }: Party, x: number, y: number, pageDirty: boolean) {
  const { sign, ...line } = standing(dirty, pageDirty);
  const toRight = x < MIDDLE.x;
  const middle = y + BOX.height / 2;
  const [from, to] = toRight ? [x + SIDE, MIDDLE.x] : [x, MIDDLE.x + MIDDLE.width];
  const arrow: Arrow = {
    along: [
      [from, middle],
      [to, middle],
    ],
    ...line,
    head: false,
  };
  const boxes: Box[] = [{ x, y, width: SIDE, height: BOX.height, fill: fillOf(dirty), border: COLOR.dim }];
  const notes: Note[] = [
    { text: name, x: x + 9, y: y + 12, size: SIZE.small, color: COLOR.dim },
    { text: paragraph(says, SIDE - 20).text, x: x + 9, y: y + 20, at: "top" },
  ];
  if (dirty !== null)
    notes.push({ text: wordOf(dirty), x: x + SIDE - 9, y: y + 12, anchor: "right", size: SIZE.small });
  if (sign !== "")
    notes.push({
      text: sign,
      x: (from + to) / 2,
      y: middle - 11,
      anchor: "center",
      size: 16,
      color: line.color,
    });
  return { arrow, boxes, notes };
}

/** What does not fit together, in sentences. */
function sentences(misfits: readonly Misfit[], read: Read, top: number) {
  const notes: Note[] = [];
  let y = top;
  for (const { wrong, text } of misfits) {
    const words = paragraph(text, SHEET - 30);
    const color = wrong ? COLOR.vermillion : COLOR.dim;
    notes.push(
      { text: wrong ? "≠" : "–", x: 6, y, at: "top", color },
      { text: words.text, x: 24, y, at: "top", color },
    );
    y += words.height + 5;
  }
  if (misfits.length > 0) return { notes, bottom: y };
  return { notes: [{ text: harmony(read), x: 6, y, at: "top" as const, color: COLOR.dim }], bottom: y + 20 };
}

const harmony = ({ here }: Read): string =>
  here
    ? "What is noted about the page fits together."
    : "The page is free: nobody has anything to say about it.";

function captionOf(
  { pfn }: OwnersStory,
  parties: readonly Party[],
  read: Read,
  misfits: readonly Misfit[],
): string {
  const say = (what: string, dirty: boolean): string => {
    const names = parties.filter((party) => party.dirty === dirty).map(({ name }) => name);
    return names.length === 0 ? "" : ` ${what} by the account of ${names.join(", ")}.`;
  };
  return (
    `What is noted about page ${hex(pfn)}: by those who write the memory on the left, by those who save it on the right, and between them PG_dirty, ` +
    `which is ${setText(read.dirty)}; "=" joins it to those who agree, "≠" to those who do not.` +
    `${say("Dirty", true)}${say("Clean", false)} ` +
    (misfits.length === 0 ? harmony(read) : misfits.map(({ text }) => text).join(" "))
  );
}

/** Columns of the middle's box in a terminal, and of the lines to it. */
const TEXT_MIDDLE = 22;
const TEXT_LINK = 5;

/** From so many columns on three boxes fit beside each other. */
const ABREAST = 72;

/** The same as text art: three columns of boxes; in a narrow terminal one list. */
function textOf(
  story: OwnersStory,
  left: readonly Party[],
  right: readonly Party[],
  read: Read,
  misfits: readonly Misfit[],
): TextForm {
  return ({ columns, paint }) => {
    const side = Math.max(12, Math.floor((columns - TEXT_MIDDLE - 2 * TEXT_LINK) / 2));
    const cell = ({ name, says, dirty }: Party): string[] => [
      ...filled("", dirty === null ? name : `${name}: ${wordOf(dirty)}`, side - 3),
      ...filled("  ", says, side - 3),
    ];
    const widths = [side, TEXT_MIDDLE, side];
    const rule = (from: string, to: string): string =>
      widths.map((width) => `${from}${"─".repeat(width - 2)}${to}`).join(" ".repeat(TEXT_LINK));
    const inside = (words: string | undefined, width: number): string => {
      const shown = ` ${words ?? ""}`;
      return shown + " ".repeat(Math.max(0, width - 2 - [...shown].length));
    };
    const link = ({ dirty }: Party): string => {
      const { sign, color } = standing(dirty, read.dirty);
      return sign === "" ? paint("·····", COLOR.dim) : paint(`──${sign}──`, color);
    };
    const bits = [`PG_dirty ${setText(read.dirty)}`, ...bitsOf(story, read)];
    const ends = [
      ...misfits.flatMap(({ wrong, text }) =>
        filled(wrong ? "≠ " : "- ", text, columns).map((line) =>
          wrong ? paint(line, COLOR.vermillion) : line,
        ),
      ),
      ...(misfits.length > 0 ? [] : filled("", harmony(read), columns)),
    ];
    if (columns < ABREAST) {
      const list = (parties: readonly Party[]): string[] =>
        parties.flatMap(({ name, says, dirty }) => [
          ...filled(
            `${standing(dirty, read.dirty).sign || "·"} `,
            dirty === null ? name : `${name}: ${wordOf(dirty)}`,
            columns,
          ),
          ...filled("    ", says, columns),
        ]);
      return [...filled("", bits.join(", "), columns), ...list(left), ...list(right), ...ends];
    }
    const lines = [rule("┌", "┐")];
    left.forEach((party, at) => {
      const [l, r] = [cell(party), cell(right[at])];
      const height = Math.max(l.length, r.length);
      for (let line = 0; line < height; line++) {
        const [close, join, open] = line === 0 ? ["├", link, "┤"] : ["│", () => " ".repeat(TEXT_LINK), "│"];
        lines.push(
          `│${inside(l[line], side)}${close}${join(party)}${open}${inside(bits.shift(), TEXT_MIDDLE)}` +
            `${close}${join(right[at])}${open}${inside(r[line], side)}│`,
        );
      }
    });
    return [...lines, rule("└", "┘"), ...ends];
  };
}
