/** `guplab run` and `guplab explore`. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Strategy } from "../explore/walk.js";
import { articleText, claimOf, claims } from "../lab/article.js";
import { readCertificate } from "../lab/certificate.js";
import type { DangerReport } from "../lab/danger.js";
import type { OrderingsReport } from "../lab/orderings.js";
import { isFault } from "../lab/outcomes.js";
import type { Method, TimeName } from "../lab/rate.js";
import { type Run, run, runOf } from "../lab/run.js";
import type { StudyRequest } from "../lab/study.js";
import { glossary } from "../lab/text.js";
import { writeFigure } from "../lab/verbs/figures.js";
import { driverCalls } from "../lab/workloads/pattern.js";
import { open, parseReplay } from "../lab/world.js";
import { type Figure, toPage, toSvg } from "../plot/index.js";
import { interruptible, NodeHost } from "./host.js";

interface RunFlags {
  readonly kernel?: string;
  readonly seed?: number;
  readonly schedule?: string;
  readonly steps?: number;
  readonly plot?: string;
  readonly png?: true;
  readonly beside?: string;
  readonly json?: true;
}

/** Run a scenario once and print what came of it. @throws Error with one sentence */
export async function runCommand(scenario: string, flags: RunFlags): Promise<void> {
  const made = run(scenario, flags);
  if (flags.png && flags.plot === undefined)
    throw new Error("--png says how the figures of --plot are written: write --plot FOLDER as well");
  if (flags.beside !== undefined && flags.plot === undefined)
    throw new Error("--beside adds a figure to those of --plot: write --plot FOLDER as well");
  const other = flags.beside === undefined ? undefined : runOf(flags.beside);
  if (flags.plot !== undefined) await writeFigures(made, other, flags.plot, flags.png === true);
  process.stdout.write(flags.json ? `${JSON.stringify(made, null, 2)}\n` : `${made}\n`);
  process.exitCode = made.outcomes.some((kind) => kind !== "OK" && isFault(kind)) ? 3 : 0;
}

async function writeFigures(
  { plot, recording }: Run,
  other: Run | undefined,
  folder: string,
  png: boolean,
): Promise<void> {
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST")
      throw new Error(`${folder} cannot be made a folder for the figures`);
  }
  const host = new NodeHost();
  const figures = [
    plot.pins(),
    plot.dirty(),
    plot.heat(),
    plot.reclaim(),
    plot.flow(),
    plot.lanes(),
    plot.life(),
    plot.page(),
    plot.owners(),
    plot.waits(),
    ...(other === undefined ? [] : [plot.beside(other)]),
  ];
  const page = toPage(figures, { title: recording.info.title, plotly: await host.plotly() });
  host.write(join(folder, "figures.html"), page);
  for (const figure of figures) {
    const svg = toSvg(figure);
    host.write(join(folder, `${figure.kind}.svg`), svg);
    if (png) host.write(join(folder, `${figure.kind}.png`), await host.png(svg));
  }
}

interface WalkFlags {
  readonly kernel?: string;
  readonly strategy?: Strategy;
  readonly walks?: number;
  readonly seed?: number;
  readonly depth?: number;
  readonly json?: true;
}

/** Walk through a scenario at random and print what was met. @throws Error with one sentence */
export async function walkCommand(
  scenario: string,
  { kernel: wanted, strategy, walks, seed, depth, json }: WalkFlags,
): Promise<void> {
  const { name, kernel } = open(scenario, { kernel: wanted, record: false });
  const request = { scenario: name, kernel: kernel.name, strategy, walks, seed, depth };
  const { text, report, faulty } = await interruptible().walk(request);
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${text}\n`);
  process.exitCode = faulty ? 3 : 0;
}

interface ExploreFlags {
  readonly kernel?: string;
  readonly pages?: number;
  readonly drivers?: number;
  readonly powerCut?: true;
  readonly maxStates?: number;
  readonly maxMemory?: number;
  readonly maxSeconds?: number;
  readonly fewest?: "steps" | "switches";
  readonly timing?: true;
  readonly certificate?: string;
  readonly symmetry: boolean;
  readonly emitPromela?: string;
  readonly json?: true;
}

/** Check a certificate. @throws Error with one sentence */
export async function checkCommand(file: string, flags: { readonly json?: true }): Promise<void> {
  const text = new NodeHost().read(file);
  // What is wrong with the file itself is said at once.
  const { kernel } = readCertificate(text);
  await studyCommand({ what: "check", of: text, kernel, kind: undefined, maxStates: undefined }, flags);
}

interface PictureFlags {
  readonly html?: string;
  readonly svg?: string;
  readonly png?: string;
}

interface DangerFlags extends PictureFlags {
  readonly kind?: string;
  readonly maxStates?: number;
  readonly json?: true;
}

/** Tell the danger of each step of a run. @throws Error with one sentence */
export async function dangerCommand(replay: string, flags: DangerFlags): Promise<void> {
  const { kernel } = parseReplay(replay);
  await studyCommand(
    { what: "danger", of: replay, kernel, kind: flags.kind, maxStates: flags.maxStates },
    flags,
    async (report) => (await import("../lab/danger.js")).dangerFigure(report as DangerReport),
  );
}

/** Tell which orderings the worst fault of a scenario needs. @throws Error with one sentence */
export async function orderingsCommand(
  scenario: string,
  flags: PictureFlags & { readonly kernel?: string; readonly maxStates?: number; readonly json?: true },
): Promise<void> {
  const { name, kernel } = open(scenario, { kernel: flags.kernel, record: false });
  const request = { of: name, kernel: kernel.name, kind: undefined, maxStates: flags.maxStates };
  await studyCommand({ what: "orderings", ...request }, flags, async (report) =>
    (await import("../lab/orderings.js")).orderingsFigure(report as OrderingsReport),
  );
}

/** Tell what may go on for ever in a scenario, or what its verdict rests on. @throws Error with one sentence */
export async function questionCommand(
  what: "liveness" | "safety",
  scenario: string,
  flags: { readonly kernel?: string; readonly maxStates?: number; readonly json?: true },
): Promise<void> {
  const { name, kernel } = open(scenario, { kernel: flags.kernel, record: false });
  const request = { of: name, kernel: kernel.name, kind: undefined, maxStates: flags.maxStates };
  await studyCommand({ what, ...request }, flags);
}

interface RateFlags extends Partial<Record<TimeName, string>> {
  readonly kernel?: string;
  readonly kind?: string;
  readonly pinned?: number;
  readonly method?: Method;
  readonly cycles?: number;
  readonly seed?: number;
  readonly maxStates?: number;
  readonly json?: true;
}

/** Tell how long it takes until a scenario meets a fault, with times that are given. @throws Error with one sentence */
export async function rateCommand(scenario: string, flags: RateFlags): Promise<void> {
  const { kernel: wanted, kind, pinned, method, cycles, seed, maxStates, json, ...times } = flags;
  const { name, kernel } = open(scenario, { kernel: wanted, record: false });
  const rate = { times, pinned, method, cycles, seed };
  await studyCommand({ what: "rate", of: name, kernel: kernel.name, kind, maxStates, rate }, { json });
}

/** Print the article's claims, or one with what its searches come to now. @throws Error with one sentence */
export async function articleCommand(
  nr: number | undefined,
  { maxStates, json }: { readonly maxStates?: number; readonly json?: true },
): Promise<void> {
  if (nr === undefined) {
    process.stdout.write(json ? `${JSON.stringify(claims, null, 2)}\n` : `${articleText()}\n`);
    return;
  }
  // What is no claim is said at once.
  const of = String(claimOf(nr).nr);
  await studyCommand({ what: "article", of, kernel: "v4.20", kind: undefined, maxStates }, { json });
}

interface DriverFlags {
  readonly kernels?: readonly string[];
  readonly scenarios?: readonly string[];
  readonly maxStates?: number;
  readonly json?: true;
}

/** Try a driver of somebody's own on every kernel; without calls, say what there are. @throws Error with one sentence */
export async function driverCommand(calls: readonly string[], flags: DriverFlags): Promise<void> {
  const { kernels, scenarios, maxStates, json } = flags;
  if (calls.length === 0) {
    const known = driverCalls();
    process.stdout.write(
      json ? `${JSON.stringify(known, null, 2)}\n` : `${glossary(Object.entries(known), 100)}\n`,
    );
    return;
  }
  const driver = { kernels, scenarios };
  const request = { what: "driver", of: calls.join("+"), kernel: "v4.20", kind: undefined } as const;
  await studyCommand({ ...request, maxStates, driver }, { json });
}

/** Do what a request asks and print it. @param figure draws the report, where files for a picture of it are named */
async function studyCommand(
  request: StudyRequest,
  { json, html, svg, png }: PictureFlags & { readonly json?: true },
  figure?: (report: unknown) => Promise<Figure>,
): Promise<void> {
  const host = interruptible();
  const { text, report, code } = await host.study(request);
  if (figure !== undefined && [html, svg, png].some((path) => path !== undefined)) {
    const drawn = await figure(report);
    await writeFigure({ host }, () => drawn, { file: html, svg, png });
  }
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${text}\n`);
  process.exitCode = code;
}

/** Visit every interleaving of a scenario and print the verdict. @throws Error with one sentence */
export async function exploreCommand(scenario: string, flags: ExploreFlags): Promise<void> {
  const sizes = (["pages", "drivers"] as const)
    .filter((name) => flags[name] !== undefined)
    .map((name) => `,${name}=${flags[name]}`);
  const cut = flags.powerCut ? ",power-cut=yes" : "";
  const { name, kernel } = open(`${scenario}${sizes.join("")}${cut}`, {
    kernel: flags.kernel,
    record: false,
  });
  if (flags.emitPromela !== undefined) {
    const host = interruptible();
    const request = { of: name, kernel: kernel.name, kind: undefined, maxStates: flags.maxStates };
    const { text } = await host.study({ what: "promela", ...request });
    host.write(flags.emitPromela, text);
    process.stdout.write(`wrote ${flags.emitPromela}: its first lines say how Spin takes it\n`);
    return;
  }
  const host = interruptible();
  const before = process.cpuUsage();
  const { text, report } = await host.explore({
    scenario: name,
    kernel: kernel.name,
    maxStates: flags.maxStates,
    maxMemory: flags.maxMemory,
    maxSeconds: flags.maxSeconds,
    simplest: flags.fewest === "switches",
    certificate: flags.certificate !== undefined,
    symmetry: flags.symmetry,
  });
  const { user, system } = process.cpuUsage(before);
  const cpuSeconds = (user + system) / 1e6;
  const { certificate } = report;
  if (flags.certificate !== undefined && certificate)
    host.write(flags.certificate, `${JSON.stringify(certificate, null, 2)}\n`);
  if (flags.json)
    process.stdout.write(`${JSON.stringify(flags.timing ? { ...report, cpuSeconds } : report, null, 2)}\n`);
  else process.stdout.write(`${text}\n${flags.timing ? `processor time: ${cpuSeconds.toFixed(2)} s\n` : ""}`);
  process.exitCode = report.verdict === "fault" ? 3 : 0;
  if (flags.certificate !== undefined && !certificate)
    throw new Error("no certificate was written: the search is not complete");
}
