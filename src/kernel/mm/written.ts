/**
 * What has been written into a page by somebody who said so: what fsync promises to bring to the disk.
 *
 * No kernel word holds this. With config "fsync_oracle" a machine remembers, for each part of a page, the newest version
 * that was marked dirty: by the fault or zap that passed on a PTE's dirty bit, by write(2), by a driver's set_page_dirty.
 * Bytes that a device wrote and that nobody has marked yet (D14) are not among them.
 */
import { struct, u16 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import type { Pfn } from "../types.js";

const written = struct("written", {
  version: u16("newest version of a part of a page that was marked dirty"),
});

/** The structs of this file. */
export const writtenTables: readonly Table[] = [
  { struct: written, rows: (g) => (g.config.has("fsync_oracle") ? g.pages * g.parts : 0) },
];

/** The bytes that the page holds now have been marked dirty. */
export function mark_written(k: Kernel, page: Pfn): void {
  const { version } = k.of(written);
  if (version.length === 0) return;
  const first = page * k.geometry.parts;
  for (let at = first; at < first + k.geometry.parts; at++) version[at] = k.content.version[at];
}

/** The page holds another file's bytes, or none. */
export function forget_written(k: Kernel, page: Pfn): void {
  const { version } = k.of(written);
  if (version.length > 0) version.fill(0, page * k.geometry.parts, (page + 1) * k.geometry.parts);
}

/** The newest version of a part of a page that was marked dirty. */
export const written_version = (k: Kernel, page: Pfn, part: number): number =>
  k.of(written).version[page * k.geometry.parts + part];
