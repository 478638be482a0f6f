/** The little of a browser that the player needs, as types: guplab is checked without those of a browser. */

export interface Events {
  addEventListener(event: string, heard: (event: PageEvent) => void): void;
  dispatchEvent(event: object): boolean;
}

export interface Place extends Events {
  innerHTML: string;
  textContent: string | null;
  hidden: boolean;
  readonly id: string;
  readonly isConnected: boolean;
  readonly dataset: Record<string, string | undefined>;
  readonly parentElement: Place | null;
  readonly previousElementSibling: Place | null;
  closest(selector: string): Place | null;
  querySelector(selector: string): Place | null;
  querySelectorAll(selector: string): Iterable<Place>;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  insertAdjacentHTML(where: "beforebegin", html: string): void;
  replaceWith(other: Place): void;
  remove(): void;
  focus(): void;
}

/** A range, a number or a choice. */
export interface Control extends Place {
  value: string;
  max: string;
  disabled: boolean;
}

export interface PageEvent {
  readonly target: Place;
  readonly detail?: unknown;
}

export interface Page extends Events {
  readonly currentScript: Place | null;
  querySelector(selector: string): Place | null;
  querySelectorAll(selector: string): Iterable<Place>;
  createElement(tag: string): Place;
}

/** Another thread. */
export interface Thread {
  onmessage: ((message: { readonly data: unknown }) => void) | null;
  onerror: ((event: { readonly message?: string }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
}

/** What a browser has in a page; in a worker there is no document. */
export interface Browser {
  readonly document?: Page;
  readonly Plotly?: { purge(plot: Place): void };
  readonly Event: new (name: string) => object;
  readonly CustomEvent: new (name: string, options: { detail: unknown }) => object;
  readonly Worker: new (url: string) => Thread;
  readonly Blob: new (parts: readonly string[], options: { type: string }) => object;
  readonly URL: { createObjectURL(blob: object): string };
  dispatchEvent(event: object): boolean;
  setTimeout(act: () => void, ms: number): number;
  clearTimeout(timer: number): void;
  postMessage(message: unknown): void;
  onmessage: ((message: { readonly data: unknown }) => void) | null;
}

export const browser = globalThis as unknown as Browser;
