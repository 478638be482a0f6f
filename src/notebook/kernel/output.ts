/**
 * What a cell prints and shows, on its way to the sockets. Prints are put together: many small ones become a few messages,
 * in the order in which they and everything else came.
 */
import type { Json, MimeBundle } from "../format.js";
import { LOADER_MARK, needsPlotly, plotlyLoader } from "../plotly.js";
import { SHARED, type ToServer } from "./link.js";
import type { Content } from "./wire.js";

/** A print waits for others for so long at most. */
const FLUSH_MS = 20;
/** Prints are sent when they have so many characters. */
const FLUSH_CHARACTERS = 1 << 16;
/** A cell that prints faster than clients read is held up when so many characters are under way. */
const UNSENT_MAX = 1 << 25;

export class Output {
  /** Drop everything: a silent execution is under way. */
  silent = false;
  private stream: "stdout" | "stderr" = "stdout";
  private text: string[] = [];
  private characters = 0;
  private since = 0;
  private timer: NodeJS.Timeout | undefined;
  private plotlySent = process.env.GUPLAB_PLOTLY === "none";

  constructor(
    private readonly post: (message: ToServer) => void,
    private readonly shared: Int32Array,
  ) {}

  print(stream: "stdout" | "stderr", text: string): void {
    if (this.silent || text === "") return;
    if (stream !== this.stream) this.flush();
    const now = performance.now();
    if (this.characters === 0) this.since = now;
    this.stream = stream;
    this.text.push(text);
    this.characters += text.length;
    if (this.characters >= FLUSH_CHARACTERS || now - this.since >= FLUSH_MS) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.characters === 0) return;
    const text = this.text.join("");
    this.text = [];
    this.characters = 0;
    while (Atomics.load(this.shared, SHARED.unsent) > UNSENT_MAX) {
      Atomics.wait(this.shared, SHARED.unsent, Atomics.load(this.shared, SHARED.unsent), 100);
    }
    Atomics.add(this.shared, SHARED.unsent, text.length);
    this.post({ kind: "publish", type: "stream", content: { name: this.stream, text } });
  }

  publish(type: string, content: Content, metadata?: MimeBundle): void {
    this.flush();
    if (!this.silent) this.post({ kind: "publish", type, content, metadata });
  }

  /** Show a bundle; the first that draws with plotly brings plotly along. */
  show(type: string, data: MimeBundle, more: Record<string, Json> = {}): void {
    if (!this.plotlySent && !this.silent && needsPlotly(data)) {
      this.plotlySent = true;
      this.publish("display_data", {
        data: { "text/html": plotlyLoader() },
        metadata: LOADER_MARK,
        transient: {},
      });
    }
    this.publish(type, { data, metadata: {}, ...more });
  }
}
