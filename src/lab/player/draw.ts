/** What the player shows, as HTML: the frame with its controls once, and what changes from moment to moment. */
import { escapeXml } from "../../plot/text.js";
import type { Fault } from "../../trace/recording.js";
import { holderText, logLine, type TaskView } from "../views.js";
import type { World } from "../world.js";
import type { Film } from "./film.js";
import type { Moment, PageMoment } from "./moment.js";
import { type Choice, kernelOptions, type Option, proposalOptions } from "./rerun.js";

const options = (list: readonly Option[], chosen: string): string =>
  list
    .map(
      ({ name, help }) =>
        `<option value="${escapeXml(name)}" title="${escapeXml(help)}"${name === chosen ? " selected" : ""}>${escapeXml(name || "none")}</option>`,
    )
    .join("");

/** Patches of a run that are no single proposal stay to be chosen. */
const additions = (added: string): readonly Option[] => {
  const listed: readonly Option[] = [{ name: "", help: "the kernel as it was released" }, ...proposalOptions];
  return listed.some(({ name }) => name === added)
    ? listed
    : [...listed, { name: added, help: "as recorded" }];
};

/**
 * The player of one run, before anything is shown in it.
 *
 * @param id a name for it that the page has nowhere else
 */
export function frameHtml(id: string, scenario: string, choice: Choice): string {
  return `<section class="player" aria-label="Player: ${escapeXml(scenario)}">
<p class="player-title"><b>${escapeXml(scenario)}</b> on <span data-show="kernel"></span>: <span data-show="outcome"></span></p>
<div class="player-strip" data-show="strip" aria-hidden="true"></div>
<div class="player-bar">
<input type="range" id="${id}-tick" min="0" max="0" step="1" value="0" aria-label="Moment of the run" data-control="tick">
<div class="player-buttons">
<button type="button" data-do="back" aria-label="One step back"><span aria-hidden="true">◂</span></button>
<button type="button" data-do="play" aria-pressed="false"><span data-show="play">Play</span></button>
<button type="button" data-do="forward" aria-label="One step forward"><span aria-hidden="true">▸</span></button>
<output for="${id}-tick" data-show="tick"></output>
</div>
</div>
<p class="player-made" aria-live="polite" data-show="made"></p>
<div class="player-own" data-show="own" hidden>
<p aria-live="polite" data-show="outlook"></p>
<button type="button" data-do="undo">Undo</button>
<button type="button" data-do="leave">Give it back</button> <small>The figures of this run follow your steps.</small>
</div>
<div class="player-state">
<div class="player-tasks" data-show="tasks"></div>
<div class="player-page" data-show="page"></div>
</div>
<div class="player-faults" data-show="faults"></div>
<button type="button" class="player-take" data-do="take">Crash it yourself, from here</button>
<details class="player-choice"><summary>Another kernel, proposal or order</summary>
<p>
<label for="${id}-kernel">Kernel</label> <select id="${id}-kernel" data-control="kernel">${options(kernelOptions, choice.kernel)}</select>
<label for="${id}-added">Proposal</label> <select id="${id}-added" data-control="added">${options(additions(choice.added), choice.added)}</select>
<label for="${id}-seed">Seed</label> <input type="number" id="${id}-seed" min="0" max="999999999" step="1" placeholder="recorded" data-control="seed">
<button type="button" data-do="reset">As recorded</button>
</p>
</details>
<p class="player-note" aria-live="polite" data-show="note"></p>
<p class="player-replay"><code data-show="replay"></code> <span data-show="hash"></span></p>
</section>`;
}

/** Outcomes as labels, the worst first. */
export const outcomeHtml = (outcomes: readonly string[]): string =>
  outcomes.map((each) => `<b class="outcome ${each === "OK" ? "fine" : "bad"}">${each}</b>`).join(" ");

/** Pixels of a task's row in the strip. */
const ROW = 4;

/**
 * Who moved when, as one strip: a row for each task, and a mark for each fault.
 *
 * @param range the ticks that the figures show, where they have been zoomed
 */
export function stripSvg(
  film: Film,
  tasks: readonly { readonly name: string }[],
  faults: readonly Fault[],
  range: readonly [number, number] | null,
): string {
  const { steps, length } = film;
  const height = tasks.length * ROW;
  const bar = (from: number, to: number, y: number, tall: number, name = ""): string =>
    `<rect${name} x="${from}" y="${y}" width="${to - from}" height="${tall}"/>`;
  const bars: string[] = range === null ? [] : [bar(range[0], range[1], 0, height, ' class="zoomed"')];
  for (let from = 0; from < length; ) {
    let to = from;
    while (to < length && steps[to] === steps[from]) to++;
    if (steps[from] < tasks.length) bars.push(bar(from, to, steps[from] * ROW, ROW - 1));
    from = to;
  }
  const marks = faults.map(({ tick }) => bar(tick - 1, tick, 0, height, ' class="fault"'));
  return `<svg viewBox="0 0 ${Math.max(1, length)} ${height}" preserveAspectRatio="none">${bars.join("")}${marks.join("")}</svg>`;
}

/** The step just made, in a line. */
export function madeHtml({ made, tick }: Moment): string {
  if (made === null) return tick === 0 ? "Nobody has moved yet." : "";
  const { task, path, step, also, changed, faults } = made;
  const more = also.length > 0 ? `<small> with ${escapeXml(also.join(", "))}</small>` : "";
  const changes = changed.map(({ text }) => text).join(", ");
  return (
    `<b>${escapeXml(task)}</b> ${escapeXml(path)}: <code>${escapeXml(step)}</code>${more}` +
    (changes === "" ? "" : ` <span class="changes">${escapeXml(changes)}</span>`) +
    faults.map(({ kind, message }) => ` <span class="fault">${kind}: ${escapeXml(message)}</span>`).join("")
  );
}

/** The same for who hears it read out. */
export const madeText = ({ made, tick }: Moment): string =>
  made === null
    ? `step ${tick}`
    : `step ${tick}: ${logLine({ ...made, changed: [] })
        .trim()
        .replace(/^\d+ +/, "")}`;

const stateText = ({ state, why }: TaskView): string => (why === "" ? state : `${state}: ${why}`);

/** The tasks and where they are; with buttons where somebody orders their steps. */
export function tasksHtml({ tasks, made }: Moment, own: World | null): string {
  const rows = tasks.map((task, number) => {
    const { name, path, step } = task;
    const next = path === "" ? "" : `${escapeXml(path)}: <code>${escapeXml(step)}</code>`;
    const moved = made?.task === name ? ' class="moved"' : "";
    const can = own?.enabled(number) === true;
    const off = can ? "" : " disabled";
    const says = escapeXml(`${name}: ${can ? `make the step ${step} of ${path}` : stateText(task)}`);
    const button =
      own === null
        ? escapeXml(name)
        : `<button type="button" data-task="${number}"${off} aria-label="${says}">${escapeXml(name)}</button> ` +
          `<button type="button" data-task="${number}" data-on="yes"${off} aria-label="${escapeXml(name)}: go on until it stops" title="go on until it stops">▸▸</button>`;
    const state = `<small>${escapeXml(stateText(task))}</small>`;
    return `<tr${moved}><th scope="row">${button}</th><td>${next} ${state}</td></tr>`;
  });
  return `<table><caption>${own === null ? "Tasks, and the step of each that comes next" : "Press who makes the next step; ▸▸ goes on until it stops"}</caption><tbody>${rows.join("")}</tbody></table>`;
}

const NONE = '<span class="none">none</span>';

const chips = (names: readonly string[]): string =>
  names.length === 0 ? NONE : names.map((name) => `<span class="chip">${escapeXml(name)}</span>`).join(" ");

/** "pw-y" as words. */
const PTE_WORDS: Readonly<Record<string, string>> = { p: "present", w: "write", d: "dirty", y: "young" };
const pteWords = (pte: string): readonly string[] =>
  pte === "none" ? [] : [...pte].flatMap((letter) => PTE_WORDS[letter] ?? []);

const words = (text: string): readonly string[] => (text === "none" ? [] : [text]);

interface Row {
  readonly label: string;
  readonly html: string;
  /** What it shows: it stands out where one of them has changed. */
  readonly of: readonly (keyof PageMoment)[];
}

function rowsOf(page: PageMoment): readonly Row[] {
  const { dirty, refcount, holders, flags, pte, buffers, tags, lru, mapping, locked_by, device_wrote } = page;
  const tokens = holders.flatMap(({ who, references }) =>
    references <= 4 ? Array.from({ length: references }, () => who) : [`${references} ${who}`],
  );
  return [
    {
      label: "counts as",
      html: `<span class="swatch" style="background:${dirty.color}"></span> ${escapeXml(dirty.name)}`,
      of: ["dirty"],
    },
    {
      label: `${refcount} ${refcount === 1 ? "reference" : "references"}`,
      html: chips(tokens),
      of: ["refcount", "holders", "pins"],
    },
    { label: "flags", html: chips(flags.map((flag) => `PG_${flag}`)), of: ["flags", "locked_by"] },
    { label: "PTE", html: chips(pteWords(pte)), of: ["pte", "mapcount", "vma"] },
    { label: "buffers", html: chips(words(buffers)), of: ["buffers"] },
    { label: "tags", html: chips(tags === "none" ? [] : tags.split("+")), of: ["tags"] },
    { label: "LRU", html: chips([lru]), of: ["lru"] },
    { label: "of", html: escapeXml(mapping), of: ["mapping"] },
    { label: "locked by", html: locked_by === "" ? NONE : escapeXml(locked_by), of: ["locked_by"] },
    { label: "device", html: device_wrote ? "wrote, and nobody has said so" : NONE, of: ["device_wrote"] },
  ];
}

const wordRow = ({ word, field, owned, value, tenure, lost }: PageMoment["words"][number]): string =>
  `<tr><td>${word}</td><th scope="row"><code>${escapeXml(field)}</code></th><td>${
    owned ? escapeXml(value === "" ? "…" : value) : tenure === "never" ? "nobody's" : "free now"
  }${lost === undefined ? "" : ` <span class="fault">${escapeXml(lost)} is lost</span>`}</td></tr>`;

/**
 * The pages in use: a button for each where there are several, and one of them in full.
 *
 * @param shown its page frame number; the first page where it is not in use
 * @param unfolded whether the words of its struct page are shown
 */
export function pagesHtml({ pages }: Moment, shown: number, unfolded: boolean): string {
  const page = pages.find(({ pfn }) => pfn === shown) ?? pages.at(0);
  if (page === undefined) return "<p>No page is in use.</p>";
  const others =
    pages.length === 1
      ? ""
      : `<div class="pages">${pages
          .map(
            ({ pfn, dirty, holders, changed }) =>
              `<button type="button" data-page="${pfn}" aria-pressed="${pfn === page.pfn}"${changed.length > 0 ? ' class="new"' : ""} title="${escapeXml(`${dirty.name}; ${holderText(holders)}`)}"><span class="swatch" style="background:${dirty.color}"></span>${pfn}</button>`,
          )
          .join("")}</div>`;
  const rows = rowsOf(page).map(({ label, html, of }) => {
    const fresh = of.some((key) => page.changed.includes(key)) ? ' class="new"' : "";
    return `<tr${fresh}><th scope="row">${label}</th><td>${html}</td></tr>`;
  });
  return `${others}<table><caption>Page ${page.pfn}</caption><tbody>${rows.join("")}</tbody></table>
<details data-words${unfolded ? " open" : ""}><summary>its struct page</summary><table><tbody>${page.words.map(wordRow).join("")}</tbody></table></details>`;
}

/** What went wrong so far, and what is wrong now. */
export function faultsHtml({ faults, losses }: Moment): string {
  const lines = [
    ...faults.map(({ kind, tick, task, message }) => ({ kind, says: `step ${tick}, ${task}: ${message}` })),
    ...losses,
  ].map(({ kind, says }) => `<li><b class="outcome bad">${kind}</b> ${escapeXml(says)}</li>`);
  return lines.length === 0 ? "" : `<ul>${lines.join("")}</ul>`;
}
