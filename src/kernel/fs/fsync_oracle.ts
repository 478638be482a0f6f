/**
 * What fsync promises: when it returns 0, the disk has everything that was written into the file before the call, by a CPU
 * store, by write(2), or by a device whose driver had said so. Checked with config "fsync_oracle", for one caller at a
 * time. Bytes that a device wrote and that nobody had marked (D14) are outside the promise.
 */
import { struct, u8, u16 } from "../../machine/memory.js";
import { type Kernel, PTE, type Table } from "../kernel.js";
import { xa_get_mark } from "../mm/filemap.js";
import { PageDirty } from "../mm/page.js";
import { written_version } from "../mm/written.js";
import { type InodeNr, NONE } from "../types.js";
import { acknowledge } from "./acknowledged.js";
import { recovered_version } from "./power_cut.js";

const fsync_promise = struct("fsync_promise", {
  version: u16("version of a part of a file's page that the call under way promises"),
});
const fsync_call = struct("fsync_call", { busy: u8("1 while a call is under way") });

/** The structs of this file. */
export const fsyncTables: readonly Table[] = [
  {
    struct: fsync_promise,
    rows: (g) =>
      g.config.has("fsync_oracle") ? g.parts * g.files.reduce((sum, { pages }) => sum + pages, 0) : 0,
  },
  { struct: fsync_call, rows: (g) => (g.config.has("fsync_oracle") ? 1 : 0) },
];

/** The slots of a file from one index to another, both included. */
const range = (k: Kernel, mapping: InodeNr, start: number, end: number): number[] =>
  Array.from({ length: Math.min(end + 1, k.inode.i_pages[mapping]) - start }, (_, at) => start + at);

/** fsync begins: remember what it promises. */
export function promise(k: Kernel, mapping: InodeNr, start: number, end: number): void {
  const { version } = k.of(fsync_promise);
  const { busy } = k.of(fsync_call);
  if (busy[0] === 1) throw new Error("promise: only one fsync at a time can be checked");
  busy[0] = 1;
  const { parts } = k.geometry;
  for (const index of range(k, mapping, start, end)) {
    const slot = k.slotOf(mapping, index);
    const page = k.xa_slot.page[slot] - 1;
    // Between PG_dirty and the tag somebody is in the middle of saying so: nobody finds the page by its tag yet.
    if (page === NONE || (PageDirty(k, page) && !xa_get_mark(k, page, "dirty"))) continue;
    const stored = (k.pteWord(page) & PTE.dirty) !== 0;
    for (let part = 0; part < parts; part++)
      version[slot * parts + part] = stored
        ? k.content.version[page * parts + part]
        : written_version(k, page, part);
  }
}

/** fsync returns: with 0, what it promised must be on the disk. */
export function keep_promise(k: Kernel, mapping: InodeNr, start: number, end: number, error: number): void {
  const { version } = k.of(fsync_promise);
  const { parts } = k.geometry;
  for (const index of range(k, mapping, start, end)) {
    const slot = k.slotOf(mapping, index);
    for (let part = 0; part < parts; part++) {
      const promised = version[slot * parts + part];
      if (error !== 0) continue;
      const missing = promised > recovered_version(k, mapping, index, part);
      const message = `fsync: returned 0, and part ${part} of page ${index} is not on the disk`;
      k.fault_on(missing, "LOST", message, k.xa_slot.page[slot] - 1);
      acknowledge(k, slot, part, promised);
    }
  }
  version.fill(0);
  k.of(fsync_call).busy[0] = 0;
}
