/**
 * What a cell prints and shows, on its way to the sockets' thread. It goes there at once: this thread may be about to
 * begin a loop that never ends.
 */
import type { Json, MimeBundle } from "../format.js";
import { LOADER_MARK, needsPlotly, plotlyLoader } from "../plotly.js";
import { printSize, SHARED, type ToServer } from "./link.js";
import type { Content } from "./wire.js";

/** A cell that prints faster than the other thread sends is held up when so much is under way. */
const UNSENT_MAX = 1 << 25;
/** Outputs that go to a file, and to no page, are to be without plotly. */
const BRINGS_NONE = process.env.GUPLAB_PLOTLY === "none";

export class Output {
  /** Drop everything: a silent execution is under way. */
  silent = false;
  /** Whether the page has plotly, or is to have none. */
  private hasPlotly = BRINGS_NONE;

  constructor(
    private readonly post: (message: ToServer) => void,
    private readonly shared: Int32Array,
  ) {}

  print(name: "stdout" | "stderr", text: string): void {
    if (this.silent || text === "") return;
    for (let unsent = this.unsent(); unsent > UNSENT_MAX; unsent = this.unsent())
      Atomics.wait(this.shared, SHARED.unsent, unsent, 100);
    Atomics.add(this.shared, SHARED.unsent, printSize(text));
    this.post({ kind: "print", name, text });
  }

  private unsent(): number {
    return Atomics.load(this.shared, SHARED.unsent);
  }

  publish(type: string, content: Content, metadata?: MimeBundle): void {
    if (!this.silent) this.post({ kind: "publish", type, content, metadata });
  }

  /** Someone else may look on from here: what the page before had is not in this one. */
  newPage(): void {
    this.hasPlotly = BRINGS_NONE;
  }

  /** Show a bundle; the first on a page that draws with plotly brings plotly along. */
  show(type: string, data: MimeBundle, more: Record<string, Json> = {}): void {
    if (!this.hasPlotly && !this.silent && needsPlotly(data)) {
      this.hasPlotly = true;
      const loader: MimeBundle = { "text/html": plotlyLoader() };
      this.publish("display_data", { data: loader, metadata: LOADER_MARK, transient: {} });
    }
    this.publish(type, { data, metadata: {}, ...more });
  }
}
