/**
 * What the two threads of the kernel say to each other. One has the sockets and the protocol (server.ts), the other
 * runs cells (engine.ts): a cell that never ends then stops neither the heartbeat, nor what was printed so far, nor the
 * request to interrupt it.
 */
import type { Json, MimeBundle } from "../format.js";
import type { Connection } from "./connection.js";
import type { Content } from "./wire.js";

/** A request that needs the compiler or runs code. */
export type Order =
  | ({ readonly type: "execute" } & ExecuteOrder)
  | { readonly type: "complete"; readonly code: string; readonly cursor: number }
  | { readonly type: "inspect"; readonly code: string; readonly cursor: number; readonly detail: number }
  | { readonly type: "is_complete"; readonly code: string };

export interface ExecuteOrder {
  readonly code: string;
  /** What the cell is called in stacks. */
  readonly name: string;
  readonly execution_count: number;
  /** Nothing that the code shows is passed on. */
  readonly silent: boolean;
  readonly allow_stdin: boolean;
  /** What the front end calls the cell, where it says so. */
  readonly cell?: string;
  /** Whether the page that looks on has plotly in an output; null where nothing new is known of it. */
  readonly hasPlotly: boolean | null;
  readonly user_expressions: Readonly<Record<string, string>>;
}

/** From the sockets' thread to the one that runs cells. */
export type ToEngine =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "input"; readonly value: string }
  /** End what runs. */
  | { readonly kind: "interrupt" }
  /** What ran was ended from outside. */
  | { readonly kind: "terminated" }
  | { readonly kind: "exit" };

/** From the thread that runs cells to the sockets'. */
export type ToServer =
  | { readonly kind: "print"; readonly name: "stdout" | "stderr"; readonly text: string }
  | {
      readonly kind: "publish";
      readonly type: string;
      readonly content: Content;
      readonly metadata?: MimeBundle;
    }
  /** The answer to the order under way; `shown` is the text of its result, for the history. */
  | { readonly kind: "answer"; readonly content: Content; readonly shown?: string }
  | { readonly kind: "input"; readonly prompt: string; readonly password: boolean }
  /** Nobody waits for input any more. */
  | { readonly kind: "no-input" }
  /** What runs, if anything does, has noticed that it is to end. */
  | { readonly kind: "noticed" }
  /** The process is about to end. */
  | { readonly kind: "exit" };

/** The server could not start, in one sentence; the process is to end. */
export interface Fatal {
  readonly kind: "fatal";
  readonly sentence: string;
}

export interface ServerData {
  readonly connection: Connection;
  readonly info: Readonly<Record<string, Json>>;
  readonly shared: SharedArrayBuffer;
}

/** Cells of the memory that both threads see. */
export const SHARED = {
  /** How much was printed and is not yet taken: the sum of printSize. */
  unsent: 0,
  /** 1 while the thread of cells does what must not be ended from outside: it loads, or compiles. */
  busy: 1,
  /** 1 when the sockets are closed. */
  closed: 2,
  length: 3,
} as const;

/** What a print weighs on its way from thread to thread: its characters, and what a message takes in any case. */
export const printSize = (text: string): number => text.length + 256;
