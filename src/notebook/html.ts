/**
 * A notebook as one HTML file that needs nothing else: no network, no server, no Python, nothing beside it.
 *
 * Everything is there before a script runs: text, highlighted code, typeset maths, printed outputs and a picture of
 * every figure. Where scripts may run, the figures' own scripts then make them interactive, in order, once plotly has
 * been unpacked. The page forbids itself to load anything (its Content-Security-Policy), and content that asks for a
 * file from elsewhere is refused here with a sentence instead of leaving a hole in the page.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type KatexPlugin from "@vscode/markdown-it-katex";
import { AnsiUp } from "ansi_up";
import hljs from "highlight.js/lib/core";
import typescript from "highlight.js/lib/languages/typescript";
import markdownIt, { type MarkdownIt, type Token } from "markdown-it";
import { PLAYER_STYLE } from "../lab/player/style.js";
import { svgUri } from "../plot/html.js";
import { builtFile, unpacking, versionOf } from "./built.js";
import { assertionsIn, ranWell } from "./claims.js";
import {
  type CodeCell,
  type MimeBundle,
  type Notebook,
  NotebookError,
  type Output,
  type TextCell,
} from "./format.js";
import { PAGE_SCRIPT, PAGE_STYLE } from "./page.js";
import { isPlotlyLoader, liveScript, needsPlotly } from "./plotly.js";
import { PageRuns } from "./runs.js";

const require = createRequire(import.meta.url);
// Required, because what an import of this CommonJS module gives differs between Node and bundlers.
const katexPlugin = (require("@vscode/markdown-it-katex") as typeof KatexPlugin).default;

export interface RenderOptions {
  /** Of the browser's window. */
  readonly title: string;
  /** The notebook's file, as the command that rebuilds the page names it. */
  readonly file: string;
  /**
   * Whether figures are interactive, and runs have a player. The library is embedded, 2 MB, if a figure occurs, and guplab itself, 0.3 MB,
   * if the run of one can be run again; else pictures stay pictures.
   */
  readonly plotly: boolean;
}

interface Heading {
  readonly level: number;
  readonly id: string;
  readonly html: string;
}

/**
 * Render a notebook with the outputs that it holds; none of its cells is executed, but the runs of its figures are run again, so
 * that the page can say what is found at their end. The same notebook gives the same bytes.
 *
 * @throws NotebookError when a cell refers to a file outside the notebook, or an output has no form that a page can show
 * @example
 * const page = renderNotebook(readNotebook("01-the-crash.ipynb"), { title: "The crash", file: "01-the-crash.ipynb", plotly: true });
 */
export function renderNotebook(notebook: Notebook, options: RenderOptions): string {
  const page: Parts = {
    markdown: new Markdown(),
    runs: new PageRuns(notebook),
    claims: [],
    figures: 0,
    players: options.plotly,
  };
  const body = notebook.cells
    .map((cell, at) => {
      const html = cell.cell_type === "code" ? codeCell(cell, page) : textCell(cell, page.markdown, at);
      refuseForeign(html, `cell ${at + 1} of the file`);
      return html;
    })
    .join("\n");
  const figures = notebook.cells.some(
    (cell) =>
      cell.cell_type === "code" && shown(cell).some((output) => "data" in output && needsPlotly(output.data)),
  );
  const players = options.plotly && page.runs.runs.length > 0;
  const nav = contents(page.markdown.headings);
  const loads =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:";
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${loads}; worker-src blob:">
<title>${escapeHtml(options.title)}</title>
<style>
${PAGE_STYLE}${players ? PLAYER_STYLE : ""}${body.includes('class="katex') ? katexStyle() : ""}
</style>
</head>
<body>
<main>
${body.includes("</h1>") ? body.replace("</h1>", () => `</h1>\n${nav}`) : nav + body}
</main>
${foot(page, options)}
${players ? playerLoader() : ""}
${figures && options.plotly ? `<script>\n${liveScript()}\n</script>` : ""}
${options.plotly || !figures ? PAGE_SCRIPT : ""}
</body>
</html>
`;
}

/** What is gathered while the cells are rendered. */
interface Parts {
  readonly markdown: Markdown;
  readonly runs: PageRuns;
  /** Per code cell that claims something: how many assertions it has, and whether they held. */
  readonly claims: { readonly assertions: number; readonly held: boolean }[];
  /** Figures so far. */
  figures: number;
  /** Whether runs get players. */
  readonly players: boolean;
}

/** The player (lab/player/client.ts), which fills its places when the page is there. */
const playerLoader = (): string => `<script>
${unpacking(builtFile("player.js.gz"), "document.head.append(script);")};
</script>`;

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

/** What a reader needs to trust the page, or not to: claims, runs, versions, and how it was made. */
function foot({ claims, runs: { runs, lost }, players }: Parts, { file }: RenderOptions): string {
  const number = (held: boolean): number =>
    claims.filter((claim) => claim.held === held).reduce((sum, { assertions }) => sum + assertions, 0);
  const cells = claims
    .map(({ held }, at) => `<a href="#claim-${at + 1}"${held ? "" : ' class="unchecked"'}>${at + 1}</a>`)
    .join(" ");
  const claimed =
    claims.length === 0
      ? "<p>Nothing in this page is asserted by its code.</p>"
      : `<p>${counted(number(true), "claim")} checked, each an assertion in the code that held when it ran: in the cells ${cells}.${
          number(false) === 0
            ? ""
            : ` <b class="unchecked">${counted(number(false), "claim")} not checked</b>: the cell has not run to its end.`
        }</p>`;
  const rows = runs.map(
    ({ id, replay, outcomes, steps, seed, hash }) =>
      `<tr><td>${players ? `<a href="#${id}">` : ""}<code>${escapeHtml(replay)}</code>${players ? "</a>" : ""}</td><td>${outcomes.join(", ")}</td><td>${steps}</td><td>${seed ?? "none"}</td><td><code>${hash}</code></td></tr>`,
  );
  const table =
    rows.length === 0
      ? ""
      : `<p>${rows.length === 1 ? "The run of its figures was run again for this page" : "The runs of its figures were run again for this page"}${players ? ", and the player does it once more in your browser: the memory at the end must have the same hash (FNV-1a, 64 bits)" : ""}.</p>
<table><thead><tr><th scope="col">replay line</th><th scope="col">outcome</th><th scope="col">steps</th><th scope="col">seed</th><th scope="col">memory at the end</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>`;
  const notAgain = lost.map(
    ({ replay, why }) => `<p>Not run again: <code>${escapeHtml(replay)}</code> (${escapeHtml(why)}).</p>`,
  );
  return `<footer>
<h2 id="checks">What was checked</h2>
${[claimed, table, ...notAgain].filter((part) => part !== "").join("\n")}
<p>Made by guplab ${versionOf("guplab")}${players ? ` with plotly.js ${versionOf("plotly.js-dist")}` : ""}. To make it again:</p>
<pre>npx guplab nb run ${escapeHtml(file)}
npx guplab nb render ${escapeHtml(file)}</pre>
</footer>`;
}

/**
 * The first heading of a notebook, as plain text; undefined when it has none.
 *
 * @example notebookTitle(readNotebook("01-the-crash.ipynb")) // "The crash"
 */
export function notebookTitle(notebook: Notebook): string | undefined {
  for (const cell of notebook.cells) {
    const heading = cell.cell_type === "markdown" && /^#{1,6} +(.*?) *#*$/m.exec(cell.source);
    if (heading) return heading[1].replace(/[*_`$]/g, "");
  }
  return undefined;
}

/** Markdown with maths, and the headings met so far. */
class Markdown {
  readonly headings: Heading[] = [];
  private readonly parser: MarkdownIt;

  constructor() {
    this.parser = markdownIt({ html: true, highlight: (code, language) => highlighted(code, language) });
    this.parser.use(katexPlugin, { throwOnError: false });
    this.parser.renderer.rules.heading_close = (tokens, at) =>
      ` ${anchor(String(tokens[at - 2].attrGet("id")), "this section")}</${tokens[at].tag}>\n`;
  }

  render(source: string, picture: (src: string) => string): string {
    const tokens = this.parser.parse(source, {});
    for (const [at, token] of tokens.entries()) {
      for (const child of token.children ?? []) {
        if (child.type === "image") child.attrSet("src", picture(String(child.attrGet("src"))));
        if (child.type === "link_open") child.attrSet("href", pageOf(String(child.attrGet("href"))));
      }
      if (token.type === "heading_open") token.attrSet("id", this.addHeading(token, tokens[at + 1]));
    }
    return this.parser.renderer.render(tokens, this.parser.options, {});
  }

  private addHeading({ tag }: Token, inline: Token): string {
    const unlinked = (inline.children ?? []).filter(({ type }) => !type.startsWith("link_"));
    const text = unlinked.map(({ content }) => content).join("");
    const slug = (text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? ["section"]).join("-");
    let id = slug;
    for (let n = 2; this.headings.some((heading) => heading.id === id); n++) id = `${slug}-${n}`;
    const html = this.parser.renderer.renderInline(unlinked, this.parser.options, {});
    this.headings.push({ level: Number(tag.slice(1)), id, html });
    return id;
  }
}

/** What a reader copies to link to a place of the page. */
const anchor = (id: string, what: string): string =>
  `<a class="anchor" href="#${id}" aria-label="Link to ${what}">#</a>`;

/** A notebook beside this one has its page beside this page. */
const pageOf = (href: string): string =>
  /^[a-z]+:/i.test(href) ? href : href.replace(/\.ipynb(?=#|$)/, ".html");

/** Second and third level; the first is the page's title, and a page of one section needs no table. */
function contents(headings: readonly Heading[]): string {
  const entries = headings.filter(({ level }) => level === 2 || level === 3);
  if (entries.length < 2) return "";
  const items = entries.map(
    ({ level, id, html }) => `<li class="level-${level}"><a href="#${id}">${html}</a></li>`,
  );
  return `<nav aria-label="Contents">\n<ol>\n${items.join("\n")}\n</ol>\n</nav>`;
}

function textCell(cell: TextCell, markdown: Markdown, at: number): string {
  if (cell.cell_type === "raw")
    return `<section class="text"><pre>${escapeHtml(cell.source)}</pre></section>`;
  const picture = (src: string) => {
    if (src.startsWith("data:")) return src;
    const bundle = src.startsWith("attachment:")
      ? cell.attachments[decodeURI(src.slice("attachment:".length))]
      : undefined;
    const [image] = Object.entries(bundle ?? {});
    if (image) return `data:${image[0]};base64,${String(image[1]).replace(/\s/g, "")}`;
    throw new NotebookError(
      `cell ${at + 1} of the file: the picture ${src} is not in the notebook; attach it to the cell`,
    );
  };
  return `<section class="text">\n${markdown.render(cell.source, picture)}</section>`;
}

/** A file saved from a live notebook holds the library for itself. */
const shown = (cell: CodeCell) => cell.outputs.filter((output) => !isPlotlyLoader(output));

function codeCell(cell: CodeCell, page: Parts): string {
  const assertions = assertionsIn(cell.source);
  let id = "";
  let mark = "";
  if (assertions > 0) {
    const held = ranWell(cell);
    const number = page.claims.push({ assertions, held });
    id = ` id="claim-${number}"`;
    const said = held ? `✓ ${counted(assertions, "claim")}` : `${counted(assertions, "claim")}, not checked`;
    mark = `<a class="claim${held ? "" : " unchecked"}" href="#claim-${number}">${said}</a>\n`;
  }
  const outputs = shown(cell).map((output) => withFigures(outputHtml(output, cell.id), page));
  return `<section class="code"${id}>
<div class="count">[${cell.execution_count ?? " "}]</div>
<pre class="source"><code>${highlighted(cell.source, "typescript")}</code></pre>
${mark}${outputs.join("\n")}
</section>`;
}

/** Figures get numbers by which they are linked; the first one of a run, a place for its player before it. */
function withFigures(html: string, page: Parts): string {
  const players: string[] = [];
  const numbered = html.replace(
    /<figure\b([^>]*\bguplab-figure\b[^>]*)>([\s\S]*?)<\/figure>/g,
    (_, given, inside) => {
      const id = `figure-${++page.figures}`;
      const caption = /<figcaption\b[^>]*>[\s\S]*?<code>([^<]*)<\/code>/.exec(inside);
      const replay = unescapeHtml(/\bdata-run="([^"]*)"/.exec(given)?.[1] ?? caption?.[1] ?? "");
      const met = replay === "" ? undefined : page.runs.meet(replay);
      if (met && page.players)
        players.push(
          `<div class="guplab-player" id="${met.id}" data-run="${escapeHtml(replay)}" data-hash="${met.hash}"></div>\n`,
        );
      const linked = inside.replace("</figcaption>", () => ` ${anchor(id, "this figure")}</figcaption>`);
      return `<figure id="${id}"${given}>${linked}</figure>`;
    },
  );
  return players.join("") + numbered;
}

hljs.registerLanguage("typescript", typescript);

function highlighted(code: string, language: string): string {
  return ["typescript", "ts", "javascript", "js"].includes(language)
    ? hljs.highlight(code, { language: "typescript" }).value
    : escapeHtml(code);
}

function outputHtml(output: Output, cellId: string): string {
  if (output.output_type === "stream")
    return `<pre class="stream ${output.name}">${coloured(output.text)}</pre>`;
  if (output.output_type === "error")
    return `<pre class="stream stderr">${coloured(output.traceback.join("\n"))}</pre>`;
  const html = richest(output.data);
  if (html) return html;
  const types = Object.keys(output.data).join(", ");
  throw new NotebookError(
    `cell ${cellId}: an output of type ${types || "nothing"} cannot be shown in a page`,
  );
}

function coloured(text: string): string {
  const ansi = new AnsiUp();
  ansi.use_classes = true;
  return ansi.ansi_to_html(text);
}

function richest(data: MimeBundle): string | undefined {
  const svg = data["image/svg+xml"];
  // The first line of what a terminal would show is its title.
  const alt = escapeHtml(
    String(data["text/plain"] ?? "")
      .split("\n")[0]
      .trim(),
  );
  // As an image of its own, so that no two pictures share ids.
  const picture = svg && `<img alt="${alt}" src="${svgUri(String(svg))}">`;
  if (data["text/html"]) {
    const html = String(data["text/html"]);
    const hasPicture = /<(img|svg)\b/i.test(html);
    const still = picture && !hasPicture && /<script\b/i.test(html) ? `<noscript>${picture}</noscript>` : "";
    return `<div class="rich${hasPicture || still ? " figure" : ""}">\n${deferScripts(html)}${still}\n</div>`;
  }
  if (picture) return `<div class="rich figure">${picture}</div>`;
  const png = data["image/png"];
  if (png) {
    const src = `data:image/png;base64,${String(png).replace(/\s/g, "")}`;
    return `<div class="rich figure"><img alt="${alt}" src="${src}"></div>`;
  }
  const plain = data["text/plain"];
  return plain === undefined ? undefined : `<pre class="stream">${coloured(String(plain))}</pre>`;
}

/** Makes the scripts of an output wait for PAGE_SCRIPT, which runs them in order when plotly is there. */
function deferScripts(html: string): string {
  return html.replace(
    /<script(\s+type="(?:text|application)\/javascript")?\s*>/gi,
    '<script type="text/plain" data-output>',
  );
}

/** What a page would load from elsewhere. Links to follow are the author's own and stay. */
function refuseForeign(html: string, where: string): void {
  const markup = html.replace(/<(script|pre)\b([^>]*)>[\s\S]*?<\/\1>/gi, "<$1$2>");
  const foreign =
    /<(?!a\b)[a-z]+\b[^>]*?\s(?:src|href|srcset|data|poster)\s*=\s*["']?(?!data:|#|blob:)([^\s"'>]+)/i.exec(
      markup,
    );
  if (foreign) throw new NotebookError(`${where}: it loads ${foreign[1]}, which is not in the notebook`);
}

/** KaTeX's style with its fonts in it, and only in the one format that every browser of today reads. */
function katexStyle(): string {
  const file = require.resolve("katex/dist/katex.min.css");
  return readFileSync(file, "utf8").replace(/src:url\(([^)]+\.woff2)\)[^;}]*/g, (_, font: string) => {
    const bytes = readFileSync(join(dirname(file), font));
    return `src:url(data:font/woff2;base64,${bytes.toString("base64")}) format("woff2")`;
  });
}

const unescapeHtml = (text: string): string =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
