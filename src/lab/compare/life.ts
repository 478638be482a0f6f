/**
 * What happened to a page, as a list of words that a recording of a real kernel and one of guplab have in common: what it became, in order.
 *
 * Only changes count, and only those that the importer of real traces can see at the moment at which they happen: PG_dirty, PG_writeback, buffers, PTEs, who
 * has taken it, what reclaim did, what the kernel complained of.
 */
import type { Fault, Recording } from "../../trace/recording.js";
import { BUFFER_BIT, pg, RECLAIM, TAG_BIT, WORD, type Word } from "../../trace/words.js";

/** A property of a page that a recording tells, and what is said when it comes and goes. */
interface Property {
  readonly word: Word;
  readonly is: (value: number) => boolean;
  readonly begins: string;
  readonly ends: string;
}

const PROPERTIES: readonly Property[] = [
  { word: WORD.flags, is: (value) => (value & pg("dirty")) !== 0, begins: "dirty", ends: "clean" },
  {
    word: WORD.flags,
    is: (value) => (value & pg("writeback")) !== 0,
    begins: "writeback begins",
    ends: "writeback ends",
  },
  {
    word: WORD.tags,
    is: (value) => (value & TAG_BIT.dirty) !== 0,
    begins: "tagged dirty",
    ends: "no dirty tag",
  },
  {
    word: WORD.buffers,
    is: (value) => (value & BUFFER_BIT.attached) !== 0,
    begins: "gets buffers",
    ends: "loses its buffers",
  },
  { word: WORD.mapcount, is: (value) => value > 0, begins: "mapped", ends: "unmapped" },
  { word: WORD.pins, is: (value) => value > 0, begins: "taken", ends: "let go" },
];

/** What reclaim does, as far as it is more than a look. */
const ACTS: Readonly<Record<number, string>> = {
  [RECLAIM.stripped]: "stripped by reclaim",
  [RECLAIM.backed_out]: "reclaim backs out",
  [RECLAIM.activated]: "activated by reclaim",
};

/** Steps and probes with which a page leaves its file: nobody follows it from then on. */
const LEAVES = /delete_from_page_cache|filemap_remove_folio/;

/** What the kernel complains of, in words that do not depend on its release; null for what only guplab or the importer knows. */
function complaintOf({ kind, message }: Fault): string | null {
  if (kind === "BUG") return "BUG";
  // The importer calls ext4's warning LOST when the page was made clean and nothing was written.
  if (/not have buffers/.test(message)) return "ext4 warns: no buffers";
  return kind === "WARN" ? "WARN" : null;
}

/**
 * What happened to a page from one time to another, or until it left its file. That somebody lets go of it in the end is left out: of plain references a
 * recording does not always show it.
 */
export function lifeOf(recording: Recording, pfn: number, from: number, to: number): string[] {
  const life: string[] = [];
  const now = new Map<Property, boolean>();
  const say = (words: string): void => {
    if (life[life.length - 1] !== words) life.push(words);
  };
  const { word, value, time, info } = recording;
  for (let at = 0; at < recording.length && time[at] <= to; at++) {
    if (recording.pfn[at] !== pfn) continue;
    const told = time[at] >= from;
    for (const property of PROPERTIES) {
      if (property.word !== word[at]) continue;
      const is = property.is(value[at]);
      const was = now.get(property) ?? false;
      now.set(property, is);
      if (told && is !== was) say(is ? property.begins : property.ends);
    }
    if (!told) continue;
    const act = word[at] === WORD.reclaim ? value[at] : 0;
    if (ACTS[act] !== undefined) say(ACTS[act]);
    const complaint = word[at] === WORD.fault ? complaintOf(info.faults[value[at]]) : null;
    if (complaint !== null) say(complaint);
    const { path, step } = info.steps[recording.step[at]];
    if (LEAVES.test(path) || LEAVES.test(step) || act === RECLAIM.reclaimed) {
      say("leaves its file");
      break;
    }
  }
  if (life[life.length - 1] === "let go") life.pop();
  return life;
}
