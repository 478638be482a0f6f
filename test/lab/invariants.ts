/**
 * What must hold between any two steps of any run.
 *
 * The reference count of a page is the sum of what its contributors hold. Most of them are in the machine's memory: the
 * cache's slot, the buffers, PTEs, batches, pins. The others are tasks in the middle of a path: HOLDERS (holders/) says, path by
 * path, at which steps a local holds a reference. So the sum is exact at every step, not only at rest.
 */
import { disk_version } from "../../src/kernel/fs/blocks.js";
import { dax_block } from "../../src/kernel/fs/dax.js";
import { should_journal_data } from "../../src/kernel/fs/jbd2/journal_head.js";
import { shmem_swap_entries } from "../../src/kernel/fs/shmem_swap.js";
import { PTE } from "../../src/kernel/kernel.js";
import { compound_head, PageTail } from "../../src/kernel/mm/compound.js";
import { page_index, page_mapping } from "../../src/kernel/mm/filemap.js";
import { is_zero_pfn, pte_pfn } from "../../src/kernel/mm/memory.js";
import { device_page_idle, device_pte_counts, is_zone_device_page } from "../../src/kernel/mm/memremap.js";
import { PageSwapCache } from "../../src/kernel/mm/page.js";
import { is_free } from "../../src/kernel/mm/page_alloc.js";
import { references_held } from "../../src/kernel/mm/references.js";
import { __swp_swapcount, page_private, SWAP_HAS_CACHE, swap_map } from "../../src/kernel/mm/swapfile.js";
import { is_swap_entry, pte_to_swp_entry } from "../../src/kernel/mm/swapops.js";
import { lruvec, shadows, unpack_shadow } from "../../src/kernel/mm/workingset.js";
import { FS, mapping_cap_account_dirty, mapping_use_writeback_tags } from "../../src/kernel/operations.js";
import { isAnon } from "../../src/kernel/structs.js";
import type { World } from "../../src/lab/world.js";
import type { Instruction } from "../../src/machine/program.js";
import { pg } from "../../src/trace/words.js";
import { HOLDERS, type Position } from "./holders/index.js";
import { PinLedger } from "./pin_ledger.js";

/** Whether a task at this instruction has set PG_dirty, and comes to account for it later: if the page is in its file then. */
const unaccounted = ({ path, step }: Instruction): boolean =>
  step === "__set_page_dirty" || (path === "__set_page_dirty_nobuffers" && step === "page_mapping");

/** Where ext4 clears PG_dirty of a page without buffers by hand (v5.18). */
const GIVES_UP = ["ext4_writepage", "mpage_prepare_extent_to_map"];

/** Whether a path counts a page as mapped while it dirties it, its PTE already cleared; one that has put its PTE back does not. */
const unmaps = ({ path, calling, local }: Position): boolean =>
  calling !== "" &&
  !calling.startsWith("invalidate_page") &&
  (path === "zap_pte_range" || (path === "try_to_unmap" && local("at") !== 0));

export class Invariants {
  private readonly positions: Position[][] = [];
  private readonly nths: Uint16Array;
  /** Whether somebody on this machine sets PG_dirty by hand (trap 42). */
  private readonly canBeRaw: boolean;
  private readonly ledger: PinLedger;
  /** Dirty pages without buffers whose bytes ext4 has given up (v5.18): NR_FILE_DIRTY counts them for ever. */
  private givenUp = 0;
  /** The pages, plus one, that tasks have dirtied in a file of a disk and not yet accounted for; 0 of those who have not. */
  private readonly owes: number[];
  /**
   * Dirty pages that truncation has accounted for as cleaned before whoever dirtied them, without the page lock, had accounted for that:
   * he finds no mapping ("Race with truncate?"), and nr_dirty is one too low for ever.
   */
  private neverCounted = 0;
  /** The pages that tasks were about to give up when the invariants were asked last, and the flags of all pages then. */
  private readonly givesUp: number[] = [];
  private readonly flags: Uint32Array;

  /**
   * @param jumps whether the world may stand anywhere when it is asked, not one step further than the time before: then what truncation
   *   accounts for ahead of others is not known
   */
  constructor(
    private readonly world: World,
    private readonly jumps = false,
  ) {
    this.nths = nthsOf(world.machine.code);
    this.flags = Uint32Array.from(world.k.page.flags);
    this.owes = world.machine.tasks.map(() => 0);
    this.ledger = new PinLedger(world, (task) => this.at(task));
    this.canBeRaw = world.machine.code.some(
      ({ path, step }) => path === "vfio_unpin_pages_remote" && step === "SetPageDirty",
    );
  }

  /**
   * fallback_migrate_page cleans a page while its PTEs are migration entries, which page_mkclean does not see; they come back
   * writable. v4.20 breaks I7 so.
   */
  private get fallsBack(): boolean {
    const { geometry } = this.world.k;
    const without = geometry.mount.data === "journal" || geometry.files.some(({ fs }) => fs === FS.btrfs);
    return geometry.config.has("migration") && without;
  }

  /** Whether a page may be dirty by its flag alone; in a sandbox, once somebody has said so. */
  private get raw(): boolean {
    const { takesOrders, inputs } = this.world;
    return this.canBeRaw && (!takesOrders || inputs.some((line) => line.includes("vfio_")));
  }

  /** Every path on a task's call stack, outermost first. Their locals are this task's until the next call. */
  private at(task: number): readonly Position[] {
    const { machine } = this.world;
    const here = machine.pcOf(task);
    this.positions[here] ??= stackOf(machine.code, this.nths, here).map(({ frame, ...position }) => ({
      ...position,
      local: (name) => {
        const value = (frame as unknown as Record<string, number | undefined>)[name];
        if (value === undefined) throw new Error(`${position.path} has no local ${name}`);
        return value;
      },
      page: (name) => (frame as unknown as Record<string, number | undefined>)[name] ?? -1,
    }));
    machine.focus(task);
    return this.positions[here];
  }

  /** Whether a page is in a file of a disk: nr_dirty counts it while it is dirty. */
  private isCounted(page: number): boolean {
    const mapping = this.world.k.page.mapping[page];
    return !isAnon(mapping) && mapping_cap_account_dirty(this.world.k, mapping);
  }

  /** Look at the step that was made since the invariants were asked last. */
  private observe(): void {
    const { k, machine, schedule } = this.world;
    const mover = schedule[schedule.length - 1] ?? -1;
    const page = this.givesUp[mover] ?? -1;
    const gone = (flags: ArrayLike<number>) => (flags[page] & pg("dirty")) === 0;
    if (page >= 0 && !gone(this.flags) && gone(k.page.flags)) this.givenUp++;
    this.flags.set(k.page.flags);
    for (let task = 0; task < machine.tasks.length; task++) {
      const { path, step } = machine.at(task);
      this.givesUp[task] = step === "ClearPageDirty" && GIVES_UP.includes(path) ? machine.page(task) : -1;
      const owed = this.owes[task] - 1;
      if (!unaccounted(machine.at(task))) {
        if (owed >= 0 && !this.isCounted(owed)) this.neverCounted++;
        this.owes[task] = 0;
      } else if (task === mover && owed < 0 && this.isCounted(machine.page(task)))
        this.owes[task] = machine.page(task) + 1;
    }
    this.ledger.observe();
  }

  /** The references that each page should have, from all that hold one. */
  private expectedReferences(pins: readonly number[]): number[] {
    const { k, machine } = this.world;
    const refs = references_held(k);
    const chain = (first: number): number[] => {
      const pages: number[] = [];
      for (let at = first; at !== 0; at = k.page.lru_next[at - 1]) pages.push(at - 1);
      return pages;
    };
    for (let task = 0; task < machine.tasks.length; task++)
      for (const position of this.at(task))
        for (const page of HOLDERS[position.path]?.(position, chain) ?? []) refs[page]++;
    this.ledger.addTo(refs, pins);
    // What is held of a tail is counted in its head.
    for (let page = 0; page < refs.length; page++) {
      if (!PageTail(k, page)) continue;
      refs[compound_head(k, page)] += refs[page];
      refs[page] = 0;
    }
    return refs;
  }

  /** The first invariant that does not hold, as a sentence; null when all hold. */
  violated(): string | null {
    const { k, machine } = this.world;
    const bad = k.faults.find(({ message }) => message.includes("Bad page state"));
    if (bad) return `I9: page ${bad.pfn}: ${bad.message}`;
    const { flags, _refcount, mapcount, mapping, b_state, index } = k.page;
    const pages = k.geometry.pages;
    this.observe();
    const pins = this.ledger.pins();
    const expected = this.expectedReferences(pins);
    const ptes = new Array<number>(pages).fill(0);
    const writable = new Array<boolean>(pages).fill(false);
    for (const entry of k.pte.entry) {
      if ((entry & PTE.present) === 0 || is_zero_pfn(k, pte_pfn(entry))) continue;
      const device = is_zone_device_page(k, pte_pfn(entry));
      if ((device && !device_pte_counts(k)) || PageTail(k, pte_pfn(entry))) continue;
      ptes[pte_pfn(entry)]++;
      if ((entry & PTE.write) !== 0) writable[pte_pfn(entry)] = true;
    }
    const slots = new Array<number>(pages).fill(-1);
    k.xa_slot.page.forEach((page, slot) => {
      if (page !== 0) slots[page - 1] = slot;
    });
    const pending: number[] = [];
    for (let task = 0; task < machine.tasks.length; task++) {
      for (const position of this.at(task)) if (unmaps(position)) ptes[position.local("page")]++;
      if (unaccounted(machine.at(task)) && !machine.isDead(task)) pending.push(machine.page(task));
    }
    const { raw } = this;
    const warned =
      k.faults.some(({ message }) => message.includes("page_has_buffers")) || k.pgdat.warned[0] !== 0;
    let dirty = 0;
    let writeback = 0;
    for (let page = 0; page < pages; page++) {
      const has = (flag: Parameters<typeof pg>[0]) => (flags[page] & pg(flag)) !== 0;
      const ext4 = this.isCounted(page);
      const tags = k.tagsWord(page);
      if (ext4 && has("dirty")) dirty++;
      if (has("writeback")) writeback++;
      const where = `page ${page}`;
      if (_refcount[page] !== expected[page])
        return `I1: ${where} has ${_refcount[page]} references, its holders account for ${expected[page]}`;
      if (mapcount[page] !== ptes[page])
        return `I1: ${where} has mapcount ${mapcount[page]}, ${ptes[page]} PTEs map it`;
      if (!has("private") && b_state[page] !== 0) return `I2: ${where} has buffer bits and no buffers`;
      // iomap and DAX have nothing on their pages.
      const buffers = ext4 && k.inode.fs[mapping[page]] === FS.ext4;
      // With data=journal nobody warns before writepage dies of it (trap 18).
      const unsaid = !warned && !raw && !should_journal_data(k);
      if (has("dirty") && buffers && !has("private") && unsaid)
        return `I4: ${where} is dirty without buffers and nobody has warned`;
      if (has("dirty") && ext4 && (tags & 1) === 0 && !pending.includes(page) && !raw)
        return `I5: ${where} is dirty without a tag, and nobody is about to set it`;
      const tagged = !mapping_use_writeback_tags(k, page) || (tags & 2) !== 0;
      if (has("writeback") && (page_mapping(k, page) === 0 || (buffers && !has("private")) || !tagged))
        return `I6: ${where} is under writeback without mapping, buffers or tag`;
      if (ext4 && writable[page] && !has("dirty") && !has("locked") && !this.fallsBack)
        return `I7, I8: ${where} is clean and unlocked, and a PTE lets it be written`;
      if (mapping[page] === 0 && ptes[page] > 0) return `I9: ${where} is mapped and in no file`;
      // An anonymous page keeps its mapping until it is free: one that reclaim has frozen is on its way.
      const named = mapping[page] !== 0 && (!isAnon(mapping[page]) || is_free(k, page));
      // DAX memory is its file's without a reference.
      const counted = !is_zone_device_page(k, page);
      if (counted && _refcount[page] === 0 && (ptes[page] > 0 || slots[page] >= 0 || named))
        return `I9: ${where} has no references and is still mapped or cached`;
      if (slots[page] >= 0 && k.slotOf(page_mapping(k, page), page_index(k, page)) !== slots[page])
        return `I9: ${where} is in slot ${slots[page]} and does not know`;
      if (slots[page] >= 0 && ext4 && has("uptodate"))
        for (let part = 0; part < k.geometry.parts; part++)
          if (
            disk_version(k, mapping[page], index[page], part) >
            k.content.version[page * k.geometry.parts + part]
          )
            return `I14: the disk has newer bytes of ${where} than memory`;
    }
    // A task that has set PG_dirty accounts for it a step later, whoever has cleaned the page in between.
    const owed = this.jumps ? pending.length : this.owes.filter((of) => of > 0).length;
    if (k.vmstat.nr_dirty[0] + owed + this.neverCounted !== dirty + this.givenUp && !raw)
      return `I11: nr_dirty is ${k.vmstat.nr_dirty[0]}, ${dirty} pages are dirty, ${owed} on their way`;
    if (k.vmstat.nr_writeback[0] !== writeback)
      return `I11: nr_writeback is ${k.vmstat.nr_writeback[0]}, ${writeback} pages are under writeback`;
    return (
      this.ledger.violated(pins) ??
      this.devices() ??
      this.compound() ??
      this.swap() ??
      this.shadows() ??
      this.lists()
    );
  }

  /** What swap_map counts: the PTEs and the slots of files in memory that hold an entry, and the page that has it in the swap cache, which knows. */
  private swap(): string | null {
    const { k } = this.world;
    const map = swap_map(k);
    const ptes = new Array<number>(map.length).fill(0);
    for (const entry of k.pte.entry) if (is_swap_entry(entry)) ptes[pte_to_swp_entry(entry)]++;
    for (const entry of shmem_swap_entries(k)) ptes[entry]++;
    for (let offset = 1; offset < map.length; offset++) {
      if (__swp_swapcount(k, offset) !== ptes[offset])
        return `swap: entry ${offset} is counted ${__swp_swapcount(k, offset)} times, ${ptes[offset]} PTEs and slots hold it`;
      const page = k.xa_slot.page[k.slotOf(k.swapper_space, offset)] - 1;
      if (((map[offset] & SWAP_HAS_CACHE) !== 0) !== page >= 0)
        return `swap: entry ${offset} has a page in the cache and does not know, or the other way round`;
      if (page >= 0 && (!PageSwapCache(k, page) || page_private(k, page) !== offset))
        return `swap: page ${page} is in the swap cache as entry ${offset} and does not know`;
    }
    for (let page = 0; page < k.geometry.pages && map.length > 0; page++)
      if (PageSwapCache(k, page) !== (page_private(k, page) !== 0))
        return `swap: page ${page} says that it is in the swap cache, and has no entry, or the other way round`;
    return null;
  }

  /** What reclaim leaves lies in slots without a page, of files on a disk, and is not of the future. */
  private shadows(): string | null {
    const { k } = this.world;
    const entries = shadows(k);
    for (let mapping = 1; mapping < k.inode.fs.length && entries.length > 0; mapping++)
      for (let index = 0; index < k.inode.i_pages[mapping]; index++) {
        const slot = k.slotOf(mapping, index);
        if (entries[slot] === 0) continue;
        if (k.xa_slot.page[slot] !== 0) return `workingset: slot ${slot} has a page and a shadow entry`;
        if (!mapping_cap_account_dirty(k, mapping))
          return `workingset: file ${mapping} is on no disk and has a shadow entry`;
        if (unpack_shadow(entries[slot]).eviction > lruvec(k).inactive_age[0])
          return `workingset: the page of slot ${slot} was evicted in the future`;
      }
    return null;
  }

  /** Tails have no reference, no flag and no list of their own; a page on a list is no tail. */
  private compound(): string | null {
    const { k } = this.world;
    for (let page = 0; page < k.geometry.pages; page++) {
      if (!PageTail(k, page)) continue;
      if (k.page._refcount[page] !== 0 || k.page.flags[page] !== 0 || k.page.mapcount[page] !== 0)
        return `F75: tail ${page} has a count or flags of its own`;
      if ((k.page.flags[compound_head(k, page)] & pg("head")) === 0)
        return `F75: the head of tail ${page} is no head`;
    }
    return null;
  }

  /** Device memory is on no list and never free; a PTE of it shows the block that its file has there now. */
  private devices(): string | null {
    const { k } = this.world;
    for (let page = k.device_start; page < k.geometry.pages; page++) {
      if ((k.page.flags[page] & pg("lru")) !== 0) return `F56: device page ${page} is on an LRU list`;
      if (k.page._refcount[page] < device_page_idle(k)) return `F56: device page ${page} is free`;
    }
    for (let vma = 0; vma < k.vma.vm_start.length; vma++)
      for (let at = 0; at < k.vma.vm_pages[vma]; at++) {
        const entry = k.pte.entry[k.vma.vm_start[vma] + at];
        if ((entry & PTE.present) === 0 || !is_zone_device_page(k, pte_pfn(entry))) continue;
        const block = dax_block(k, k.vma.vm_file[vma], k.vma.vm_pgoff[vma] + at);
        if (block !== pte_pfn(entry))
          return `DAX: a PTE maps page ${pte_pfn(entry)}, the file's block is ${block}`;
      }
    return null;
  }

  /** I3: the LRU lists link what PG_lru says, both ways, with the right sizes. */
  private lists(): string | null {
    const { k } = this.world;
    const { head, tail, size } = k.lruvec;
    const listed = new Set<number>();
    for (let lru = 0; lru < head.length; lru++) {
      let count = 0;
      let before = 0;
      for (let at = head[lru]; at !== 0; at = k.page.lru_next[at - 1]) {
        if (listed.has(at - 1)) return `I3: page ${at - 1} is on two lists`;
        listed.add(at - 1);
        if (k.page.lru_prev[at - 1] !== before) return `I3: page ${at - 1} does not know the page before it`;
        before = at;
        count++;
      }
      if (tail[lru] !== before) return `I3: list ${lru} ends elsewhere`;
      if (size[lru] !== count) return `I3: list ${lru} has ${count} pages and says ${size[lru]}`;
    }
    for (let page = 0; page < k.geometry.pages; page++)
      if (((k.page.flags[page] & pg("lru")) !== 0) !== listed.has(page))
        return `I3: page ${page} has PG_lru and is on no list, or the other way round`;
    return null;
  }
}

/** Whether an instruction belongs to the expansion of the first `depth + 1` paths of another one's stack. */
const within = (instruction: Instruction, stack: readonly string[], depth: number): boolean => {
  if (instruction.stack.length <= depth) return false;
  for (let at = 0; at <= depth; at++) if (instruction.stack[at] !== stack[at]) return false;
  return true;
};

/** Which of its path's steps of its name each instruction is, from 0. */
function nthsOf(code: readonly Instruction[]): Uint16Array {
  const counts = new Map<Instruction["frame"], Map<string, number>>();
  return Uint16Array.from(code, ({ frame, step }) => {
    const steps = counts.get(frame) ?? new Map<string, number>();
    const nth = steps.get(step) ?? 0;
    counts.set(frame, steps.set(step, nth + 1));
    return nth;
  });
}

/** The frames of the paths that lead to an instruction: calls are expanded in place, so each caller surrounds it. */
function stackOf(code: readonly Instruction[], nths: Uint16Array, here: number) {
  const { stack } = code[here];
  return stack.map((path, depth) => {
    const own = depth === stack.length - 1;
    let at = here;
    if (!own) {
      for (at = here; at >= 0 && within(code[at], stack, depth) && code[at].stack.length !== depth + 1; )
        at--;
      if (at < 0 || !within(code[at], stack, depth))
        for (at = here; within(code[at], stack, depth) && code[at].stack.length !== depth + 1; ) at++;
    }
    const { frame } = code[at];
    const step = own ? code[here].step : "";
    return { path, step, nth: own ? nths[here] : 0, calling: own ? "" : stack[depth + 1], frame };
  });
}
