/** The figures of a run on its page: they show what its player shows. */
import { captionHtml, pictureUri, toPicture } from "../../plot/html.js";
import { type Figure, type Part, toHtml } from "../../plot/index.js";
import { escapeXml } from "../../plot/text.js";
import type { Run } from "../run.js";
import { browser, type Page, type Place } from "./browser.js";
import { redrawn } from "./redraw.js";

interface Shown {
  /** As the page was made. */
  readonly figure: Place;
  readonly kind: string;
  readonly part: Part;
  /** What stands in its stead, or above it, while another run is shown. */
  other: Place | null;
}

/** The replay line of a figure's run: said by itself, or in its caption. */
const runOf = (figure: Place): string | null | undefined =>
  figure.dataset.run || figure.querySelector("figcaption code")?.textContent;

/** Figures of one run. */
export class RunFigures {
  private readonly all: readonly Shown[];

  /** @param replay the run's replay line */
  constructor(
    private readonly document: Page,
    replay: string,
  ) {
    this.all = [...document.querySelectorAll("figure.guplab-figure")]
      .filter((figure) => runOf(figure) === replay)
      .map((figure) => ({
        figure,
        kind: figure.dataset.kind ?? "",
        part: JSON.parse(figure.dataset.part ?? "{}") as Part,
        other: null,
      }));
  }

  /** Those of the recorded run, as the page was made. */
  restore(): void {
    for (const shown of this.all) this.takeAway(shown);
    // A plot that was hidden has not heard that the window has another width.
    browser.dispatchEvent(new browser.Event("resize"));
  }

  /** Draw them of another run. */
  draw(run: Run): void {
    for (const shown of this.all) {
      const drawn = redrawn(run, shown.kind, shown.part);
      if ("says" in drawn) this.say(shown, drawn.says, drawn.search);
      else this.revive(this.put(shown, toHtml(drawn), false));
    }
  }

  /** The same as pictures, at once: of a run that goes on, step by step. A moment is then the last one. */
  sketch(run: Run): void {
    for (const shown of this.all) {
      const { kind, part } = shown;
      const drawn = redrawn(run, kind, { ...part, tick: undefined });
      if ("says" in drawn) this.say(shown, drawn.says, drawn.search);
      else if (shown.other?.dataset.sketch === undefined) {
        this.put(shown, toPicture(drawn), false).dataset.sketch = "";
      } else this.change(shown.other, drawn);
    }
  }

  /** Show another figure in the place of a picture, which does not flicker. */
  private change(place: Place, figure: Figure): void {
    const image = place.querySelector("img") as Place;
    image.setAttribute("src", pictureUri(figure));
    image.setAttribute("alt", `${figure.layout.title.text}. ${figure.caption}`);
    (place.querySelector("figcaption") as Place).innerHTML = captionHtml(figure);
  }

  private say(shown: Shown, says: string, keeps: boolean): void {
    const words = keeps ? `Of the recorded run, as the page was made. ${says}` : says;
    this.put(shown, `<p class="player-word">${escapeXml(words)}</p>`, keeps);
  }

  /**
   * Put something in a figure's stead, or above it.
   *
   * @param keeps whether the figure stays, grey
   */
  private put(shown: Shown, html: string, keeps: boolean): Place {
    this.takeAway(shown);
    const { figure } = shown;
    figure.hidden = !keeps;
    if (keeps) figure.dataset.stale = "";
    figure.insertAdjacentHTML("beforebegin", html);
    shown.other = figure.previousElementSibling as Place;
    return shown.other;
  }

  /** Have the figure as it was. */
  private takeAway(shown: Shown): void {
    const { figure, other } = shown;
    const plot = other?.querySelector(".js-plotly-plot");
    if (plot) browser.Plotly?.purge(plot);
    other?.remove();
    shown.other = null;
    figure.hidden = false;
    delete figure.dataset.stale;
  }

  /** Scripts that come as text do not run of themselves. */
  private revive(place: Place): void {
    for (const inert of [...place.querySelectorAll("script")]) {
      const script = this.document.createElement("script");
      script.textContent = inert.textContent;
      inert.replaceWith(script);
    }
  }
}
