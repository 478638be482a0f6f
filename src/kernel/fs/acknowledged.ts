/**
 * What the disk has been promised to hold: bytes of which a process was told that they are safe. With config "power_cut" a
 * machine remembers them when an fsync or msync has returned 0 (fsync_oracle.ts says which these are), and forgets them
 * when their page loses its block, because somebody cut it out of the file.
 */
import { struct, u16 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import type { Slot } from "../types.js";

export const acknowledged = struct("acknowledged", {
  version: u16("newest version of a part of a file's page that an fsync has said to be on the disk"),
});

/** The structs of this file. */
export const acknowledgedTables: readonly Table[] = [
  {
    struct: acknowledged,
    rows: (g) =>
      g.config.has("power_cut") ? g.parts * g.files.reduce((sum, { pages }) => sum + pages, 0) : 0,
  },
];

/** A process is told that a version of a part is on the disk. */
export function acknowledge(k: Kernel, slot: Slot, part: number, version: number): void {
  const all = k.of(acknowledged).version;
  const at = slot * k.geometry.parts + part;
  if (all.length > 0 && version > all[at]) all[at] = version;
}

/** A page of a file has no block any more: nobody is promised anything. */
export function forget_acknowledged(k: Kernel, slot: Slot): void {
  const { version } = k.of(acknowledged);
  if (version.length > 0) version.fill(0, slot * k.geometry.parts, (slot + 1) * k.geometry.parts);
}

/** The newest version of a part that is promised; 0 where none is. */
export const acknowledged_version = (k: Kernel, slot: Slot, part: number): number =>
  k.of(acknowledged).version[slot * k.geometry.parts + part];
