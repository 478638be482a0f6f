/** A host for desks that neither search nor read files: tests put in its place what they need. */
import type { Host } from "../../src/lab/desk.js";

const nothing = (): Promise<never> => Promise.reject(new Error("this host does nothing of the kind"));

export const stubHost: Host = {
  columns: 80,
  rows: 24,
  color: false,
  write: () => {},
  read: () => "",
  plotly: async () => "",
  png: async () => new Uint8Array(),
  explore: nothing,
  walk: nothing,
  study: nothing,
  bisect: nothing,
  script: nothing,
};
