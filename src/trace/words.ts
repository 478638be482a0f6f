/**
 * The words of a page that an event can change, and the meaning of their values.
 *
 * An event says "at this time this task, in this step, set this word of this page to this value". Everything a
 * figure shows is derived from such events, so a simulated run and a recording of a real kernel differ only in
 * who wrote the events. Flag numbers are Linux v4.20's (include/linux/page-flags.h) whatever kernel the events
 * came from: an importer translates.
 */

/**
 * Page flags by Linux v4.20's bit numbers (enum pageflags). v4.20 added PG_workingset behind PG_active and moved
 * PG_error behind PG_waiters, so the numbers differ from v4.19's.
 */
export const PG = {
  locked: 0,
  referenced: 1,
  uptodate: 2,
  dirty: 3,
  lru: 4,
  active: 5,
  workingset: 6,
  waiters: 7,
  error: 8,
  slab: 9,
  checked: 10,
  arch_1: 11,
  reserved: 12,
  private: 13,
  private_2: 14,
  writeback: 15,
  head: 16,
  mappedtodisk: 17,
  reclaim: 18,
  swapbacked: 19,
  unevictable: 20,
  mlocked: 21,
  /**
   * PG_anon_exclusive of v5.19, which is PG_mappedtodisk of an anonymous page: here a bit of its own, so that it has
   * its name.
   */
  anon_exclusive: 22,
} as const;

export type PageFlag = keyof typeof PG;

/** Mask of one flag, `1 << bit`. */
export const pg = (flag: PageFlag): number => 1 << PG[flag];

/** Names of the flags set in `flags`, in bit order, as dump_page prints them. */
export function decodePageFlags(flags: number): PageFlag[] {
  return (Object.keys(PG) as PageFlag[]).filter((flag) => (flags & pg(flag)) !== 0);
}

/** What an event is about. The values' meaning stands beside each word. */
export const WORD = {
  /** A task ran a step; value: 1. The event's pfn is the step's page, or -1. */
  step: 0,
  /** page->flags; value: PG bits. */
  flags: 1,
  /** page->_refcount. */
  refcount: 2,
  /** Number of PTEs that map the page (the kernel stores this minus one in _mapcount). */
  mapcount: 3,
  /** References held through get_user_pages and its kin, counted exactly by whoever took them. */
  pins: 4,
  /** PTE bits, OR over all PTEs of the page: see PTE_BIT. */
  pte: 5,
  /** Buffer bits, OR over the page's buffer_heads: see BUFFER_BIT; 0 means no buffers attached. */
  buffers: 6,
  /** Tags of the page's slot in mapping->i_pages: see TAG_BIT. */
  tags: 7,
  /** Where the page is: see LRU_PLACE. */
  lru: 8,
  /** 1 while a device has written bytes that nobody has marked dirty yet (D14), else 0. */
  device: 9,
  /** Something reclaim did to the page; value: RECLAIM. Not a state but a moment. */
  reclaim: 10,
  /** A fault of the simulated (or recorded) kernel; value: index into Recording.faults. */
  fault: 11,
  /** The task began (1) or ended (0) waiting in the step named. */
  wait: 12,
} as const;

export type WordName = keyof typeof WORD;
export type Word = (typeof WORD)[WordName];

export const PTE_BIT = { present: 1, write: 2, dirty: 4, young: 8 } as const;

export const BUFFER_BIT = {
  attached: 1,
  uptodate: 2,
  dirty: 4,
  mapped: 8,
  async_write: 16,
  delay: 32,
  unwritten: 64,
  jbd: 128,
  jbddirty: 256,
} as const;

export const TAG_BIT = { dirty: 1, writeback: 2, towrite: 4 } as const;

export const LRU_PLACE = { none: 0, inactive: 1, active: 2, isolated: 3 } as const;

/** What reclaim did; the order is the order of the tests in shrink_page_list. */
export const RECLAIM = {
  /** shrink_page_list took the page from its list. */
  scanned: 1,
  /** try_to_unmap removed the page's last PTE. */
  unmapped: 2,
  /** try_to_release_page freed the buffers. */
  stripped: 3,
  /** __remove_mapping failed: the page stays, without its buffers if they were stripped. */
  backed_out: 4,
  /** __remove_mapping succeeded: the page is freed. */
  reclaimed: 5,
  /** The page went to the active list. */
  activated: 6,
  /** The page stays on the inactive list (kept), for a reason that comes before the release of buffers. */
  kept: 7,
} as const;

export type ReclaimAct = keyof typeof RECLAIM;

/** GUP_PIN_COUNTING_BIAS of v5.7 and later; v4.20 has no such test, the figure shows what it would say. */
export const GUP_PIN_COUNTING_BIAS = 1024;

/**
 * What page_maybe_dma_pinned (v5.7) says of a small page with this reference count.
 *
 * @example refs_maybe_dma_pinned(4) === false; refs_maybe_dma_pinned(1027) === true
 */
export const refs_maybe_dma_pinned = (refcount: number): boolean => refcount >>> 0 >= GUP_PIN_COUNTING_BIAS;
