import { describe, expect, test } from "vitest";
import { memoryHash } from "../../src/lab/player/hash.js";
import { run } from "../../src/lab/run.js";
import { NotebookError, type Output } from "../../src/notebook/format.js";
import { notebookTitle, renderNotebook } from "../../src/notebook/html.js";
import { PAGE_STYLE } from "../../src/notebook/page.js";
import { LOADER_MARK } from "../../src/notebook/plotly.js";
import { mimeBundle } from "../../src/plot/index.js";
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
    const [, policy] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    expect(policy.split("; ")).toEqual([
      "default-src 'none'",
      "script-src 'unsafe-inline'",
      "style-src 'unsafe-inline'",
      "img-src data: blob:",
      "font-src data:",
      "worker-src blob:",
    ]);
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
    expect(render(cell(displayed(noHtml)))).toContain("data:image/svg+xml;charset=utf-8,%3Csvg/%3E");
    expect(render(cell(displayed(noSvg)))).toContain("data:image/png;base64,UE5H");
    expect(render(cell(displayed({ "text/plain": "a < b" })))).toContain("a &lt; b");
  });

  test("a figure whose HTML is a script alone shows its SVG where scripts do not run", () => {
    const bare = displayed({ "text/html": "<script>Plotly.x()</script>", "image/svg+xml": "<svg/>" });
    expect(render(cell(bare))).toContain(
      '<noscript><img alt="" src="data:image/svg+xml;charset=utf-8,%3Csvg/%3E"></noscript>',
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

const CRASH = "kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4";
const crash = run(CRASH);
const crashed = displayed({ ...mimeBundle(crash.plot.lanes()) });
/** As write-ups had it before figures said their run themselves. */
const older = displayed({
  "text/html": String(crashed.output_type === "display_data" && crashed.data["text/html"]).replace(
    / data-(run|kind)="[^"]*"/g,
    "",
  ),
});
const asserting = (source: string, ...outputs: readonly Output[]) => ({ source, outputs });

describe("a run", () => {
  test("has a place for its player before its first figure, whatever says which run it is", () => {
    for (const output of [crashed, older]) {
      const page = render(cell(output, output), cell(output));
      expect(page.match(/<div class="guplab-player"/g)).toHaveLength(1);
      expect(page.indexOf(`id="run-1" data-run="${CRASH}"`)).toBeLessThan(page.indexOf('id="figure-1"'));
      expect(page).toContain(`data-hash="${memoryHash(crash.world.k.memory)}"`);
    }
  });

  test("brings guplab along, once, and only then", () => {
    const unpacked = (page: string) => page.match(/DecompressionStream/g)?.length;
    expect(unpacked(render(cell(crashed, crashed)))).toBe(2);
    expect(unpacked(render(cell(figure)))).toBe(1);
    expect(render(cell(crashed)).length).toBeLessThan(2_400_000);
  });

  test("stands at the foot with its outcome, its memory, and the seed where the notebook's code names it", () => {
    const seeded = run("kara-2018", { seed: 11 });
    const page = render(
      asserting("lab.run('kara-2018', { seed: 11 })", displayed({ ...mimeBundle(seeded.plot.pins()) })),
    );
    const row = /<tr><td><a href="#run-1"><code>(.*?)<\/code>.*<\/tr>/.exec(page);
    expect(row?.[1]).toBe(seeded.replay);
    expect(row?.[0].replace(/<[^>]*>/g, " ")).toContain(seeded.outcomes.join(", "));
    expect(row?.[0]).toContain(
      `<td>${seeded.steps}</td><td>11</td><td><code>${memoryHash(seeded.world.k.memory)}</code>`,
    );
    expect(render(cell(crashed))).toContain("<td>63</td><td>none</td>");
  });

  test("of a patch that only its notebook knows is not run again, and the page says why", () => {
    const html = String(older.output_type === "display_data" && older.data["text/html"]);
    const own = displayed({ "text/html": html.replaceAll("@v4.20:", "@v4.20+mine:") });
    const page = render(cell(own));
    expect(page).not.toContain('class="guplab-player"');
    expect(page).toMatch(
      /Not run again: <code>kara-2018@v4\.20\+mine:\w+<\/code> \(there is no patch .*mine/,
    );
  });

  test("without scripts has no player, and its figures stay", () => {
    const still = renderNotebook(notebookOf(cell(crashed)), { title: "t", file: "t.ipynb", plotly: false });
    expect(still).not.toContain("guplab-player");
    expect(still).toContain(memoryHash(crash.world.k.memory));
  });
});

describe("claims", () => {
  const page = render(
    asserting("assert.equal(1, 1);\nassert(true); // assert(false)"),
    asserting("const a = 1;"),
    asserting("assert.ok(a)"),
  );

  test("are counted, marked where they are, and linked from the foot", () => {
    expect(page.match(/<section class="code" id="claim-\d">/g)).toHaveLength(2);
    expect(page).toContain('<a class="claim" href="#claim-1">✓ 2 claims</a>');
    expect(page).toContain('<a class="claim" href="#claim-2">✓ 1 claim</a>');
    expect(page).toContain("3 claims checked");
    expect(page).toContain('<a href="#claim-1">1</a> <a href="#claim-2">2</a>');
  });

  test("of a cell that failed, or never ran, are not checked", () => {
    const failed: Output = { output_type: "error", ename: "Error", evalue: "no", traceback: ["no"] };
    const bad = render(asserting("assert(true)"), asserting("assert(false)", failed));
    expect(bad).toContain("1 claim checked");
    expect(bad).toContain("1 claim not checked</b>");
    expect(bad).toContain('<a class="claim unchecked" href="#claim-2">1 claim, not checked</a>');
    const notebook = notebookOf(asserting("assert(true)"));
    const cells = notebook.cells.map((each) => ({ ...each, execution_count: null }));
    const never = renderNotebook({ ...notebook, cells } as typeof notebook, {
      title: "t",
      file: "t.ipynb",
      plotly: true,
    });
    expect(never).toContain("0 claims checked");
  });

  test("a page without any says so", () => {
    expect(render("words")).toContain("Nothing in this page is asserted by its code.");
  });
});

describe("links", () => {
  test("headings and figures have one to themselves", () => {
    const page = render("# The crash\n\n## Pins", cell(crashed, crashed));
    expect(page).toContain(
      'Pins <a class="anchor" href="#pins" aria-label="Link to this section">#</a></h2>',
    );
    expect(page.match(/<figure id="figure-\d" /g)).toEqual([
      '<figure id="figure-1" ',
      '<figure id="figure-2" ',
    ]);
    expect(page).toContain(
      '<a class="anchor" href="#figure-2" aria-label="Link to this figure">#</a></figcaption>',
    );
  });

  test("a notebook beside this one is linked as the page beside this page", () => {
    const page = render("[a](02-a-real-kernel.ipynb) [b](x.ipynb#y) [c](https://lwn.net/x.ipynb)");
    expect([...page.matchAll(/<a href="([^"#]+(?:#y)?)"/g)].map(([, href]) => href)).toEqual([
      "02-a-real-kernel.html",
      "x.html#y",
      "https://lwn.net/x.ipynb",
    ]);
  });

  test("the foot names the commands that make the page again", () => {
    expect(render("x")).toContain("npx guplab nb run crash.ipynb\nnpx guplab nb render crash.ipynb");
  });
});

describe("colours", () => {
  const [light, dark] = [...PAGE_STYLE.matchAll(/:root \{[\s\S]*?\}/g)].map(
    ([block]) => new Map([...block.matchAll(/--(\w+): (#\w{6})/g)].map(([, name, color]) => [name, color])),
  );
  const brightness = (color: string): number => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [less, more] = [brightness(a), brightness(b)].sort((x, y) => x - y);
    return (more + 0.05) / (less + 0.05);
  };

  test.each([
    ["light", light],
    ["dark", dark],
  ])(
    "%s: texts have 4.5 to 1 on all that is behind them, the edges of controls 3 to 1 (WCAG 2.2)",
    (_, of) => {
      const color = (name: string): string => of.get(name) ?? "";
      for (const behind of ["paper", "shade", "fresh"]) {
        for (const ink of ["ink", "faint", "link", "keyword", "string", "number", "name", "alarm"])
          expect(contrast(color(ink), color(behind)), `${ink} on ${behind}`).toBeGreaterThanOrEqual(4.5);
        expect(contrast(color("edge"), color(behind)), `edge on ${behind}`).toBeGreaterThanOrEqual(3);
      }
    },
  );
});

test("the same notebook gives the same bytes", () => {
  const cells = ["# $x$", cell(figure, crashed)] as const;
  expect(render(...cells)).toBe(render(...cells));
});
