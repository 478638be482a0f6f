/**
 * Writeback errors: what a mapping remembers of a write that failed, and what an open file is told of it.
 *
 * Source: include/linux/pagemap.h (mapping_set_error), mm/filemap.c in v4.20. All of it needs config "io_errors";
 * without it no write fails. Every inode has one open file of the same number; a geometry's `opens` gives more, which
 * are open from the start. Left out: PG_error.
 */
import { struct, u8, u16 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import { errseq_check_and_advance, errseq_errno, errseq_set } from "../errseq.js";
import type { Kernel, Table } from "../kernel.js";
import type { InodeNr } from "../types.js";

const AS_EIO = 1;
const AS_ENOSPC = 2;

const mapping_error = struct("mapping_error", {
  wb_err: u16("errseq_t"),
  flags: u8("AS_EIO, AS_ENOSPC"),
});

const file = struct("file", { f_wb_err: u16("errseq_t: what the file has been told of") });

/** The structs of this file. */
export const mappingErrorTables: readonly Table[] = [
  { struct: mapping_error, rows: (g) => (g.config.has("io_errors") ? g.files.length + 1 : 0) },
  { struct: file, rows: (g) => (g.config.has("io_errors") ? g.files.length + 1 + g.opens.length : 0) },
];

/** mapping_set_error: for fsync of every file that is open now, and for those that ask for the flags. */
export function mapping_set_error(k: Kernel, mapping: InodeNr, error: number): void {
  if (error === 0) return;
  const { wb_err, flags } = k.of(mapping_error);
  wb_err[mapping] = errseq_set(wb_err[mapping], error);
  flags[mapping] |= error === -ERRNO.ENOSPC ? AS_ENOSPC : AS_EIO;
}

/** The last error that writeback has met in a mapping, told or not: 0 or a negative error. */
export function last_wb_err(k: Kernel, mapping: InodeNr): number {
  const { wb_err } = k.of(mapping_error);
  return wb_err.length === 0 ? 0 : errseq_errno(wb_err[mapping]);
}

/** filemap_check_errors: the error that the flags hold; they are cleared, so that one caller is told. */
export function filemap_check_errors(k: Kernel, mapping: InodeNr): number {
  const { flags } = k.of(mapping_error);
  if (flags.length === 0) return 0;
  const had = flags[mapping];
  flags[mapping] = 0;
  if ((had & AS_EIO) !== 0) return -ERRNO.EIO;
  return (had & AS_ENOSPC) !== 0 ? -ERRNO.ENOSPC : 0;
}

/** file_check_and_advance_wb_err: the error since this file was last told, once; clears the flags. */
export function file_check_and_advance_wb_err(k: Kernel, mapping: InodeNr, filp: number): number {
  const { wb_err, flags } = k.of(mapping_error);
  const { f_wb_err } = k.of(file);
  if (wb_err.length === 0) return 0;
  const told = errseq_check_and_advance(wb_err[mapping], f_wb_err[filp]);
  wb_err[mapping] = told.value;
  f_wb_err[filp] = told.since;
  flags[mapping] = 0;
  return told.error;
}
