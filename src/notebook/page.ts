/** The look of a rendered notebook, on a screen of any width, in light and dark, and on paper; and its one script. */

export const PAGE_STYLE = `:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2228; --faint: #66707c; --line: #dde2e8; --shade: #f5f7f9; --link: #0b5cad;
  --keyword: #8a2f8f; --string: #22722f; --number: #a04a00; --name: #0b5cad; --alarm: #a3231b;
  --edge: #808b97; --fresh: #fdf3d3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #dbe1e7; --faint: #8d98a4; --line: #2d343c; --shade: #1c2228; --link: #79b8ff;
    --keyword: #d7a0e0; --string: #93d09c; --number: #f0b27a; --name: #79b8ff; --alarm: #ff9a8f;
    --edge: #6f7b87; --fresh: #2f2a17;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 56rem;
  background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
h1, h2, h3, h4 { line-height: 1.25; text-wrap: balance; margin: 2.2em 0 0.6em; scroll-margin-top: 1rem; }
h1 { font-size: 2.1rem; margin-top: 0; }
h2 { font-size: 1.5rem; padding-top: 0.9em; border-top: 1px solid var(--line); }
h3 { font-size: 1.2rem; }
p, li, blockquote { max-width: 44rem; }
a { color: var(--link); text-underline-offset: 0.15em; }
blockquote { margin: 1em 0; padding: 0 0 0 1em; border-left: 3px solid var(--line); color: var(--faint); }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3em 0.8em; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
img { max-width: 100%; height: auto; }
.katex-display { overflow-x: auto; overflow-y: hidden; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.85rem; }
pre { line-height: 1.5; overflow-x: auto; margin: 0.8rem 0; tab-size: 2; }
:not(pre) > code { background: var(--shade); padding: 0.1em 0.3em; border-radius: 3px; }
.text pre, .source { background: var(--shade); padding: 0.8rem 1rem; border-radius: 6px; }
.code { margin: 1.4rem 0; }
.source { border-left: 3px solid var(--line); margin-top: 0; }
.count { color: var(--faint); font-size: 0.75rem; text-align: right; user-select: none; }
.anchor { color: var(--faint); text-decoration: none; font-weight: 400; opacity: 0; }
:hover > .anchor, .anchor:focus { opacity: 1; }
.figure .anchor { color: #5b6670; }
.claim { display: block; width: fit-content; color: var(--faint); font-size: 0.75rem; text-decoration: none; margin: -0.55rem 0 0.2rem auto; }
.claim:hover, .claim:focus { text-decoration: underline; }
.unchecked { color: var(--alarm); }
:target { scroll-margin-top: 1rem; }
.code:target > .source { border-left-color: var(--link); }
footer { margin-top: 4rem; font-size: 0.9375rem; }
footer td:first-child { word-break: break-all; min-width: 14rem; }
footer code { font-size: 0.8125rem; }
.stream { padding: 0 1rem; }
.stderr { border-left: 3px solid var(--alarm); }
.rich { overflow-x: auto; margin: 0.8rem 0; }
.rich table:has([scope="row"]) { font-size: 0.75rem; }
.rich table:has([scope="row"]) :is(th, td) { padding: 0.15rem 0.3rem; white-space: nowrap; }
.rich [scope="row"] { position: sticky; left: 0; background: var(--paper); }
.figure { color-scheme: light; background: #ffffff; color: #1d2228; --shade: #f5f7f9; border-radius: 6px; }
@media screen and (prefers-color-scheme: dark) {
  .figure { padding: 0.25rem 1rem; }
}
@media (min-width: 64rem) {
  .code { position: relative; }
  .count { position: absolute; right: calc(100% + 0.6rem); top: 0.9rem; }
}
nav ol { list-style: none; margin: 1.5rem 0 2rem; padding: 0; font-size: 0.95rem; }
nav li { max-width: none; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
nav .level-3 { padding-left: 1.2em; }
@media (min-width: 84rem) {
  nav { position: fixed; top: 2.5rem; left: calc(50% + 29rem); width: 12rem; max-height: 90vh; overflow-y: auto; }
  nav ol { margin: 0; }
  nav li { margin-bottom: 0.4em; line-height: 1.35; }
}
.hljs-keyword, .hljs-literal, .hljs-built_in, .hljs-type { color: var(--keyword); }
.hljs-string, .hljs-regexp, .hljs-template-variable { color: var(--string); }
.hljs-number { color: var(--number); }
.hljs-title, .hljs-title.function_, .hljs-title.class_ { color: var(--name); }
.hljs-comment { color: var(--faint); font-style: italic; }
.ansi-red-fg, .ansi-bright-red-fg { color: var(--alarm); }
.ansi-green-fg, .ansi-bright-green-fg { color: var(--string); }
.ansi-yellow-fg, .ansi-bright-yellow-fg { color: var(--number); }
.ansi-blue-fg, .ansi-bright-blue-fg, .ansi-cyan-fg, .ansi-bright-cyan-fg { color: var(--name); }
.ansi-magenta-fg, .ansi-bright-magenta-fg { color: var(--keyword); }
.ansi-bright-black-fg { color: var(--faint); }
@media print {
  :root {
    font-size: 13px;
    --paper: #ffffff; --ink: #000000; --faint: #555555; --line: #cccccc; --shade: #f5f5f5; --link: #000000;
  }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  h1, h2, h3, h4 { break-after: avoid; }
  .anchor, .claim { display: none; }
  .figure, figure, table, blockquote { break-inside: avoid; overflow: visible; }
  .guplab-plot { min-width: 0 !important; }
  .rich table:has([scope="row"]) { font-size: 0.52rem; }
  .rich table:has([scope="row"]) :is(th, td) { padding: 0.1rem 0.15rem; }
  /* Plotly has drawn for the width of the screen's column, 53.5rem, and paper holds about 42. */
  .js-plotly-plot { zoom: 0.78; }
}
`;

/** Runs the scripts of the outputs in the order of the page, after plotly where plotly is there. */
export const PAGE_SCRIPT = `<script>
(async () => {
  await window.plotlyReady;
  for (const waiting of document.querySelectorAll("script[data-output]")) {
    const script = document.createElement("script");
    script.textContent = waiting.textContent;
    waiting.replaceWith(script);
  }
})();
</script>`;
