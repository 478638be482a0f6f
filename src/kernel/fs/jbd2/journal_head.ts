/**
 * What jbd2 knows of a buffer whose contents go through the journal (data=journal), and what the journal has of file data.
 *
 * Source: include/linux/journal-head.h, include/linux/jbd2.h in v4.20. One buffer a page, so a page has one journal_head, while
 * its buffer has BH.jbd. Metadata blocks have none here: what a transaction says of them is kept as images (fs/jbd2.ts).
 */
import { struct, u8, u16 } from "../../../machine/memory.js";
import type { Geometry } from "../../geometry.js";
import type { Kernel, Table } from "../../kernel.js";

/** On which list of its transaction a journal_head is. */
export const BJ = { None: 0, Metadata: 1, Forget: 2, Shadow: 3, Reserved: 4 } as const;

export const journal_head = struct("journal_head", {
  b_transaction: u16("t_tid of the transaction that owns the buffer; 0 none"),
  b_next_transaction: u16(
    "t_tid of the running transaction that has it, too, while its owner commits; 0 none",
  ),
  b_cp_transaction: u16("t_tid of the transaction on whose checkpoint list it is; 0 none"),
  b_jlist: u8("BJ_*"),
  b_modified: u8("1 once the transaction that has it last counts it as modified"),
  b_freed: u8("BH_Freed: truncated while its owner commits"),
  b_blocknr: u16("which block: slot of the file's page, plus one"),
  b_count: u8("references to the buffer that a writepage holds while it waits for a handle"),
});

/** b_frozen_data: a copy for the committing transaction of what the next one changes. */
export const frozen_data = struct("frozen_data", {
  version: u16("version of a part of the page in the copy, plus one; 0 there is none"),
});

/** By part of a slot: file data in the journal. */
export const journal_data = struct("journal_data", {
  committing: u16("version that the committing transaction has written to the journal, plus one; 0 none"),
  logged: u16("version in the newest transaction on the disk that has the block, plus one; 0 none"),
});

/** Whether a machine journals file data (ext4_should_journal_data). */
export const should_journal_data = (k: Kernel): boolean => k.geometry.mount.data === "journal";

const on = (g: Geometry, rows: number): number => (g.mount.data === "journal" ? rows : 0);

/** The structs of this file. */
export const journalHeadTables: readonly Table[] = [
  { struct: journal_head, rows: (g) => on(g, g.pages) },
  { struct: frozen_data, rows: (g) => on(g, g.pages * g.parts) },
  {
    struct: journal_data,
    rows: (g) => on(g, g.parts * g.files.reduce((sum, { pages }) => sum + pages, 0)),
  },
];
