/**
 * DAX: files without a page cache. The pages that a process maps are the blocks of the storage.
 *
 * Source: fs/dax.c, fs/ext4/file.c, fs/ext4/inode.c in v4.20 (xfs's part is in fs/xfs_dax.ts). A fault looks the block
 * up and maps its page frame; mapping->i_pages holds an entry with that pfn, and page->mapping and page->index are set
 * while it does. A PTE of a DAX page carries no reference and no mapcount; get_user_pages takes a reference like any
 * other. Who frees a block must therefore ask first: dax_layout_busy_page unmaps the file, then looks for a page
 * with more than the idle reference, in this order, so that a get_user_pages_fast that has seen the old PTE is either
 * counted or finds the PTE changed. ext4_break_layouts sleeps until such a page is idle, without a limit, with i_mmap_sem
 * dropped: a pin that is never let go blocks truncation for ever. This is why get_user_pages_longterm refuses DAX.
 *
 * What a device writes into such a page is on the storage at once. A write into a block that was freed while the page was
 * held is a UAF: the block is free, or it is another file's by now. `freed_pins` remembers how many gup references were
 * held when a block was freed, until the page is idle.
 *
 * Blocks are the machine's device pages, shared by all its DAX files. Left out: the dirty tag of entries and
 * dax_writeback_mapping_range (the flush of CPU caches: here nothing is lost between a store and the storage), MAP_SYNC,
 * PMD entries, holes that are read (dax_load_hole), private mappings, read(2) and write(2), the journal between freeing
 * a block and giving it to another file, inode_dio_wait (no direct I/O is made on the DAX files themselves).
 */
import { struct, u8 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Geometry } from "../geometry.js";
import { type Kernel, PFN_SHIFT, PTE, type Table } from "../kernel.js";
import {
  awaits,
  branch,
  call,
  check,
  down_read,
  down_write,
  given,
  gives,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  takes,
  under,
  up_read,
  up_write,
  wait,
  when,
} from "../language.js";
import { dax_entry_lock, i_mmap_sem, i_rwsem, ptl, xa_lock } from "../locks.js";
import { i_size_pages } from "../mm/filemap.js";
import {
  dax_extent,
  dax_owner,
  device_page,
  device_page_idle,
  device_pte_counts,
  deviceTables,
} from "../mm/memremap.js";
import { page_count, page_ref_add } from "../mm/page.js";
import { page_add_rmap, set_pte } from "../mm/rmap.js";
import { unmap_mapping_pages } from "../mm/zap.js";
import { is_dax_fs, VM_FAULT } from "../operations.js";
import { VM_SHARED } from "../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn, vpn } from "../types.js";

const signal_struct = struct("signal_struct", {
  pending: u8("1 when a signal waits for the process: an interruptible sleep ends"),
});

const has = (g: Geometry): boolean => g.config.has("dax");

/** The structs of DAX. */
export const daxTables: readonly Table[] = [
  ...deviceTables,
  { struct: signal_struct, rows: (g) => (has(g) ? g.mms : 0) },
];

/** Bits of this file's WARN_ON_ONCE sites. */
const WARN = { associate: 20, disassociate: 21, insert_pfn: 22 } as const;

// ---- blocks

/** The page frame that is the block of a page of a file, or NONE for a hole. */
export const dax_block = (k: Kernel, mapping: InodeNr, index: number): Pfn =>
  k.of(dax_extent).block[k.slotOf(mapping, index)] - 1;

/** Give a page of a file the first free block, zeroed. Gives -ENOSPC when there is none. */
function allocate(k: Kernel, mapping: InodeNr, index: number): number {
  for (let page = k.device_start; page < k.geometry.pages; page++) {
    if (dax_owner(k, page) !== NONE) continue;
    k.of(dax_extent).block[k.slotOf(mapping, index)] = page + 1;
    const { parts } = k.geometry;
    k.content.version.fill(0, page * parts, (page + 1) * parts);
    return 0;
  }
  return -ERRNO.ENOSPC;
}

/** Free the blocks of a file from a page on: ext4_ext_remove_space, xfs_itruncate_extents. */
export function dax_free_blocks(k: Kernel, mapping: InodeNr, from: number): void {
  const { block } = k.of(dax_extent);
  for (let index = from; index < k.inode.i_pages[mapping]; index++) {
    const at = k.slotOf(mapping, index);
    const page = block[at] - 1;
    if (page === NONE) continue;
    block[at] = 0;
    k.of(device_page).freed_pins[page - k.device_start] = k.page.pins[page];
  }
}

/** Before the first step: every page of a DAX file has a block. */
export function dax_allocate_file(k: Kernel, mapping: InodeNr): void {
  if (!is_dax_fs(k.inode.fs[mapping])) throw new Error(`dax_allocate_file: file ${mapping} is no DAX file`);
  for (let index = 0; index < i_size_pages(k, mapping); index++)
    if (allocate(k, mapping, index) < 0) throw new Error("dax_allocate_file: no block is left");
}

// ---- entries

const locked = (k: Kernel, mapping: InodeNr, index: number): boolean =>
  k.of(dax_extent).locked[k.slotOf(mapping, index)] !== 0;

/** The entry of i_pages takes the page frame; page->mapping and page->index say so. */
function dax_associate_entry(k: Kernel, page: Pfn, mapping: InodeNr, index: number): void {
  k.WARN_ON_ONCE(
    k.page.mapping[page] !== 0,
    WARN.associate,
    "dax_associate_entry: WARN_ON_ONCE(page->mapping)",
    page,
  );
  k.page.mapping[page] = mapping;
  k.page.index[page] = index;
}

/** The opposite. Who truncates must have waited for the page: where an idle page has a reference, a second one is somebody's. */
function dax_disassociate_entry(k: Kernel, page: Pfn, trunc: boolean): void {
  k.WARN_ON_ONCE(
    trunc && device_page_idle(k) === 1 && page_count(k, page) > 1,
    WARN.disassociate,
    "dax_disassociate_entry: WARN_ON_ONCE(trunc && page_ref_count(page) > 1)",
    page,
  );
  k.page.mapping[page] = 0;
  k.page.index[page] = 0;
}

/** vmf_insert_mixed, vmf_insert_mixed_mkwrite: install a PTE, or make the one there writable. A new one counts what dev_pagemap says. */
function vmf_insert_mixed(k: Kernel, at: number, page: Pfn, write: boolean): void {
  const old = k.pte.entry[at];
  if (old !== 0) {
    if (!write) return;
    if (
      k.WARN_ON_ONCE(
        old >>> PFN_SHIFT !== page,
        WARN.insert_pfn,
        "insert_pfn: WARN_ON_ONCE(pte_pfn(*pte) != pfn_t_to_pfn(pfn))",
        page,
      )
    )
      return;
  } else if (device_pte_counts(k)) {
    page_ref_add(k, page, 1);
    page_add_rmap(k, page);
  }
  const bits = PTE.present | PTE.young | (write ? PTE.dirty | PTE.write : 0);
  set_pte(k, at, (page << PFN_SHIFT) | bits, page);
}

/**
 * A fault on a DAX file, under i_mmap_sem: lock the entry, find the block (or allocate one for a write), map it. ext4 has
 * written i_size before it takes i_mmap_sem to truncate, so that the test of i_size is a moment of its own.
 */
export const dax_iomap_fault = path(
  "dax_iomap_fault",
  {
    source: "fs/dax.c v4.20",
    args: { at: vpn, vma: int, write: int },
    locals: { mapping: inode, index: int, error: int },
    returns: int,
  },
  [
    local((k, f) => {
      if ((k.vma.vm_flags[f.vma] & VM_SHARED) === 0)
        throw new Error("dax_iomap_fault: private mappings of DAX files are left out");
      f.mapping = k.vma.vm_file[f.vma];
      f.index = f.at - k.vma.vm_start[f.vma] + k.vma.vm_pgoff[f.vma];
    }),
    when("i_size_read", (k, f) => f.index >= i_size_pages(k, f.mapping), [leave(() => VM_FAULT.SIGBUS)]),
    takes(
      dax_entry_lock,
      wait(
        "grab_mapping_entry",
        (k, f) => !locked(k, f.mapping, f.index),
        (k, f) => {
          k.of(dax_extent).locked[k.slotOf(f.mapping, f.index)] = 1;
        },
      ),
    ),
    step("iomap_begin", (k, f) => {
      if (dax_block(k, f.mapping, f.index) !== NONE) return;
      if ((f.write & 1) === 0) throw new Error("dax_load_hole: holes that are read are left out");
      f.error = allocate(k, f.mapping, f.index);
    }),
    given((_, f) => f.error < 0, [goto("unlock_entry")]),
    under(xa_lock, [
      step("dax_insert_mapping_entry", (k, f) => {
        const at = k.slotOf(f.mapping, f.index);
        if (k.xa_slot.page[at] !== 0) return;
        const page = dax_block(k, f.mapping, f.index);
        dax_associate_entry(k, page, f.mapping, f.index);
        k.xa_slot.page[at] = page + 1;
      }),
    ]),
    under(ptl, [
      step("vmf_insert_mixed", (k, f) => {
        vmf_insert_mixed(k, f.at, dax_block(k, f.mapping, f.index), (f.write & 1) !== 0);
      }),
    ]),
    label("unlock_entry"),
    gives(
      dax_entry_lock,
      step("put_locked_mapping_entry", (k, f) => {
        k.of(dax_extent).locked[k.slotOf(f.mapping, f.index)] = 0;
      }),
    ),
    leave((_, f) => (f.error < 0 ? VM_FAULT.SIGBUS : VM_FAULT.NOPAGE)),
  ],
);

/** vm_ops->fault, page_mkwrite and pfn_mkwrite of a DAX file: ext4_dax_huge_fault, and the DAX half of __xfs_filemap_fault. */
export const ext4_dax_fault = path(
  "ext4_dax_fault",
  { source: "fs/ext4/file.c v4.20", args: { at: vpn, vma: int, write: int }, returns: int },
  [
    down_read(i_mmap_sem, (k, f) => k.vma.vm_file[f.vma]),
    call(() => dax_iomap_fault, { at: "at", vma: "vma", write: "write" }, "ret"),
    up_read(i_mmap_sem, (k, f) => k.vma.vm_file[f.vma]),
  ],
);

/** The storage holds the bytes already: there is nothing to mark. */
export const noop_set_page_dirty = path(
  "noop_set_page_dirty",
  { source: "fs/libfs.c v4.20", args: { page: pfn }, returns: int },
  [leave(() => 0)],
);

// ---- who frees blocks

/** mapping_mapped: some process has a VMA of the file. */
const mapping_mapped = (k: Kernel, mapping: InodeNr): boolean =>
  k.vma.vm_file.some((file, at) => file === mapping && k.vma.vm_pages[at] > 0);

/** Whether somebody holds a page, other than by a PTE: mapcounts of device pages are 0 where PTEs have no references. */
const held_beyond_ptes = (k: Kernel, page: Pfn): boolean =>
  page_count(k, page) - k.page.mapcount[page] > device_page_idle(k);

/** Unmap the file, then find a page of it that somebody holds: its page frame, or NONE. */
export const dax_layout_busy_page = path(
  "dax_layout_busy_page",
  { source: "fs/dax.c v4.20", args: { mapping: inode }, locals: { index: int, nr: int }, returns: pfn },
  [
    local((k, f) => {
      f.ret = NONE;
      f.nr = k.inode.i_pages[f.mapping];
    }),
    check("mapping_mapped", (k, f) => mapping_mapped(k, f.mapping), "out"),
    call(() => unmap_mapping_pages, { mapping: "mapping", start: 0, nr: "nr", even_cows: 1 }),
    repeat(
      (_, f) => f.index < f.nr && f.ret === NONE,
      [
        awaits(
          dax_entry_lock,
          wait(
            "dax_busy_page",
            (k, f) => !locked(k, f.mapping, f.index),
            (k, f) => {
              const page = k.xa_slot.page[k.slotOf(f.mapping, f.index)] - 1;
              if (page !== NONE && held_beyond_ptes(k, page)) f.ret = page;
              f.index++;
            },
          ),
        ),
      ],
    ),
    label("out"),
  ],
);

/** signal_pending(current) */
export const signal_pending = (k: Kernel, mm: number): boolean => k.of(signal_struct).pending[mm] !== 0;

/** A signal for a process. */
export function send_sig(k: Kernel, mm: number): void {
  k.of(signal_struct).pending[mm] = 1;
}

const idle = (k: Kernel, page: Pfn): boolean => page_count(k, page) === device_page_idle(k);

/**
 * ___wait_var_event on page->_refcount as ext4 and xfs make it: i_mmap_sem is dropped round each sleep, for faults of the
 * holder may be what it takes. Gives 0 when the count was 1, or -ERESTARTSYS. No limit in time.
 */
export const wait_dax_page = path(
  "wait_dax_page",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, page: pfn, mm: int },
    locals: { next: int },
    returns: int,
  },
  [
    label("again"),
    step("prepare_to_wait_event", (k, f) => {
      f.next = idle(k, f.page) ? 0 : signal_pending(k, f.mm) ? 1 : 2;
    }),
    branch((_, f) => f.next, ["out", "interrupted", "sleep"]),
    label("sleep"),
    local((_, f) => {
      f.next = 0;
    }),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    wait("schedule", (k, f) => idle(k, f.page) || signal_pending(k, f.mm)),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    goto("again"),
    label("interrupted"),
    leave(() => -ERRNO.ERESTARTSYS),
    label("out"),
  ],
);

/** Wait until no page of the file is held by anybody. i_mmap_sem is held for writing. Gives 0 or -ERESTARTSYS. */
export const ext4_break_layouts = path(
  "ext4_break_layouts",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, mm: int },
    locals: { page: pfn },
    returns: int,
  },
  [
    label("retry"),
    call(() => dax_layout_busy_page, { mapping: "mapping" }, "page"),
    given((_, f) => f.page === NONE, [leave(() => 0)]),
    call(() => wait_dax_page, { mapping: "mapping", page: "page", mm: "mm" }, "ret"),
    given((_, f) => f.ret < 0, [leave()]),
    goto("retry"),
  ],
);

/** truncate_pagecache of a DAX file: unmap what is behind the new end, delete the entries, unmap again. */
export const dax_truncate_pagecache = path(
  "dax_truncate_pagecache",
  {
    source: "mm/truncate.c, fs/dax.c v4.20",
    args: { mapping: inode, from: int },
    locals: { index: int, nr: int },
  },
  [
    local((k, f) => {
      f.index = f.from;
      f.nr = k.inode.i_pages[f.mapping];
    }),
    call(() => unmap_mapping_pages, { mapping: "mapping", start: "from", nr: "nr", even_cows: 1 }),
    repeat(
      (_, f) => f.index < f.nr,
      [
        awaits(
          dax_entry_lock,
          wait(
            "dax_delete_mapping_entry",
            (k, f) => !locked(k, f.mapping, f.index),
            (k, f) => {
              const at = k.slotOf(f.mapping, f.index);
              const page = k.xa_slot.page[at] - 1;
              if (page !== NONE) dax_disassociate_entry(k, page, true);
              k.xa_slot.page[at] = 0;
              f.index++;
            },
          ),
        ),
      ],
    ),
    call(() => unmap_mapping_pages, { mapping: "mapping", start: "from", nr: "nr", even_cows: 1 }),
  ],
);

/**
 * ext4_setattr with ATTR_SIZE, as a DAX file that shrinks goes through it; `size` is in pages. v4.20 writes i_size before it
 * asks for busy pages, so that a truncate that a signal ends leaves a shorter file whose blocks are still its own.
 */
export const ext4_dax_setattr = path(
  "ext4_dax_setattr",
  { source: "fs/ext4/inode.c v4.20", args: { mapping: inode, size: int, mm: int }, returns: int },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    step("i_size_write", (k, f) => {
      k.inode.i_size[f.mapping] = f.size * k.geometry.parts;
    }),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    call(() => ext4_break_layouts, { mapping: "mapping", mm: "mm" }, "ret"),
    given(
      (_, f) => f.ret === 0,
      [
        call(() => dax_truncate_pagecache, { mapping: "mapping", from: "size" }),
        step("ext4_truncate", (k, f) => dax_free_blocks(k, f.mapping, f.size)),
      ],
    ),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
