/**
 * XFS with DAX: its fault, and what it does before it changes which blocks a file has.
 *
 * Source: fs/xfs/xfs_file.c, fs/xfs/xfs_pnfs.c, fs/xfs/xfs_iops.c in v4.20. MMAPLOCK is the class i_mmap_sem, IOLOCK is i_rwsem.
 * Blocks are given to others in two ways: to processes by DAX mappings, and to remote clients by pNFS layouts, which are
 * leases. xfs_break_layouts takes them back: BREAK_UNMAP both, BREAK_WRITE the leases only. Every sleep drops a lock, so that
 * all is looked at again after it.
 *
 * v4.20's xfs asks before it writes i_size, unlike ext4: a truncate that a signal ends has changed nothing.
 *
 * Left out: lease_break_time (a client that never gives its layout back is waited for without end; the kernel's
 * lease code would end the lease after 45 seconds), reflink, which excludes DAX in v4.20.
 */
import { struct, u8 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import {
  call,
  down_read,
  down_write,
  given,
  goto,
  label,
  leave,
  path,
  step,
  up_read,
  up_write,
  wait,
  when,
} from "../language.js";
import { i_mmap_sem, i_rwsem } from "../locks.js";
import { type InodeNr, inode, int, NONE, pfn, vpn } from "../types.js";
import {
  dax_free_blocks,
  dax_iomap_fault,
  dax_layout_busy_page,
  dax_truncate_pagecache,
  wait_dax_page,
} from "./dax.js";

const layout = struct("layout_lease", {
  held: u8("1 while a pNFS client has the file's block layout"),
  breaking: u8("1 when the client has been asked to give it back"),
});

/** Layout leases: a row a file on machines with DAX. */
export const layoutTable: Table = {
  struct: layout,
  rows: (g) => (g.config.has("dax") ? g.files.length + 1 : 0),
};

/** Why the layouts are broken: enum layout_break_reason. */
export const BREAK = { WRITE: 0, UNMAP: 1 } as const;

/** A pNFS client takes the layout of a file. */
export function grant_layout(k: Kernel, mapping: InodeNr): void {
  k.of(layout).held[mapping] = 1;
}

/** The client gives it back. */
export function return_layout(k: Kernel, mapping: InodeNr): void {
  k.of(layout).held[mapping] = 0;
  k.of(layout).breaking[mapping] = 0;
}

/** Whether the client has been asked for the layout. */
export const layout_recalled = (k: Kernel, mapping: InodeNr): boolean => k.of(layout).breaking[mapping] !== 0;

/** __xfs_filemap_fault of a DAX file. */
export const xfs_dax_fault = path(
  "xfs_dax_fault",
  { source: "fs/xfs/xfs_file.c v4.20", args: { at: vpn, vma: int, write: int }, returns: int },
  [
    down_read(i_mmap_sem, (k, f) => k.vma.vm_file[f.vma]),
    call(() => dax_iomap_fault, { at: "at", vma: "vma", write: "write" }, "ret"),
    up_read(i_mmap_sem, (k, f) => k.vma.vm_file[f.vma]),
  ],
);

/** Take back every layout of a file. IOLOCK and MMAPLOCK are held for writing. Gives 0 or -ERESTARTSYS. */
export const xfs_break_layouts = path(
  "xfs_break_layouts",
  {
    source: "fs/xfs/xfs_file.c, fs/xfs/xfs_pnfs.c v4.20",
    args: { mapping: inode, reason: int, mm: int },
    locals: { page: pfn },
    returns: int,
  },
  [
    label("retry"),
    given(
      (_, f) => f.reason === BREAK.UNMAP,
      [
        call(() => dax_layout_busy_page, { mapping: "mapping" }, "page"),
        given(
          (_, f) => f.page !== NONE,
          [
            call(() => wait_dax_page, { mapping: "mapping", page: "page", mm: "mm" }, "ret"),
            given((_, f) => f.ret < 0, [leave()]),
            goto("retry"),
          ],
        ),
      ],
    ),
    // xfs_break_leased_layouts: asks without waiting; where there is a lease, drops the locks and waits for it.
    when("break_layout", (k, f) => k.of(layout).held[f.mapping] !== 0, [
      up_write(i_mmap_sem, (_, f) => f.mapping),
      up_write(i_rwsem, (_, f) => f.mapping),
      step("__break_lease", (k, f) => {
        k.of(layout).breaking[f.mapping] = k.of(layout).held[f.mapping];
      }),
      wait("break_layout", (k, f) => k.of(layout).held[f.mapping] === 0),
      down_write(i_rwsem, (_, f) => f.mapping),
      down_write(i_mmap_sem, (_, f) => f.mapping),
      goto("retry"),
    ]),
    leave(() => 0),
  ],
);

/** xfs_vn_setattr with ATTR_SIZE, as a DAX file that shrinks goes through it; `size` is in pages. */
export const xfs_dax_setattr = path(
  "xfs_dax_setattr",
  { source: "fs/xfs/xfs_iops.c v4.20", args: { mapping: inode, size: int, mm: int }, returns: int },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    call(() => xfs_break_layouts, { mapping: "mapping", reason: BREAK.UNMAP, mm: "mm" }, "ret"),
    given(
      (_, f) => f.ret === 0,
      [
        step("truncate_setsize", (k, f) => {
          k.inode.i_size[f.mapping] = f.size * k.geometry.parts;
        }),
        call(() => dax_truncate_pagecache, { mapping: "mapping", from: "size" }),
        step("xfs_itruncate_extents", (k, f) => dax_free_blocks(k, f.mapping, f.size)),
      ],
    ),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
