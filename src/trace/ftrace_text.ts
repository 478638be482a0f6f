/**
 * The text of an ftrace recording as lines: who, when, which probe, which page it printed.
 *
 * A line is `TASK-PID [CPU] flags TIMESTAMP: PROBE: ...`; stack traces and what else does not look so are skipped. A
 * kprobe prints the page that the function was called with; its return probe prints the caller and the value only,
 * and is paired here with the entry it ends.
 */

const VMEMMAP = 0xffd4000000000000n;
const SIZEOF_STRUCT_PAGE = 64n;
/** What a kprobe printed of a page. */
export interface Print {
  readonly pfn: number;
  readonly ino: number;
  readonly index: number;
  readonly flags: bigint;
  readonly refcount: number;
  readonly mapcount: number;
  readonly private: boolean;
  readonly mapping: string;
}

export interface Line {
  readonly time: number;
  readonly task: string;
  readonly probe: string;
  /** Everything after the probe's name. */
  readonly text: string;
  readonly print: Print | null;
  /** For an entry whose return probe was seen: who called, and what came back. */
  returned: { readonly caller: string; readonly value: number } | null;
  /** For a return probe: the line of the entry it belongs to. */
  entry: Line | null;
}

const LINE = /^\s*(.+)-(\d+)\s+\[\d+\]\s+\S+\s+(\d+\.\d+): ([^\s:(]+)(.*)$/;
const ENTRIES = /^#\s*entries-in-buffer\/entries-written:\s*(\d+)\/(\d+)/m;

/**
 * The events of a recording, in order.
 *
 * @throws Error with one sentence when the text is truncated or is no ftrace recording
 */
export function parse(text: string): Line[] {
  if (!text.startsWith("# tracer:")) {
    throw new Error('The text is not an ftrace recording: its first line should begin with "# tracer:".');
  }
  const promised = ENTRIES.exec(text);
  if (promised === null) {
    throw new Error(
      "The ftrace recording is truncated: its header has no line entries-in-buffer/entries-written.",
    );
  }
  const lines: Line[] = [];
  const open = new Map<string, Line[]>();
  for (const row of text.split("\n")) {
    const m = LINE.exec(row);
    if (m === null) continue;
    const [, comm, pid, time, probe, rest] = m;
    const line: Line = {
      time: Number(time),
      task: `${comm.trim()}-${pid}`,
      probe,
      text: rest.replace(/^: /, ""),
      print: readPrint(rest),
      returned: null,
      entry: null,
    };
    pairWithEntry(line, open);
    lines.push(line);
  }
  if (lines.length < Number(promised[1]) || !text.endsWith("\n")) {
    throw new Error(
      `The ftrace recording is truncated: its header promises ${promised[1]} events and the text holds ${lines.length}.`,
    );
  }
  return lines;
}

/** Return probes print no page: find the entry they end, by task and nesting. */
function pairWithEntry(line: Line, open: Map<string, Line[]>): void {
  const name = line.probe.replace(/_ret$/, "");
  const key = `${line.task} ${name}`;
  if (name === line.probe) {
    if (line.print !== null) open.set(key, [...(open.get(key) ?? []), line].slice(-8));
    return;
  }
  const entry = line.print === null ? open.get(key)?.pop() : undefined;
  const m = /\(([^\s+]+)\S* <- .*ret=(-?\d+)/.exec(line.text);
  if (entry === undefined || m === null) return;
  line.entry = entry;
  entry.returned = { caller: m[1], value: Number(m[2]) };
}

const PRINT =
  /page=(0x[0-9a-f]+) ino=(\d+) index=(\d+) flags=(0x[0-9a-f]+) ref=(-?\d+) mapc=(-?\d+) private=(0x[0-9a-f]+) mapping=(0x[0-9a-f]+)/;

/** A page that a probe printed; null when there is none or when its address is no struct page (a failed lookup). */
function readPrint(text: string): Print | null {
  const m = PRINT.exec(text);
  if (m === null) return null;
  const page = BigInt(m[1]);
  if (page < VMEMMAP || page - VMEMMAP > 0x7fffffffn * SIZEOF_STRUCT_PAGE) return null;
  return {
    pfn: Number((page - VMEMMAP) / SIZEOF_STRUCT_PAGE),
    ino: Number(m[2]),
    index: Number(m[3]),
    flags: BigInt(m[4]),
    refcount: Number(m[5]),
    mapcount: Number(m[6]) + 1,
    private: m[7] !== "0x0",
    mapping: m[8],
  };
}

/** The number after `name=` or `name ` or `name: ` in a probe's text, decimal or hexadecimal; NaN when absent. */
export function field(text: string, name: string): number {
  return Number(new RegExp(`\\b${name}[=: ]+(0x[0-9a-f]+|-?\\d+)`).exec(text)?.[1] ?? Number.NaN);
}
