/**
 * Sums of what an O_DIRECT write gives its device: made of the user's memory when the bio is submitted, checked against what the device
 * fetches (config "checksum").
 *
 * Source: block/bio-integrity.c in v4.20 (bio_integrity_prep) for a device with T10 protection information; a RAID 5 makes its parity, and btrfs its checksums, of the same bytes at the
 * same moment. The page cache keeps the CPU away from a page that such a device is to write (wait_for_stable_page); an O_DIRECT write's buffer is its program's
 * own, and nobody keeps the program away.
 *
 * Left out: sums of reads.
 */
import { struct, u16 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import { page_of } from "../mm/user_pages.js";
import { type PagesNr, pages_nr } from "../types.js";

const dio_integrity = struct(
  "dio_integrity",
  { guard: u16("version of a part of a page of an array when it was submitted for writing, plus one") },
  pages_nr.kind,
);

export const dioIntegrityTable: Table = {
  struct: dio_integrity,
  rows: (g) => (g.config.has("checksum") ? g.dios * g.dioPages * g.parts : 0),
};

const row = (k: Kernel, pages: PagesNr, at: number, part: number): number =>
  (pages * k.geometry.dioPages + at) * k.geometry.parts + part;

/** The sums of the pages of an array that is submitted for writing. */
export function make_guards(k: Kernel, pages: PagesNr): void {
  const { guard } = k.of(dio_integrity);
  if (guard.length === 0) return;
  for (let at = 0; at < k.user_pages.nr[pages]; at++)
    for (let part = 0; part < k.geometry.parts; part++)
      guard[row(k, pages, at, part)] = k.content.version[page_of(k, pages, at) * k.geometry.parts + part] + 1;
}

/** The device fetches a part: does its sum match what is in memory now? Forgets it. */
export function check_guards(k: Kernel, pages: PagesNr, at: number, part: number): void {
  const { guard } = k.of(dio_integrity);
  if (guard.length === 0) return;
  const made = guard[row(k, pages, at, part)];
  guard[row(k, pages, at, part)] = 0;
  const page = page_of(k, pages, at);
  k.fault_on(
    made !== k.content.version[page * k.geometry.parts + part] + 1,
    "TORN",
    "DMA: the sum made when O_DIRECT submitted does not match what was fetched",
    page,
  );
}
