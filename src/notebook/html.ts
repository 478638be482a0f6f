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
import {
  type CodeCell,
  type MimeBundle,
  type Notebook,
  NotebookError,
  type Output,
  type TextCell,
} from "./format.js";
import { PAGE_SCRIPT, PAGE_STYLE } from "./page.js";
import { isPlotlyLoader, needsPlotly, plotlyLoader } from "./plotly.js";

const require = createRequire(import.meta.url);
// Required, because what an import of this CommonJS module gives differs between Node and bundlers.
const katexPlugin = (require("@vscode/markdown-it-katex") as typeof KatexPlugin).default;

export interface RenderOptions {
  /** Of the browser's window. */
  readonly title: string;
  /** Whether figures are interactive. The library is embedded, 2.6 MB, if a figure occurs; else pictures stay pictures. */
  readonly plotly: boolean;
}

interface Heading {
  readonly level: number;
  readonly id: string;
  readonly html: string;
}

/**
 * Render a notebook with the outputs that it holds; nothing is executed. The same notebook gives the same bytes.
 *
 * @throws NotebookError when a cell refers to a file outside the notebook, or an output has no form that a page can show
 * @example
 * const page = renderNotebook(readNotebook("01-the-crash.ipynb"), { title: "The crash", plotly: true });
 */
export function renderNotebook(notebook: Notebook, options: RenderOptions): string {
  const markdown = new Markdown();
  const body = notebook.cells
    .map((cell, at) => {
      const html = cell.cell_type === "code" ? codeCell(cell) : textCell(cell, markdown, at);
      refuseForeign(html, `cell ${at + 1} of the file`);
      return html;
    })
    .join("\n");
  const figures = notebook.cells.some(
    (cell) =>
      cell.cell_type === "code" && shown(cell).some((output) => "data" in output && needsPlotly(output.data)),
  );
  const nav = contents(markdown.headings);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:">
<title>${escapeHtml(options.title)}</title>
<style>
${PAGE_STYLE}${body.includes('class="katex') ? katexStyle() : ""}
</style>
</head>
<body>
<main>
${body.includes("</h1>") ? body.replace("</h1>", () => `</h1>\n${nav}`) : nav + body}
</main>
${figures && options.plotly ? plotlyLoader() : ""}
${options.plotly || !figures ? PAGE_SCRIPT : ""}
</body>
</html>
`;
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
  }

  render(source: string, picture: (src: string) => string): string {
    const tokens = this.parser.parse(source, {});
    for (const [at, token] of tokens.entries()) {
      for (const child of token.children ?? []) {
        if (child.type === "image") child.attrSet("src", picture(String(child.attrGet("src"))));
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

function codeCell(cell: CodeCell): string {
  const outputs = shown(cell)
    .map((output) => outputHtml(output, cell.id))
    .join("\n");
  return `<section class="code">
<div class="count">[${cell.execution_count ?? " "}]</div>
<pre class="source"><code>${highlighted(cell.source, "typescript")}</code></pre>
${outputs}
</section>`;
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
  // As an image of its own, so that no two pictures share ids.
  const picture =
    svg && `<img alt="" src="data:image/svg+xml;base64,${Buffer.from(String(svg)).toString("base64")}">`;
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
    return `<div class="rich figure"><img alt="" src="${src}"></div>`;
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

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
