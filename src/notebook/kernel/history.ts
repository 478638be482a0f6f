/** What was executed in this session, as history_request asks for it. */
import type { Json } from "../format.js";
import type { Content } from "./wire.js";

/** So many are remembered; the oldest are forgotten. */
const ENTRIES_MAX = 10_000;

interface Entry {
  readonly line: number;
  readonly input: string;
  /** The text of its result; null when it had none. */
  output: string | null;
}

/** The only session that this kernel knows, its own. */
const SESSION = 1;

export class History {
  private readonly entries: Entry[] = [];

  add(line: number, input: string): void {
    this.entries.push({ line, input, output: null });
    if (this.entries.length > ENTRIES_MAX) this.entries.shift();
  }

  /** The text that the latest execution showed as its result. */
  shown(text: string): void {
    const latest = this.entries.at(-1);
    if (latest) latest.output = text;
  }

  /** The history that a request asks for: [session, number, input], or with outputs [session, number, [input, output]]. */
  answer(request: Content): Json[] {
    const { hist_access_type, n, output } = request;
    let found: readonly Entry[];
    if (hist_access_type === "range") {
      const session = Number(request.session ?? 0);
      const start = Number(request.start ?? 0);
      const stop = request.stop === null || request.stop === undefined ? Infinity : Number(request.stop);
      // Sessions below 1 count back from this one, and there is none before it.
      const ours = session === 0 || session === SESSION;
      found = ours ? this.entries.filter(({ line }) => line >= start && line < stop) : [];
    } else if (hist_access_type === "search") {
      const matches = glob(String(request.pattern ?? "*"));
      found = this.entries.filter(({ input }) => matches.test(input));
      if (request.unique === true) {
        const latest = new Map(found.map((entry) => [entry.input, entry]));
        found = found.filter((entry) => latest.get(entry.input) === entry);
      }
      if (typeof n === "number") found = last(found, n);
    } else {
      found = last(this.entries, typeof n === "number" ? n : 10);
    }
    return found.map((entry) => [
      SESSION,
      entry.line,
      output === true ? [entry.input, entry.output] : entry.input,
    ]);
  }
}

const last = <T>(list: readonly T[], n: number): readonly T[] => (n > 0 ? list.slice(-n) : []);

/** A pattern of the kind of SQLite's GLOB: * and ? stand for what is not known. */
function glob(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, "[\\s\\S]*")
    .replace(/\?/g, "[\\s\\S]");
  return new RegExp(`^${source}$`);
}
