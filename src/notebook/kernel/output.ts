/**
 * What a cell prints and shows, on its way to the sockets' thread. It goes there at once: this thread may be about to
 * begin a loop that never ends.
 */
import type { Json, MimeBundle } from "../format.js";
import { LOADER_MARK, needsPlotly, plotlyOutput } from "../plotly.js";
import { printSize, SHARED, type ToServer } from "./link.js";
import type { Content } from "./wire.js";

/** A cell that prints faster than the other thread sends is held up when so much is under way. */
const UNSENT_MAX = 1 << 25;
/** Outputs that go to a file, and to no page, are to be without plotly. */
const BRINGS_NONE = process.env.GUPLAB_PLOTLY === "none";

export class Output {
  /** Drop everything: a silent execution is under way. */
  silent = false;
  /** Whether the page has plotly in an output. */
  private hasPlotly = false;
  /** The cell that runs, and the one in whose outputs plotly is, where the front end names cells. */
  private cell: string | undefined;
  private plotlyCell: string | undefined;

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

  /**
   * A cell is about to run, and its old outputs are gone.
   *
   * @param cell what the front end calls it, where it does
   * @param hasPlotly whether the page has plotly in an output; null: as before
   */
  begin(cell: string | undefined, hasPlotly: boolean | null): void {
    this.cell = cell;
    if (cell !== undefined && cell === this.plotlyCell) this.hasPlotly = false;
    else this.hasPlotly = hasPlotly ?? this.hasPlotly;
  }

  /** Show a bundle; the first on a page that draws with plotly brings plotly along. */
  show(type: string, data: MimeBundle, more: Record<string, Json> = {}): void {
    if (!this.hasPlotly && !BRINGS_NONE && !this.silent && needsPlotly(data)) {
      this.hasPlotly = true;
      this.plotlyCell = this.cell;
      this.publish("display_data", { data: plotlyOutput(), metadata: LOADER_MARK, transient: {} });
    }
    this.publish(type, { data, metadata: {}, ...more });
  }
}
