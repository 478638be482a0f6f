/**
 * memfd: files in memory, and seals, which say what nobody may do to such a file any more.
 *
 * Source: mm/memfd.c, mm/shmem.c (struct shmem_inode_info) in v4.20. Files of tmpfs and hugetlbfs have seals here as if memfd_create(MFD_ALLOW_SEALING) had made them.
 * F_SEAL_SHRINK keeps ftruncate(2) from taking pages away, and nobody else: fallocate(FALLOC_FL_PUNCH_HOLE) asks for F_SEAL_WRITE only.
 *
 * F_SEAL_WRITE is set when nobody can write any more: no process has a shared mapping, and no page has references beyond the cache's and those of
 * PTEs. A driver that writes by DMA has such a reference, and nothing else says that it is there: the seal waits for about 150 ms and then gives -EBUSY.
 * It must be read as a question about pins; pages are asked as v4.20 can ask them.
 *
 * Left out: F_SEAL_FUTURE_WRITE and F_SEAL_EXEC, which came later; the file's mode; signals that cut the wait short; that the walk lets go of the
 * xa_lock now and then; seals of hugetlbfs beyond what its users ask (it is neither truncated nor punched here).
 */
import { struct, u8 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import {
  call,
  check,
  down_write,
  given,
  goto,
  label,
  leave,
  local,
  path,
  pause,
  repeat,
  step,
  under,
  up_write,
} from "../language.js";
import { i_rwsem, lru_lock, xa_lock } from "../locks.js";
import { FS } from "../operations.js";
import { VM_SHARED } from "../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn } from "../types.js";
import { mapping_tagged, xa_clear_mark, xa_get_mark, xa_set_mark } from "./filemap.js";
import { page_count } from "./page.js";
import { lru_add_drain, lru_add_drain_all } from "./swap.js";

/** F_SEAL_*, v4.20 numbers. */
export const F_SEAL = { SEAL: 0x1, SHRINK: 0x2, GROW: 0x4, WRITE: 0x8 } as const;

const shmem_inode_info = struct("shmem_inode_info", {
  seals: u8("F_SEAL_* of the file"),
  deny_writable: u8("i_mmap_writable is below zero: 1 from mapping_deny_writable on"),
});

/** A row a file on machines with config "memfd". */
export const memfdTable: Table = {
  struct: shmem_inode_info,
  rows: (g) => (g.config.has("memfd") ? g.files.length + 1 : 0),
};

/** Whether a file is one that memfd_create can make: shmem_file or is_file_hugepages. */
export const is_memfd = (k: Kernel, mapping: InodeNr): boolean =>
  k.inode.fs[mapping] === FS.tmpfs || k.inode.fs[mapping] === FS.hugetlbfs;

/** memfd_get_seals: F_SEAL_* of a file; 0 on machines without config "memfd". */
export const memfd_get_seals = (k: Kernel, mapping: InodeNr): number =>
  k.of(shmem_inode_info).seals[mapping] ?? 0;

/** Whether a file has one of these seals. */
export const is_sealed = (k: Kernel, mapping: InodeNr, seals: number): boolean =>
  (memfd_get_seals(k, mapping) & seals) !== 0;

/** Whether mapping_map_writable refuses a shared mapping. */
export const writable_denied = (k: Kernel, mapping: InodeNr): boolean =>
  (k.of(shmem_inode_info).deny_writable[mapping] ?? 0) !== 0;

/** mapping_writably_mapped: a VMA shows the file and is shared, whether or not it may be written. */
const writably_mapped = (k: Kernel, mapping: InodeNr): boolean =>
  k.vma.vm_file.some((file, vma) => file === mapping && (k.vma.vm_flags[vma] & VM_SHARED) !== 0);

/** Somebody holds the page beside the cache and its PTEs. */
const has_extra_refs = (k: Kernel, page: Pfn): boolean => page_count(k, page) - k.page.mapcount[page] !== 1;

/** The pages of a file that are in the cache. */
function pages_of(k: Kernel, mapping: InodeNr): Pfn[] {
  const pages: Pfn[] = [];
  for (let index = 0; index < k.inode.i_pages[mapping]; index++) {
    const page = k.xa_slot.page[k.slotOf(mapping, index)] - 1;
    if (page !== NONE) pages.push(page);
  }
  return pages;
}

/** MEMFD_TAG_PINNED: a tag that nobody else uses on such a file. */
const PINNED = "towrite";

/** Whether the scan is the last: 0 comes after a drain of the LRU batches, the others after 10, 20, 40 and 80 ms. */
const LAST_SCAN = 4;

/** Wait until no page of a file is held by anybody but its PTEs. Gives 0, or -EBUSY. */
export const memfd_wait_for_pins = path(
  "memfd_wait_for_pins",
  { source: "mm/memfd.c v4.20", args: { mapping: inode }, locals: { scan: int }, returns: int },
  [
    under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
    under(xa_lock, [
      step("memfd_tag_pins", (k, f) => {
        for (const page of pages_of(k, f.mapping)) if (has_extra_refs(k, page)) xa_set_mark(k, page, PINNED);
      }),
    ]),
    repeat(
      (_, f) => f.scan <= LAST_SCAN,
      [
        check("xas_marked", (k, f) => mapping_tagged(k, f.mapping, PINNED), "out"),
        given(
          (_, f) => f.scan === 0,
          [under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain_all(k))])],
          [pause("schedule_timeout_killable")],
        ),
        under(xa_lock, [
          step("page_count", (k, f) => {
            for (const page of pages_of(k, f.mapping)) {
              if (!xa_get_mark(k, page, PINNED)) continue;
              const busy = has_extra_refs(k, page);
              if (busy && f.scan === LAST_SCAN) f.ret = -ERRNO.EBUSY;
              if (!busy || f.scan === LAST_SCAN) xa_clear_mark(k, page, PINNED);
            }
            f.scan++;
          }),
        ]),
      ],
    ),
    label("out"),
    local((_, f) => {
      f.scan = 0;
    }),
  ],
);

/** fcntl(F_ADD_SEALS). Gives 0, -EPERM when the file can have no more seals, -EBUSY when it is mapped shared, or held. */
export const memfd_add_seals = path(
  "memfd_add_seals",
  { source: "mm/memfd.c v4.20", args: { mapping: inode, seals: int }, returns: int },
  [
    given((k, f) => !is_memfd(k, f.mapping), [leave(() => -ERRNO.EINVAL)]),
    down_write(i_rwsem, (_, f) => f.mapping),
    local((k, f) => {
      if (is_sealed(k, f.mapping, F_SEAL.SEAL)) f.ret = -ERRNO.EPERM;
    }),
    given((_, f) => f.ret !== 0, [goto("unlock")]),
    given(
      (k, f) => (f.seals & F_SEAL.WRITE) !== 0 && !is_sealed(k, f.mapping, F_SEAL.WRITE),
      [
        step("mapping_deny_writable", (k, f) => {
          if (writably_mapped(k, f.mapping)) f.ret = -ERRNO.EBUSY;
          else k.of(shmem_inode_info).deny_writable[f.mapping] = 1;
        }),
        given((_, f) => f.ret !== 0, [goto("unlock")]),
        call(() => memfd_wait_for_pins, { mapping: "mapping" }, "ret"),
        given(
          (_, f) => f.ret !== 0,
          [
            step("mapping_allow_writable", (k, f) => {
              k.of(shmem_inode_info).deny_writable[f.mapping] = 0;
            }),
            goto("unlock"),
          ],
        ),
      ],
    ),
    // F_GET_SEALS takes no lock.
    step("file_seals", (k, f) => {
      k.of(shmem_inode_info).seals[f.mapping] |= f.seals;
    }),
    label("unlock"),
    up_write(i_rwsem, (_, f) => f.mapping),
    given((_, f) => f.ret !== 0, [leave((k, f) => k.refused("F_ADD_SEALS", f.ret, NONE))]),
  ],
);
