/**
 * Where a file's pages are on its disk: holes, delayed, unwritten and mapped blocks, free space, shared blocks.
 *
 * What an extent tree, an extent status tree and a block bitmap say, for filesystems whose blocks are as large as
 * pages: fs/ext4/extents_status.c, fs/ext4/balloc.c, fs/ext4/mballoc.c in v4.20; xfs and btrfs keep the same facts in
 * trees of their own. All of it is atomic; the paths that call it decide what happens between two calls.
 *
 * Needs config "blocks". Without it every page of a file has its own block for good (block number = slot), and nothing
 * here has a row. With it each disk has `geometry.blocks` blocks; a block carries, part by part, the newest version that was
 * written there and whose page that was (the owner). A freed block keeps both, as a disk does: who reads it through another
 * mapping gets another file's bytes (INFOLEAK), and a write that arrives at a block which is free or another file's is
 * found (UAF).
 *
 * Left out: blocks smaller than a page, extents as such (a block is looked up by its page), metadata blocks, clusters, where
 * the allocator looks first (it takes the lowest free block), preallocation, reserved root blocks.
 */
import { struct, u8, u16 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Geometry } from "../geometry.js";
import type { Kernel, Table } from "../kernel.js";
import { page_index, page_mapping } from "../mm/filemap.js";
import { FS } from "../operations.js";
import { type DiskNr, type InodeNr, NONE, type Pfn, type Slot } from "../types.js";
import { forget_acknowledged } from "./acknowledged.js";

/** Number of a block: disk after disk, each has `geometry.blocks`. */
export type BlockNr = number & { readonly block_nr?: never };

/** extent.state: what a page of a file has on the disk. */
export const EXTENT = { hole: 0, delayed: 1, unwritten: 2, mapped: 3 } as const;

/** What a file's page has, by slot: ext4's extent status tree. */
export const extent = struct("extent", {
  state: u8("EXTENT_*"),
  block: u16("number of its block plus one; 0 without"),
});

/** Free space of a filesystem, by disk: struct ext4_sb_info. */
export const sb_info = struct("sb_info", {
  s_freeclusters_counter: u16(
    "blocks that are free, reserved or not; also those that a commit must free first",
  ),
  s_dirtyclusters_counter: u16("blocks that are promised to delayed extents"),
});

/** By block number: the bitmap and the reference counts. */
export const disk_block = struct("disk_block", {
  refs: u8("files' pages that have this block; more than one: shared (reflink)"),
  pending: u8("PENDING_*: freed, and not free before a transaction is on the disk"),
});

/** disk_block.pending. */
export const PENDING = { none: 0, running: 1, committing: 2 } as const;

/** By part of a block: whose bytes are on it. */
export const block_owner = struct("block_owner", {
  slot: u16(
    "slot of the page that was written here last, plus one; 0 nobody's; with DELETED: of a page that has given it back",
  ),
});
/** The bit of block_owner.slot that says that the block was freed since. */
export const DELETED = 0x8000;

/** Where a page's transfer goes: the bio's sector, fixed when it is submitted. */
const page_bio = struct("page_bio", {
  bi_sector: u16(
    "number of the block that the page is read from or written to, plus one; 0: none, zeroes are read",
  ),
});

/** Blocks that take the place of a page's own when they have been written: xfs's COW fork, btrfs's ordered extents. */
export const cow_fork = struct("cow_fork", {
  state: u8("COW_*: what the page has in its COW fork (fs/cow.ts)"),
  block: u16("number of its block plus one; 0 without"),
});

const slots_of = (g: Geometry): number => g.files.reduce((sum, { pages }) => sum + pages, 0);
const on = (g: Geometry, rows: number): number => (g.config.has("blocks") ? rows : 0);

/** The structs of this file. */
export const blockTables: readonly Table[] = [
  { struct: extent, rows: (g) => on(g, slots_of(g)) },
  { struct: sb_info, rows: (g) => on(g, g.disks) },
  { struct: disk_block, rows: (g) => on(g, g.disks * g.blocks) },
  { struct: block_owner, rows: (g) => on(g, g.disks * g.blocks * g.parts) },
  { struct: page_bio, rows: (g) => on(g, g.pages) },
  {
    struct: cow_fork,
    rows: (g) => (g.files.some(({ fs }) => fs === FS.xfs || fs === FS.btrfs) ? on(g, slots_of(g)) : 0),
  },
];

/** Rows of struct block: content on the disks. */
export const block_rows = (g: Geometry): number =>
  (g.config.has("blocks") ? g.disks * g.blocks : slots_of(g)) * g.parts;

/** What the disks hold before the first step: each file has the extents that its scenario says, the rest is free. */
export function mkfs(k: Kernel): void {
  const { geometry: g } = k;
  if (!g.config.has("blocks")) return;
  k.of(sb_info).s_freeclusters_counter.fill(g.blocks);
  g.files.forEach(({ pages, extents, reflink }, at) => {
    const mapping = at + 1;
    for (let index = 0; index < pages; index++) {
      const state = EXTENT[extents[index] ?? "mapped"];
      if (reflink !== 0) share_extent(k, reflink, index, mapping, index);
      else if (state !== EXTENT.hole && allocate(k, mapping, index, state) !== 0)
        throw new Error(`mkfs: file ${mapping} does not fit on its disk`);
      if (reflink === 0 && state === EXTENT.mapped) set_owner(k, block_nr(k, mapping, index), mapping, index);
    }
  });
}

/** EXTENT_* of a page of a file; on machines without "blocks" every page is mapped. */
export function extent_state(k: Kernel, mapping: InodeNr, index: number): number {
  const { state } = k.of(extent);
  return state.length === 0 ? EXTENT.mapped : state[k.slotOf(mapping, index)];
}

/** The block of a page of a file, unwritten or mapped, or NONE. */
export const block_nr = (k: Kernel, mapping: InodeNr, index: number): BlockNr =>
  k.of(extent).block[k.slotOf(mapping, index)] - 1;

/** Blocks of a disk that are neither used nor promised. */
export const free_blocks = (k: Kernel, sb: DiskNr): number =>
  k.of(sb_info).s_freeclusters_counter[sb] - k.of(sb_info).s_dirtyclusters_counter[sb];

/** Whether another file's page has the same block. */
export function is_shared(k: Kernel, mapping: InodeNr, index: number): boolean {
  const nr = block_nr(k, mapping, index);
  return nr !== NONE && k.of(disk_block).refs[nr] > 1;
}

function set_owner(k: Kernel, nr: BlockNr, mapping: InodeNr, index: number): void {
  const { parts } = k.geometry;
  k.of(block_owner).slot.fill(k.slotOf(mapping, index) + 1, nr * parts, (nr + 1) * parts);
}

/**
 * A hole becomes delayed: space for one block is promised, none is chosen (ext4_da_reserve_space). Gives 0 or -ENOSPC.
 *
 * @throws Error when the page is no hole
 */
export function reserve_delayed(k: Kernel, mapping: InodeNr, index: number): number {
  if (extent_state(k, mapping, index) !== EXTENT.hole)
    throw new Error("reserve_delayed: the page is no hole");
  const sb = k.inode.disk[mapping];
  if (free_blocks(k, sb) === 0) return -ERRNO.ENOSPC;
  k.of(sb_info).s_dirtyclusters_counter[sb]++;
  k.of(extent).state[k.slotOf(mapping, index)] = EXTENT.delayed;
  return 0;
}

/** A delayed extent is a hole again, its promise void (ext4_da_release_space). Nothing when it is not delayed. */
export function release_delayed(k: Kernel, mapping: InodeNr, index: number): void {
  if (extent_state(k, mapping, index) !== EXTENT.delayed) return;
  k.of(sb_info).s_dirtyclusters_counter[k.inode.disk[mapping]]--;
  k.of(extent).state[k.slotOf(mapping, index)] = EXTENT.hole;
  forget_acknowledged(k, k.slotOf(mapping, index));
}

/**
 * A block of a disk that nobody has, with one reference, or NONE: also when all that are free wait for a commit. The
 * caller gives up the promise that it was made for.
 */
export function new_block(k: Kernel, sb: DiskNr, promised: boolean): BlockNr {
  if (!promised && free_blocks(k, sb) === 0) return NONE;
  const { refs, pending } = k.of(disk_block);
  for (let nr = sb * k.geometry.blocks; nr < (sb + 1) * k.geometry.blocks; nr++) {
    if (refs[nr] > 0 || pending[nr] !== PENDING.none) continue;
    refs[nr] = 1;
    k.of(sb_info).s_freeclusters_counter[sb]--;
    return nr;
  }
  return NONE;
}

/**
 * Give a page of a file that has none a block, in the state given (EXTENT.unwritten or EXTENT.mapped). A delayed page
 * uses up its promise, which fails only while blocks wait for a commit. Gives 0 or -ENOSPC.
 */
export function allocate(k: Kernel, mapping: InodeNr, index: number, state: number): number {
  const had = extent_state(k, mapping, index);
  if (had !== EXTENT.hole && had !== EXTENT.delayed) throw new Error("allocate: the page has a block");
  const nr = new_block(k, k.inode.disk[mapping], had === EXTENT.delayed);
  if (nr === NONE) return -ERRNO.ENOSPC;
  release_delayed(k, mapping, index);
  map_extent(k, mapping, index, nr, state);
  return 0;
}

/** Enter a block, whose reference becomes the file's, at a page of the file that has none. */
export function map_extent(k: Kernel, mapping: InodeNr, index: number, nr: BlockNr, state: number): void {
  const slot = k.slotOf(mapping, index);
  const { state: states, block } = k.of(extent);
  if (block[slot] !== 0) throw new Error("map_extent: the page has a block");
  states[slot] = state;
  block[slot] = nr + 1;
}

/** The bytes are there: an unwritten extent counts as data from here on. Gives whether it was unwritten. */
export function convert_unwritten(k: Kernel, mapping: InodeNr, index: number): boolean {
  const { state } = k.of(extent);
  const slot = k.slotOf(mapping, index);
  if (state[slot] !== EXTENT.unwritten) return false;
  state[slot] = EXTENT.mapped;
  return true;
}

/**
 * A page of a file becomes a hole; its block loses a reference, its promise is void. `pending` says from when on a
 * block without references is free: at once, or after a transaction (PENDING_*).
 */
export function free_extent(
  k: Kernel,
  mapping: InodeNr,
  index: number,
  pending: number = PENDING.none,
): void {
  release_delayed(k, mapping, index);
  const nr = unmap_extent(k, mapping, index);
  if (nr !== NONE) put_block(k, nr, pending);
}

/** Take the block out of a page of a file, which becomes a hole; the reference is the caller's. Gives the block, or NONE. */
export function unmap_extent(k: Kernel, mapping: InodeNr, index: number): BlockNr {
  const slot = k.slotOf(mapping, index);
  const { state, block } = k.of(extent);
  const nr = block[slot] - 1;
  if (nr === NONE) return NONE;
  state[slot] = EXTENT.hole;
  block[slot] = 0;
  forget_acknowledged(k, slot);
  give_up_ownership(k, nr, slot);
  return nr;
}

/** Drop a reference on a block; without any it is free, at once or after a transaction. */
export function put_block(k: Kernel, nr: BlockNr, pending: number = PENDING.none): void {
  const { refs, pending: states } = k.of(disk_block);
  if (refs[nr] === 0) throw new Error(`put_block: block ${nr} is free`);
  refs[nr]--;
  if (refs[nr] > 0) return;
  const { slot } = k.of(block_owner);
  const { parts } = k.geometry;
  for (let at = nr * parts; at < (nr + 1) * parts; at++) if (slot[at] !== 0) slot[at] |= DELETED;
  states[nr] = pending;
  k.of(sb_info).s_freeclusters_counter[Math.floor(nr / k.geometry.blocks)]++;
}

/** Blocks that waited in one state go on to the next (ext4_process_freed_data); from PENDING.none on they can be given out. */
export function advance_pending(k: Kernel, sb: DiskNr, from: number, to: number): void {
  const { pending } = k.of(disk_block);
  for (let nr = sb * k.geometry.blocks; nr < (sb + 1) * k.geometry.blocks; nr++) {
    if (pending[nr] === from) pending[nr] = to;
  }
}

/** Whoever still has the block speaks for its bytes. */
function give_up_ownership(k: Kernel, nr: BlockNr, slot: Slot): void {
  const { slot: owners } = k.of(block_owner);
  const heir = k.of(extent).block.indexOf(nr + 1);
  const { parts } = k.geometry;
  for (let at = nr * parts; at < (nr + 1) * parts; at++)
    if (owners[at] === slot + 1 && heir >= 0) owners[at] = heir + 1;
}

/** Reflink: a page of a file that has no block gets another page's, shared from now on. A hole stays a hole. */
export function share_extent(k: Kernel, from: InodeNr, at: number, to: InodeNr, index: number): void {
  const nr = block_nr(k, from, at);
  if (nr === NONE) return;
  map_extent(k, to, index, nr, extent_state(k, from, at));
  k.of(disk_block).refs[nr]++;
}

/** Whether the bytes of a part of a block are those of this page of a file, or of one with which it shares the block. */
function is_own(k: Kernel, nr: BlockNr, part: number, slot: Slot): boolean {
  const owner = k.of(block_owner).slot[nr * k.geometry.parts + part];
  if (owner === 0 || owner === slot + 1) return true;
  return (owner & DELETED) === 0 && k.of(extent).block[owner - 1] === nr + 1;
}

/** disk_version of a part whose bytes on the disk are another file's, or a deleted page's: older than any version. */
export const FOREIGN = -1;

/**
 * What somebody who reads a part of a file's page from the disk gets: its version; 0, zeroes, of holes, delayed and
 * unwritten extents; FOREIGN where the block still has somebody else's bytes.
 */
export function disk_version(k: Kernel, mapping: InodeNr, index: number, part: number): number {
  const slot = k.slotOf(mapping, index);
  const { state, block } = k.of(extent);
  if (state.length === 0) return k.block.version[slot * k.geometry.parts + part];
  if (state[slot] !== EXTENT.mapped) return 0;
  const nr = block[slot] - 1;
  return is_own(k, nr, part, slot) ? k.block.version[nr * k.geometry.parts + part] : FOREIGN;
}

/** A page's transfer is submitted: to the block that its file has there now. Nothing on machines without "blocks". */
export function set_bi_sector(k: Kernel, page: Pfn): void {
  const { bi_sector } = k.of(page_bio);
  if (bi_sector.length > 0) bi_sector[page] = k.of(extent).block[slot_of_page(k, page)];
}

/** A page's write is submitted to the block of its COW fork. */
export function set_bi_sector_cow(k: Kernel, page: Pfn): void {
  k.of(page_bio).bi_sector[page] = k.of(cow_fork).block[slot_of_page(k, page)];
}

const slot_of_page = (k: Kernel, page: Pfn): Slot => k.slotOf(page_mapping(k, page), page_index(k, page));

/**
 * The disk reads a part of a page's block. Zeroes come from what has no data; another's bytes, or deleted ones, are an
 * INFOLEAK. Gives the version.
 */
export function read_block(k: Kernel, page: Pfn, part: number): number {
  const found = disk_version(k, page_mapping(k, page), page_index(k, page), part);
  const message = "disk: the block still has bytes of another file, or of a deleted page";
  return k.fault_on(found === FOREIGN, "INFOLEAK", message, page) ? 0 : found;
}

/** Whether a page may be written to the block that its bio names. */
function check_block(k: Kernel, page: Pfn, nr: number): void {
  if (k.fault_on(nr === NONE, "UAF", "disk: a page is written, and its file has no block for it", page))
    return;
  const { refs } = k.of(disk_block);
  const slot = slot_of_page(k, page);
  const shared = "disk: a shared block is overwritten, the other file's bytes are gone";
  k.fault_on(refs[nr] > 1, "UAF", shared, page);
  const foreign = k.of(extent).block[slot] !== nr + 1 && k.of(cow_fork).block[slot] !== nr + 1;
  if (k.tested(foreign, "disk: a block is written that is not the file's", page))
    k.fault("UAF", `disk: a block is written that is ${refs[nr] === 0 ? "free" : "another file's"}`, page);
}

/**
 * The disk writes a part of a page to the block that its bio names. A block that the file does not have, or that
 * somebody else has as well, is UAF: those bytes are gone.
 */
export function write_block(k: Kernel, page: Pfn, part: number): void {
  const { bi_sector } = k.of(page_bio);
  write_block_at(k, page, part, bi_sector.length === 0 ? NONE : bi_sector[page] - 1);
}

/** The same to a block that a bio names which is not the page's; on machines without "blocks" to the page's own. */
export function write_block_at(k: Kernel, page: Pfn, part: number, nr: BlockNr): void {
  const { parts } = k.geometry;
  const version = k.content.version[page * parts + part];
  const slot = slot_of_page(k, page);
  if (k.of(page_bio).bi_sector.length === 0) {
    k.block.version[slot * parts + part] = version;
    return;
  }
  if (part === 0) check_block(k, page, nr);
  if (nr === NONE) return;
  k.block.version[nr * parts + part] = version;
  k.of(block_owner).slot[nr * parts + part] = slot + 1;
}

/** The page's transfer is over. */
export function clear_bi_sector(k: Kernel, page: Pfn): void {
  const { bi_sector } = k.of(page_bio);
  if (bi_sector.length > 0) bi_sector[page] = 0;
}
