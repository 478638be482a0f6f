/**
 * What a cell may use without an import, for the type checker. The whole of Node's declarations costs a second, so that
 * they come only when a cell speaks of Node (compiler.ts); these are what notebooks need most, and they cost nothing.
 * Node's own say the same and more: where both are loaded, they merge.
 */

/** The contents of a declaration file. */
export const DECLARATIONS = `
interface Console {
  /** Print to the standard output. */
  log(message?: any, ...rest: any[]): void;
  info(message?: any, ...rest: any[]): void;
  debug(message?: any, ...rest: any[]): void;
  /** Print to the standard error. */
  error(message?: any, ...rest: any[]): void;
  warn(message?: any, ...rest: any[]): void;
  trace(message?: any, ...rest: any[]): void;
  /** Print to the standard error when the condition does not hold; nothing is thrown. */
  assert(condition?: boolean, message?: any, ...rest: any[]): void;
  dir(value?: any, options?: any): void;
  /** Print rows as a table. */
  table(rows?: any, columns?: readonly string[]): void;
  group(...label: any[]): void;
  groupEnd(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  time(label?: string): void;
  timeLog(label?: string, ...rest: any[]): void;
  timeEnd(label?: string): void;
}
declare var console: Console;

declare namespace NodeJS {
  interface Timeout {}
  interface Immediate {}
}
declare function setTimeout(callback: (...args: any[]) => void, ms?: number, ...args: any[]): NodeJS.Timeout;
declare function setInterval(callback: (...args: any[]) => void, ms?: number, ...args: any[]): NodeJS.Timeout;
declare function setImmediate(callback: (...args: any[]) => void, ...args: any[]): NodeJS.Immediate;
declare function clearTimeout(timeout: NodeJS.Timeout | string | number | undefined): void;
declare function clearInterval(timeout: NodeJS.Timeout | string | number | undefined): void;
declare function clearImmediate(immediate: NodeJS.Immediate | undefined): void;
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;
declare function atob(text: string): string;
declare function btoa(text: string): string;

/** How a value is shown. */
interface DisplayOptions {
  /** A name for what is shown, by which it can be replaced later, from any cell. */
  display_id?: string;
  /** Replace what was shown under display_id, instead of showing one more. */
  update?: boolean;
}

/**
 * Show a value in the output of this cell. An object with a method \`[Symbol.for("Jupyter.display")]()\` is shown as the
 * MIME bundle that it gives, which may come later (a promise of one); everything else as text.
 *
 * @example
 * display("waiting", { display_id: "state" });
 * display("done", { display_id: "state", update: true });
 */
declare function display(value: unknown, options?: DisplayOptions): void;

/**
 * Take away what this cell has shown so far.
 *
 * @param wait only when something else is shown, so that nothing flickers
 */
declare function clearOutput(wait?: boolean): void;

/**
 * Ask whoever runs this notebook for a line of text.
 *
 * @example const name = await input("Which kernel? ");
 */
declare function input(prompt?: string, options?: { password?: boolean }): Promise<string>;
`;
