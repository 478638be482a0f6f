/**
 * The "20 percent": eight runs of fio that were printed in the discussion of November 2018 and February 2019, as data, and the one law that
 * all of them obey.
 *
 * One job with 64 reads of 4 KiB under way: as one ends the next begins, so that there are always 64. In such a closed queue (Little's
 * law, J. D. C. Little, Operations Research 9, 1961) the mean latency is the number under way divided by the rate, whatever it is that takes the time. A thread
 * that has no processor time left (95 % of it in the kernel) has a rate of one over the time of one read; what a proposal adds to that time
 * stands in the latency 64 times.
 *
 * So the 500 microseconds of completion latency that Dave Chinner found worse than the loss of throughput are the same nine microseconds of a
 * debug kernel, 64 times. On a kernel without debugging options the proposal took a fifth of a microsecond.
 *
 * Sources, linux-mm: John Hubbard, 5 and 6 November 2018, the RFC's cover of 10 November, 29 November 2018, 3 February 2019.
 */
import { columns } from "./text.js";

/** Reads under way, and reads in all, of every run here: --iodepth=64 --size=1g --bs=4k. */
export const FIO = { depth: 64, reads: 262_144 } as const;

export interface FioRun {
  readonly run: string;
  readonly date: string;
  /** As printed; null where it was not. */
  readonly kernel: string | null;
  /** Whether the kernel was built with the debugging options of mm, filesystems and locking. */
  readonly debug: boolean;
  /** The way in which it notes pins; null is the kernel without. */
  readonly notes: string | null;
  /** How long the run took. */
  readonly runtime_ms: number;
  /** Mean latency from submission to completion, as printed. */
  readonly latency_us: number;
  /** Mean time of a submission. */
  readonly submit_us: number;
  /** Processor time of the job, in percent. */
  readonly usr: number;
  readonly sys: number;
}

export const FIO_RUNS: readonly FioRun[] = [
  fioRun("a", "2018-11-05", null, true, null, 11945, 2913.65, 44.17, 2.68, 94.68),
  fioRun(
    "b",
    "2018-11-05",
    null,
    true,
    "LRU words, one site not converted",
    14334,
    3496.57,
    52.59,
    2.2,
    95.72,
  ),
  fioRun("c", "2018-11-06", null, true, null, 18826, 4593.69, 68.19, 2.39, 95.3),
  fioRun("d", "2018-11-06", null, true, "LRU words, the worse run", 20453, 4990.78, 74.05, 2.91, 95.18),
  fioRun("e", "2018-11-06", null, true, "LRU words, the better run", 19499, 4757.25, 69.71, 3.47, 94.61),
  fioRun("f", "2018-11-29", "4.20-rc3", false, null, 1350, 328.41, 1.538, 18.24, 44.77),
  fioRun("g", "2018-11-29", "4.20-rc3", false, "LRU words", 1360, 331.68, 1.649, 16.26, 48.05),
  fioRun(
    "h",
    "2019-02-03",
    "5.0-rc",
    false,
    "reference count with a bias",
    1381,
    336.72,
    4.048,
    15.07,
    84.13,
  ),
];

function fioRun(
  run: string,
  date: string,
  kernel: string | null,
  debug: boolean,
  notes: string | null,
  runtime_ms: number,
  latency_us: number,
  submit_us: number,
  usr: number,
  sys: number,
): FioRun {
  return { run, date, kernel, debug, notes, runtime_ms, latency_us, submit_us, usr, sys };
}

/** What a run's time says of one read. */
export interface FioModel {
  /** Time between two completions: the whole run divided by its reads. */
  readonly read_us: number;
  readonly reads_per_second: number;
  /** Processor time in the kernel for one read. */
  readonly sys_us: number;
  /** Mean latency by Little's law: it is told nothing but how long the run took. */
  readonly latency_us: number;
  /** By how much the printed latency differs from that, as a part of it. */
  readonly residual: number;
}

/**
 * A run as a closed queue.
 *
 * @example fioModel(FIO_RUNS[0]).residual < 0.01 === true
 */
export function fioModel({ runtime_ms, latency_us, sys }: FioRun): FioModel {
  const read_us = (runtime_ms * 1000) / FIO.reads;
  const predicted = FIO.depth * read_us;
  return {
    read_us,
    reads_per_second: 1e6 / read_us,
    sys_us: (read_us * sys) / 100,
    latency_us: predicted,
    residual: Math.abs(latency_us - predicted) / predicted,
  };
}

/** What noting pins changed between two runs. */
export interface FioPair {
  /** Change of the reads a second, as a part of them. */
  readonly rate: number;
  /** Added processor time in the kernel for one read. */
  readonly sys_us: number;
  /** Added time of one read, what that is 64 times, and what was printed. */
  readonly read_us: number;
  readonly predicted_us: number;
  readonly printed_us: number;
}

/** @example fioPair("f", "g").rate > -0.01 === true */
export function fioPair(before: string, after: string): FioPair {
  const [a, b] = [before, after].map((name) => {
    const found = FIO_RUNS.find(({ run }) => run === name);
    if (!found)
      throw new Error(`there is no run "${name}"; there are ${FIO_RUNS.map(({ run }) => run).join(", ")}`);
    return { printed: found.latency_us, ...fioModel(found) };
  });
  const read_us = b.read_us - a.read_us;
  return {
    rate: b.reads_per_second / a.reads_per_second - 1,
    sys_us: b.sys_us - a.sys_us,
    read_us,
    predicted_us: FIO.depth * read_us,
    printed_us: b.printed - a.printed,
  };
}

/** The eight runs as a table: what was printed, and what Little's law says. */
export function fioTable(): string {
  const rows = FIO_RUNS.map((each) => {
    const { read_us, reads_per_second, sys_us, latency_us, residual } = fioModel(each);
    return [
      each.run,
      each.debug ? "debug" : "",
      each.notes ?? "-",
      `${Math.round(reads_per_second)}`,
      read_us.toFixed(2),
      sys_us.toFixed(2),
      each.latency_us.toFixed(1),
      latency_us.toFixed(1),
      `${(100 * residual).toFixed(2)} %`,
    ];
  });
  return columns(
    [
      [
        "run",
        "options",
        "notes pins by",
        "reads/s",
        "us/read",
        "sys us",
        "latency us",
        "64 reads us",
        "off by",
      ],
      ...rows,
    ],
    [3, 4, 5, 6, 7, 8],
  );
}
