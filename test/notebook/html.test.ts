import { describe, expect, test } from "vitest";
import { NotebookError, type Output } from "../../src/notebook/format.js";
import { notebookTitle, renderNotebook } from "../../src/notebook/html.js";
import { LOADER_MARK } from "../../src/notebook/plotly.js";
import { displayed, FIGURE_HTML, notebookOf, type Sketch } from "./fixture.js";

const render = (...cells: readonly Sketch[]) =>
  renderNotebook(notebookOf(...cells), { title: "The <crash>", file: "crash.ipynb", plotly: true });
const cell = (...outputs: readonly Output[]) => ({ source: "show(figure)", outputs });
const stream = (text: string): Output => ({ output_type: "stream", name: "stdout", text });
const figure = displayed({ "text/plain": "pins", "text/html": FIGURE_HTML });

/** Everything that a page could fetch: attributes that load, and url() and @import of its style. */
function loaded(page: string): string[] {
  const attributes = [...page.matchAll(/<(?!a\b)[a-z]+\b[^>]*?\s(?:src|srcset|href|poster|data)="([^"]*)"/g)];
  const styles = [...page.matchAll(/url\(\s*["']?([^)"']*)|@import\s+["']?([^"';]*)/g)];
  return [...attributes, ...styles].map(([, url]) => url);
}

describe("a page needs nothing beside it", () => {
  const page = render(
    "# The crash\n\n$r = 1$ and [LWN](https://lwn.net/Articles/774411/)",
    cell(figure),
    cell(figure),
  );

  test("all that it loads is in it", () => {
    const urls = loaded(page);
    expect(urls.length).toBeGreaterThan(20);
    for (const url of urls) expect(url).toMatch(/^data:/);
  });

  test("the only address in it outside the library is the author's link, and names of XML vocabularies", () => {
    const addresses = new Set(page.match(/https?:\/\/[^"'\s<)]+/g));
    expect([...addresses].sort()).toEqual([
      "http://www.w3.org/1998/Math/MathML",
      "https://lwn.net/Articles/774411/",
    ]);
  });

  test("it forbids itself to load anything", () => {
    expect(page).toContain(`content="default-src 'none'; script-src 'unsafe-inline'`);
  });

  test.each([
    "![x](https://example.org/x.png)",
    '<img alt="" src="x.png">',
    '<script src="//example.org/x.js"></script>',
  ])("a cell that loads from elsewhere is refused: %s", (source) =>
    expect(() => render("# One", source)).toThrow(/^cell 2 of the file: .*x\.(png|js).* not in the notebook/),
  );

  test("an output that loads from elsewhere is refused", () => {
    const foreign = displayed({ "text/html": '<link rel="stylesheet" href="https://example.org/a.css">' });
    expect(() => render(cell(foreign))).toThrow(
      new NotebookError(
        "cell 1 of the file: it loads https://example.org/a.css, which is not in the notebook",
      ),
    );
  });
});

describe("what is embedded is what is needed", () => {
  test("plotly once, and only where a figure occurs", () => {
    expect(render(cell(figure), cell(figure)).match(/DecompressionStream/g)).toHaveLength(1);
    expect(render("Plotly draws", cell(stream("Plotly <script>"))).length).toBeLessThan(20_000);
  });

  test("plotly not at all where figures are to stay pictures", () => {
    const still = renderNotebook(notebookOf(cell(figure)), { title: "t", file: "t.ipynb", plotly: false });
    expect(still).not.toContain("DecompressionStream");
    expect(still).toContain('<img alt="pins"');
    expect(still.length).toBeLessThan(20_000);
  });

  test("the fonts of maths only where maths occurs, in one format", () => {
    expect(render("costs 5 dollars")).not.toContain("@font-face");
    const page = render("$\\sum_i p_i$");
    expect(page).toContain("data:font/woff2;base64,");
    expect(page).not.toMatch(/\.(ttf|woff2?)\b/);
  });

  test("the library that a live notebook was sent is left out", () => {
    const loader = displayed({ "text/html": "<script>loader</script>" }, LOADER_MARK);
    expect(render(cell(loader))).not.toContain("loader</script>");
  });
});

describe("outputs", () => {
  test("HTML comes before SVG, SVG before PNG, PNG before text", () => {
    const all = {
      "text/html": "<b>H</b>",
      "image/svg+xml": "<svg/>",
      "image/png": "UE5H",
      "text/plain": "T",
    };
    const { "text/html": _html, ...noHtml } = all;
    const { "image/svg+xml": _svg, ...noSvg } = noHtml;
    expect(render(cell(displayed(all)))).toContain("<b>H</b>");
    expect(render(cell(displayed(noHtml)))).toContain("data:image/svg+xml;base64,PHN2Zy8+");
    expect(render(cell(displayed(noSvg)))).toContain("data:image/png;base64,UE5H");
    expect(render(cell(displayed({ "text/plain": "a < b" })))).toContain("a &lt; b");
  });

  test("a figure whose HTML is a script alone shows its SVG where scripts do not run", () => {
    const bare = displayed({ "text/html": "<script>Plotly.x()</script>", "image/svg+xml": "<svg/>" });
    expect(render(cell(bare))).toContain(
      '<noscript><img alt="" src="data:image/svg+xml;base64,PHN2Zy8+"></noscript>',
    );
  });

  test("scripts of outputs wait; data in a script element stays", () => {
    const page = render(
      cell(
        displayed({ "text/html": '<script>Plotly.x()</script><script type="application/json">1</script>' }),
      ),
    );
    expect(page).toContain('<script type="text/plain" data-output>Plotly.x()');
    expect(page).toContain('<script type="application/json">1');
  });

  test("prints keep their colours as classes, and their text is text", () => {
    const page = render(cell(stream("\u001b[31mBUG\u001b[0m in <page_buffers>")));
    expect(page).toContain('<span class="ansi-red-fg">BUG</span> in &lt;page_buffers&gt;');
  });

  test("an output that a page cannot show is named", () => {
    expect(() => render(cell(displayed({ "application/x-thing": "1" })))).toThrow(
      "an output of type application/x-thing cannot be shown",
    );
  });
});

describe("text", () => {
  test("the table of contents follows the title and links to the headings, doubles told apart", () => {
    const page = render("# The crash\n\nIntro", "## Pins `r`\n## Pins [r](https://lwn.net/)\n### Über $x$");
    expect(page).toMatch(/<\/h1>\n<nav aria-label="Contents">/);
    expect(page.match(/<li class="level-\d"><a href="#[^"]*">/g)).toEqual([
      '<li class="level-2"><a href="#pins-r">',
      '<li class="level-2"><a href="#pins-r-2">',
      '<li class="level-3"><a href="#über-x">',
    ]);
    expect(render("## A\n## A")).toContain('<h2 id="a-2">');
  });

  test("code is highlighted, other code is plain", () => {
    expect(render("```ts\nconst a = 1;\n```\n```\n<b>\n```")).toContain(
      '<span class="hljs-keyword">const</span> a',
    );
    expect(render("```\n<b>\n```")).toContain("<code>&#60;b&#62;");
  });

  test("a picture attached to its cell is in the page", () => {
    const notebook = notebookOf("![a](attachment:a%20b.png)");
    const cells = [{ ...notebook.cells[0], attachments: { "a b.png": { "image/png": "UE5H\n" } } }];
    expect(renderNotebook({ ...notebook, cells }, { title: "t", file: "t.ipynb", plotly: true })).toContain(
      'src="data:image/png;base64,UE5H"',
    );
  });

  test("the title is escaped, and found in the first heading", () => {
    expect(render("x")).toContain("<title>The &#60;crash&#62;</title>");
    expect(notebookTitle(notebookOf("words", "# The `crash` of *2018*"))).toBe("The crash of 2018");
    expect(notebookTitle(notebookOf("words"))).toBeUndefined();
  });
});

test("the same notebook gives the same bytes", () => {
  expect(render("# $x$", cell(figure))).toBe(render("# $x$", cell(figure)));
});
