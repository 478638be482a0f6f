/** Prints on their way to the clients, put together: many small ones become a few messages, in their order. */

/** A print waits for others for so long at most. */
const FLUSH_MS = 20;
/** Prints are sent when they have so many characters. */
const FLUSH_CHARACTERS = 1 << 16;

export class Streams {
  private name = "";
  private texts: string[] = [];
  private characters = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly send: (name: string, text: string) => void) {}

  add(name: string, text: string): void {
    if (name !== this.name) this.flush();
    this.name = name;
    this.texts.push(text);
    this.characters += text.length;
    if (this.characters >= FLUSH_CHARACTERS) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  /** Send what waits: before everything that was shown after it. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.texts.length === 0) return;
    const text = this.texts.join("");
    this.texts = [];
    this.characters = 0;
    this.send(this.name, text);
  }
}
