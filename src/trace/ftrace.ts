/**
 * Reader of ftrace text recordings of real kernels (6.1 and 6.12), so that the figures made for the simulator
 * draw what a real kernel did.
 *
 * The recordings hold tracepoints and kprobes. A kprobe prints the page it was called with as the function is
 * ENTERED: address, inode, flags, reference count, map count (stored, so -1 is "not mapped"), private word. The
 * reader turns each print into words of the page and adds what the function is about to do where no later probe
 * would show it in time. Everything that is worked out and not printed is listed here:
 *
 * - **Which pages.** Those that a probe printed with the workload's inode (outcome.json) and with the address_space
 *   that this inode number was printed with most often: another filesystem may use the same number. A struct page
 *   is reused; once the page left the page cache its life is over, and prints of the same address for another
 *   mapping are not followed. Probes of other pages are dropped, probes of no page (system calls, bios, requests,
 *   the workload's own marks) are kept as steps.
 * - **flags** carry v4.20's bit numbers. Unlocking has no probe: a page lock counts as released when the task that
 *   held it is next seen with something else, in a step unlock_page that no probe printed.
 * - **pins** on kernels whose caller took FOLL_PIN are refcount / 1024, exact for small pages. FOLL_GET (O_DIRECT
 *   on 6.1) adds 1 and cannot be told from other references, so those are counted: +1 at try_grab_page/try_grab_folio,
 *   and dropped by the bio that held them. A bio's pages are those dirtied between bio_set_pages_dirty and the
 *   task's next other event. bio_release_pages(bio, mark_dirty = 0) drops them all there. bio_dirty_fn, and
 *   bio_release_pages(mark_dirty = 1), take each page in turn, dirty it, and put it: the reference of a page goes
 *   after the last event of its dirtying, in a step put_page that no probe printed (a page that was truncated
 *   meanwhile is not dirtied, it goes when bio_dirty_fn begins). refcount follows. At each print what is counted is
 *   cut to what the reference count leaves after page cache, buffers and page tables, so that a put which no probe
 *   saw does not stay for ever.
 * - **buffers** are attached when private is not 0 (ext4; a filesystem that keeps no buffers never shows them).
 *   block_dirty_folio dirties them, folio_start_writeback makes them clean and in flight, folio_end_writeback ends that.
 * - **tags**: DIRTY at writeback_dirty_folio; TOWRITE on all dirty pages at the ext4_writepages tracepoint with
 *   sync_mode 1; WRITEBACK between folio_start_writeback (which drops the other two from a clean page) and the end.
 *   A dirty bit that the kernel drops without writing leaves DIRTY and TOWRITE behind, as it does in the kernel.
 * - **pte** follows mapcount: mapped after page_mkwrite means present, writable, dirty, young; folio_mkclean
 *   takes write and dirty; unmapped means 0. The CPU clearing or setting young is not seen.
 * - **device** (written by a device, marked dirty by nobody yet): a read request completes whose bio points to the
 *   page, and the page is not dirty at that moment. The request is the first read that the task issues after
 *   bio_set_pages_dirty. Bytes may have landed earlier: completion is when they certainly have.
 * - **reclaim** acts are those of shrink_folio_list (the return probes name the caller), not of drop_caches or
 *   truncation. It is first seen at filemap_release_folio, so scanned and unmapped are shown there. 6.12 activates
 *   a pinned page before any probe. A page counts as activated when madvise(MADV_PAGEOUT) covered its address, the
 *   next print finds it unmapped with its buffers, and /proc/vmstat's pgactivate (which the workload wrote into the
 *   recording before and after) rose by at least the number of such pages. At the end of that call such pages, and
 *   those backed out, take reference count and list from their next print, since nothing is seen to touch them between.
 * - **faults**: WARN for the kernel's own splat. LOST where ext4 warns that a dirty page has no buffers, the dirty
 *   bit is gone at the next print, and no folio_start_writeback lies between: the page was made clean and nothing was
 *   written. (The warning names no page; one writeback pass warns in index order, so its n-th warning is for the n-th
 *   dirty page without buffers. Where the console line with the number survived the rate limit, it says the same.)
 *   A warning that fails that test is a WARN.
 *
 * What a first print does not say (a page's words before it) is absent, not zero.
 */
import { field, type Line, type Print, parse } from "./ftrace_text.js";
import { type Fault, MARK, Recorder, type Recording, type StepInfo, type TaskInfo } from "./recording.js";
import {
  BUFFER_BIT,
  GUP_PIN_COUNTING_BIAS,
  LRU_PLACE,
  type PageFlag,
  PTE_BIT,
  pg,
  RECLAIM,
  type ReclaimAct,
  TAG_BIT,
  WORD,
  type WordName,
} from "./words.js";

/** What differs between the kernels: page flag numbers and FOLL_* values, read from each kernel's own BTF and events. */
interface KernelLayout {
  /** Name in v4.20 of flag bit n. */
  readonly flags: readonly PageFlag[];
  readonly FOLL_GET: number;
  readonly FOLL_PIN: number;
  /**
   * Lowest bit of the three-bit generation number of the multi-generational LRU, where it is in use: there a listed
   * page never shows PG_active, and being activated shows as a younger generation (in the 6.12 recording 1 becomes 3).
   */
  readonly generationShift: bigint | null;
}

const KERNELS: Readonly<Record<string, KernelLayout>> = {
  "6.1": {
    flags: [
      ...(["locked", "referenced", "uptodate", "dirty", "lru", "active", "workingset", "waiters"] as const),
      ...(["error", "slab", "checked", "arch_1", "reserved", "private", "private_2", "writeback"] as const),
      ...(["head", "mappedtodisk", "reclaim", "swapbacked", "unevictable", "mlocked"] as const),
    ],
    FOLL_GET: 0x4,
    FOLL_PIN: 0x40000,
    generationShift: null,
  },
  "6.12": {
    flags: [
      ...(["locked", "writeback", "referenced", "uptodate", "dirty", "lru", "head", "waiters"] as const),
      ...(["active", "workingset", "checked", "mappedtodisk", "arch_1", "reserved", "private"] as const),
      ...(["private_2", "reclaim", "swapbacked", "unevictable", "mlocked"] as const),
    ],
    FOLL_GET: 0x2,
    FOLL_PIN: 0x80000,
    generationShift: 23n,
  },
};

const MADV_PAGEOUT = 21;

/**
 * Read an ftrace text recording.
 *
 * @param text the recording, unpacked, from its first line `# tracer: nop` on
 * @param outcome the object in the outcome.json beside it; `run`, `kernel_release` and `inode` are read
 * @returns a recording with `source: "real"`; time is seconds since the workload's START mark (before it: negative),
 *   or since the first event where there is no such mark; each probe is a step whose path and step are its name,
 *   and each line the workload wrote into the trace is a step of path MARK whose step is the text
 * @throws Error with one sentence when the text is truncated or is no ftrace recording, when the kernel's flag
 *   numbers are not known, or when outcome and recording do not belong together
 * @example
 *   const recording = readFtrace(text, JSON.parse(outcomeText));
 *   pinCounts(recording, { pfn: 0x9489 });
 */
export function readFtrace(text: string, outcome: unknown): Recording {
  const { run, release, inode } = readOutcome(outcome);
  const version = /^\d+\.\d+/.exec(release)?.[0] ?? release;
  const kernel = KERNELS[version];
  if (kernel === undefined) {
    throw new Error(
      `The kernel release "${release}" is not known: page flag numbers are known for ${Object.keys(KERNELS).join(" and ")}.`,
    );
  }
  const lines = parse(text);
  return new Importer(kernel, lines, inode).run({
    title: `${run}, recorded on Linux ${release}`,
    kernel: release,
  });
}

function readOutcome(outcome: unknown): { run: string; release: string; inode: number } {
  const o = (typeof outcome === "object" && outcome !== null ? outcome : {}) as Record<string, unknown>;
  if (typeof o.run !== "string" || typeof o.kernel_release !== "string" || typeof o.inode !== "number") {
    throw new Error(
      'The outcome is not that of a recording: it should be an object with "run", "kernel_release" and "inode".',
    );
  }
  return { run: o.run, release: o.kernel_release, inode: o.inode };
}

/** One page of the workload, from its first print or from its arrival in the page cache to its departure. */
class Life {
  /** Last value written for each word; absent until known. */
  readonly words = new Map<number, number>();
  /** References by FOLL_GET, counted from events. */
  got = 0;
  index = -1;
  /** User address at which the page was last faulted in for writing. */
  address = Number.NaN;
  /** Task that page_mkwrite was last called by: its fault installs a writable, dirty PTE. */
  faulting = "";
  lockedBy = "";
  wasListed = false;
  generation = 0;
  /** Generation it was activated into, on the multi-generational LRU, whose pages never show PG_active. */
  youngest = -1;
  cached = true;

  constructor(readonly pfn: number) {}

  get(word: number): number {
    return this.words.get(word) ?? 0;
  }
}

/** Events of a task that is still walking the pages of a bio. */
const WALKING = /^(folio_mark_dirty|set_page_dirty_lock|gup_put_folio|unpin_|bio_)/;

/** A madvise(MADV_PAGEOUT) under way. */
interface Pageout {
  /** User addresses. */
  readonly from: number;
  readonly to: number;
  /** Pages that were mapped when it began. */
  readonly wasMapped: ReadonlySet<Life>;
  /** Pages that reclaim was seen to reach. */
  readonly handled: Set<Life>;
}

/** What one task is in the middle of, as far as later events need to know. */
interface TaskState {
  /** bio whose pages the task is dirtying before submission; "" when it does something else. */
  dirtyingFor: string;
  /** bio that the task's next read request is for. */
  submitting: string;
  /** The task walks a finished bio, dirtying and putting each page. */
  putting: boolean;
  pageout: Pageout | null;
  /** Page that ext4_dirty_folio was last called with: the one a WARN is about. */
  dirtying: Life | null;
}

/** Events that belong to the dirtying of one page, after folio_mark_dirty. */
const DIRTYING =
  /^(ext4_dirty_folio|block_dirty_folio|filemap_dirty_folio|iomap_dirty_folio|noop_dirty_folio|writeback_dirty_folio|writeback_mark_inode_dirty|writeback_dirty_inode|warn|console|<stack)/;

class Importer {
  private readonly recorder = new Recorder();
  private readonly faults: Fault[] = [];
  private readonly tasks = new Map<string, number>();
  private readonly steps = new Map<string, number>();
  private readonly stepInfos: StepInfo[] = [];
  private readonly mapping: string;
  /** Of the workload's file, "254:0"; "" when the recording does not say. */
  private readonly device: string;
  private readonly zero: number;
  /** Indexes of the lines that print each followed page, ascending. */
  private readonly prints = new Map<number, number[]>();
  private readonly lives = new Map<number, Life>();
  private readonly states = new Map<string, TaskState>();
  private readonly bios = new Map<string, Life[]>();
  private readonly requests = new Map<string, string>();
  /** Pages of reads that completed since bio_dirty_fn last ran. */
  private readonly read = new Set<Life>();
  /** FOLL_GET references to drop after a line, by its index. */
  private readonly pendingPuts = new Map<number, Life[]>();
  /** Index in the file of the last page that the current writeback pass warned about. */
  private warnedIndex = -1;
  private at = 0;
  private line: Line;
  /** Step that the words written now belong to. */
  private current = 0;

  constructor(
    private readonly kernel: KernelLayout,
    private readonly lines: readonly Line[],
    private readonly inode: number,
  ) {
    this.mapping = mappingOf(lines, inode);
    lines.forEach(({ print }, at) => {
      if (print?.mapping !== this.mapping) return;
      const seen = this.prints.get(print.pfn);
      if (seen === undefined) this.prints.set(print.pfn, [at]);
      else seen.push(at);
    });
    this.device = this.deviceOf();
    this.zero = (
      lines.find((l) => l.probe === "tracing_mark_write" && l.text.startsWith("START")) ?? lines[0]
    ).time;
    this.line = lines[0];
  }

  /** The device of the file whose page-cache additions are the pages that are followed. */
  private deviceOf(): string {
    for (const { probe, text } of this.lines) {
      const m = probe === "mm_filemap_add_to_page_cache" ? /dev (\d+:\d+) ino ([0-9a-f]+) /.exec(text) : null;
      if (m !== null && Number.parseInt(m[2], 16) === this.inode && this.prints.has(field(text, "pfn")))
        return m[1];
    }
    return "";
  }

  run(info: { title: string; kernel: string }): Recording {
    for (this.at = 0; this.at < this.lines.length; this.at++) {
      this.line = this.lines[this.at];
      this.unlock();
      this.event();
      this.putPending();
    }
    const tasks: TaskInfo[] = [...this.tasks.keys()].map((name) => ({
      name,
      letter: "",
      daemon: /^(<idle>|kworker|kswapd|jbd2|ksoftirqd|kcompactd)/.test(name),
    }));
    return this.recorder.finish({
      ...info,
      source: "real",
      replay: "",
      timeUnit: "s",
      tasks,
      steps: this.stepInfos,
      faults: this.faults,
    });
  }

  // ---- one line

  private event(): void {
    const { probe, text } = this.line;
    if (!DIRTYING.test(probe) && !WALKING.test(probe)) {
      this.state().dirtyingFor = "";
      this.state().putting = false;
    }
    const life = this.subject();
    const about = this.line.print ?? this.line.entry?.print ?? null;
    if (about !== null && life === null) return;
    if (about === null && this.isForeign()) return;
    if (probe === "console" || probe.startsWith("<")) return;
    if (probe === "tracing_mark_write") {
      this.step(MARK, text.trim(), null);
      return;
    }
    this.step(probe, probe, life);
    if (life !== null && this.line.print !== null) this.look(life, this.line.print);
    this.effect(life);
  }

  /** The followed page that this line is about, starting its life where it begins. */
  private subject(): Life | null {
    const print = this.line.print ?? this.line.entry?.print ?? null;
    if (print !== null) {
      const life = this.lives.get(print.pfn);
      if (life !== undefined && !life.cached && /^0x0*$/.test(print.mapping)) return life;
      return print.mapping === this.mapping ? this.live(print.pfn, print.index) : null;
    }
    const { probe, text } = this.line;
    if (!/^(mm_filemap_|writeback_dirty_folio)/.test(probe)) return null;
    if (probe === "writeback_dirty_folio")
      return this.isForeign() ? null : this.byIndex(field(text, "index"));
    const pfn = field(text, "pfn");
    if (!this.prints.has(pfn)) return null;
    if (probe === "mm_filemap_delete_from_page_cache") return this.lives.get(pfn) ?? null;
    const seenLater = this.prints.get(pfn)!.some((at) => at > this.at);
    return seenLater ? this.live(pfn, field(text, "ofs") / 4096) : null;
  }

  private live(pfn: number, index: number): Life {
    let life = this.lives.get(pfn);
    if (life === undefined) {
      life = new Life(pfn);
      this.lives.set(pfn, life);
    }
    life.index = index;
    return life;
  }

  private byIndex(index: number): Life | null {
    for (const life of this.lives.values()) if (life.cached && life.index === index) return life;
    return null;
  }

  /** Events that name another inode, or a page-cache change of a page that is not followed. */
  private isForeign(): boolean {
    const { probe, text } = this.line;
    if (probe.startsWith("mm_filemap_")) return this.subject() === null;
    const inode = /\bino[= ]+(0x[0-9a-f]+|\d+)/.exec(text);
    if (inode === null) return false;
    const device = /\b(?:dev|bdi) (\d+)[:,](\d+)/.exec(text);
    const elsewhere = device !== null && this.device !== "" && `${device[1]}:${device[2]}` !== this.device;
    return elsewhere || Number(inode[1]) !== this.inode;
  }

  /** FOLL_GET references whose put has no probe of its own: shown as a step put_page. */
  private putPending(): void {
    const lives = this.pendingPuts.get(this.at) ?? [];
    if (lives.length > 0) this.name("put_page", "put_page");
    for (const life of lives) this.putOne(life);
  }

  /** The task moved on to something else: the page locks that it was seen to hold are released (step unlock_page). */
  private unlock(): void {
    const { task, print, entry } = this.line;
    const same = (print ?? entry?.print)?.pfn;
    if (
      same === undefined &&
      (DIRTYING.test(this.line.probe) || /^ext4_(release|invalidate)/.test(this.line.probe))
    )
      return;
    for (const life of this.lives.values()) {
      if (life.lockedBy !== task || life.pfn === same) continue;
      life.lockedBy = "";
      this.name("unlock_page", "unlock_page");
      this.set(life, "flags", life.get(WORD.flags) & ~pg("locked"));
    }
  }

  /** Take over what a probe printed of a page. */
  private look(life: Life, print: Print): void {
    const flags = this.translate(print.flags);
    this.set(life, "flags", flags);
    this.set(life, "refcount", print.refcount);
    this.set(life, "mapcount", print.mapcount);
    const others = (life.cached ? 1 : 0) + (print.private ? 1 : 0) + print.mapcount;
    life.got = Math.min(life.got, Math.max(0, (print.refcount % GUP_PIN_COUNTING_BIAS) - others));
    this.set(life, "pins", this.pinsOf(life, print.refcount));
    this.set(life, "buffers", print.private ? life.get(WORD.buffers) | BUFFER_BIT.attached : 0);
    if (!life.words.has(WORD.tags)) this.set(life, "tags", flags & pg("dirty") ? TAG_BIT.dirty : 0);
    this.mapped(life, print.mapcount);
    this.listed(life, flags, print.flags);
    if ((flags & pg("locked")) !== 0) life.lockedBy = this.line.task;
  }

  private mapped(life: Life, mapcount: number): void {
    if (mapcount === 0) this.set(life, "pte", 0);
    else if (life.get(WORD.pte) === 0) {
      const written = life.faulting !== "" ? PTE_BIT.write | PTE_BIT.dirty : 0;
      this.set(life, "pte", PTE_BIT.present | PTE_BIT.young | written);
      life.faulting = "";
    }
  }

  private listed(life: Life, flags: number, raw: bigint): void {
    life.generation = this.generation(raw);
    if ((flags & pg("lru")) === 0) {
      this.set(life, "lru", life.wasListed ? LRU_PLACE.isolated : LRU_PLACE.none);
      return;
    }
    life.wasListed = true;
    const active = (flags & pg("active")) !== 0 || life.generation === life.youngest;
    this.set(life, "lru", active ? LRU_PLACE.active : LRU_PLACE.inactive);
  }

  /** What the function named by the probe does to the page, where no later print would show it in time. */
  private effect(life: Life | null): void {
    const { probe, text, returned } = this.line;
    const state = this.state();
    switch (probe) {
      case "ext4_page_mkwrite":
      case "xfs_filemap_page_mkwrite":
      case "iomap_page_mkwrite":
        life!.faulting = this.line.task;
        if (text.includes(" addr=")) life!.address = field(text, "addr");
        break;
      case "folio_mark_dirty":
        this.bios.get(state.dirtyingFor)?.push(life!);
        if (state.putting) this.putAfterDirtying(life!);
        break;
      case "ext4_dirty_folio":
        state.dirtying = life;
        break;
      case "block_dirty_folio":
        if (life!.get(WORD.buffers) !== 0)
          this.set(life!, "buffers", life!.get(WORD.buffers) | BUFFER_BIT.dirty);
        this.dirtied(life!);
        break;
      case "filemap_dirty_folio":
      case "iomap_dirty_folio":
        this.dirtied(life!);
        break;
      case "writeback_dirty_folio":
        if (life === null) break;
        this.dirtied(life);
        this.set(life, "tags", life.get(WORD.tags) | TAG_BIT.dirty);
        break;
      case "folio_mkclean":
        this.set(life!, "pte", life!.get(WORD.pte) & ~(PTE_BIT.write | PTE_BIT.dirty));
        break;
      case "folio_start_writeback":
        this.startWriteback(life!);
        break;
      case "folio_end_writeback":
        this.set(life!, "flags", life!.get(WORD.flags) & ~pg("writeback"));
        this.set(life!, "tags", life!.get(WORD.tags) & ~TAG_BIT.writeback);
        this.set(life!, "buffers", life!.get(WORD.buffers) & ~BUFFER_BIT.async_write);
        break;
      case "__folio_cancel_dirty":
        this.set(life!, "flags", life!.get(WORD.flags) & ~pg("dirty"));
        break;
      case "try_grab_page":
      case "try_grab_folio":
        this.grab(life!);
        break;
      case "gup_put_folio":
        this.put(life!, Number.isNaN(field(text, "refs")) ? 1 : field(text, "refs"));
        break;
      case "bio_set_pages_dirty":
        state.submitting = bioOf(text);
        state.dirtyingFor = state.submitting;
        this.bios.set(state.submitting, []);
        break;
      case "bio_dirty_fn":
        state.putting = true;
        this.putOrphans();
        break;
      case "bio_release_pages":
        if (field(text, "mark_dirty") === 1) state.putting = true;
        else for (const page of this.bios.get(bioOf(text)) ?? []) this.putOne(page);
        break;
      case "block_rq_issue":
        if (state.submitting !== "" && / R[A-Z]* \d/.test(text)) {
          this.requests.set(requestOf(text), state.submitting);
          state.submitting = "";
        }
        break;
      case "block_rq_complete":
        this.landed(this.requests.get(requestOf(text)) ?? "");
        this.requests.delete(requestOf(text));
        break;
      case "filemap_release_folio":
        if (returned?.caller === "shrink_folio_list") this.reclaimReached(life!);
        break;
      case "remove_mapping":
        if (returned?.caller === "shrink_folio_list") this.reclaimReached(life!);
        break;
      case "try_to_free_buffers_ret":
        this.buffersFreed(life);
        break;
      case "remove_mapping_ret":
        this.removalEnded(life);
        break;
      case "filemap_remove_folio":
      case "mm_filemap_delete_from_page_cache":
        if (life !== null) this.left(life);
        break;
      case "mm_filemap_add_to_page_cache":
        if (life !== null) this.arrived(life);
        break;
      case "ext4_writepages":
        this.warnedIndex = -1;
        if (field(text, "sync_mode") === 1) this.tagForWriteback();
        break;
      case "ext4_warning_inode":
        this.withoutBuffers();
        break;
      case "warn":
        this.warned();
        break;
      case "sys_madvise":
        this.madvise();
        break;
    }
  }

  // ---- pages coming and going

  private arrived(life: Life): void {
    life.cached = true;
    life.wasListed = false;
    life.got = 0;
    this.set(life, "flags", pg("locked"));
    this.set(life, "mapcount", 0);
    this.set(life, "pins", 0);
    this.set(life, "pte", 0);
    this.set(life, "tags", 0);
    this.set(life, "device", 0);
    this.set(life, "lru", LRU_PLACE.none);
    life.lockedBy = this.line.task;
  }

  /** Out of the page cache. A frozen count (0) means that the page is freed; a pinned page lives on as an orphan. */
  private left(life: Life): void {
    if (!life.cached) return;
    life.cached = false;
    this.set(life, "tags", 0);
    if (life.get(WORD.refcount) !== 0) return;
    for (const word of ["flags", "buffers", "pte", "device"] as const) this.set(life, word, 0);
    this.set(life, "lru", LRU_PLACE.none);
    life.lockedBy = "";
  }

  // ---- dirt and writeback

  private dirtied(life: Life): void {
    this.set(life, "flags", life.get(WORD.flags) | pg("dirty"));
    this.set(life, "device", 0);
  }

  private startWriteback(life: Life): void {
    const dirty = (life.get(WORD.flags) & pg("dirty")) !== 0;
    const kept = dirty ? life.get(WORD.tags) & TAG_BIT.dirty : 0;
    this.set(life, "flags", life.get(WORD.flags) | pg("writeback"));
    this.set(life, "tags", kept | TAG_BIT.writeback);
    if (life.get(WORD.buffers) !== 0) {
      this.set(life, "buffers", (life.get(WORD.buffers) & ~BUFFER_BIT.dirty) | BUFFER_BIT.async_write);
    }
  }

  private tagForWriteback(): void {
    for (const life of this.lives.values()) {
      const tags = life.get(WORD.tags);
      if (life.cached && (tags & TAG_BIT.dirty) !== 0) this.set(life, "tags", tags | TAG_BIT.towrite);
    }
  }

  private landed(bio: string): void {
    for (const life of this.bios.get(bio) ?? []) {
      if ((life.get(WORD.flags) & pg("dirty")) === 0) this.set(life, "device", 1);
      this.read.add(life);
    }
  }

  // ---- references

  private pinsOf(life: Life, refcount: number): number {
    return Math.max(0, refcount >> 10) + life.got;
  }

  private grab(life: Life): void {
    const { text } = this.line;
    const refs = text.includes(" refs=") ? field(text, "refs") : 1;
    const gup = field(text, "gup");
    const before = life.get(WORD.refcount);
    if ((gup & this.kernel.FOLL_PIN) !== 0) this.set(life, "refcount", before + GUP_PIN_COUNTING_BIAS * refs);
    else if ((gup & this.kernel.FOLL_GET) !== 0) {
      life.got += refs;
      this.set(life, "refcount", before + refs);
    }
    this.set(life, "pins", this.pinsOf(life, life.get(WORD.refcount)));
  }

  private put(life: Life, refs: number): void {
    const pin = (field(this.line.text, "gup") & this.kernel.FOLL_PIN) !== 0;
    if (!pin) life.got = Math.max(0, life.got - refs);
    this.set(life, "refcount", life.get(WORD.refcount) - refs * (pin ? GUP_PIN_COUNTING_BIAS : 1));
    this.set(life, "pins", this.pinsOf(life, life.get(WORD.refcount)));
  }

  /** Drop one FOLL_GET reference that was counted; pages held by FOLL_PIN say so themselves. */
  private putOne(life: Life): void {
    if (life.got === 0) return;
    life.got -= 1;
    this.set(life, "refcount", life.get(WORD.refcount) - 1);
    this.set(life, "pins", this.pinsOf(life, life.get(WORD.refcount)));
  }

  private putOrphans(): void {
    for (const life of this.read) if (!life.cached) this.putOne(life);
    this.read.clear();
  }

  /** The task dirties this page and then puts it: schedule the put after the last event of the dirtying. */
  private putAfterDirtying(life: Life): void {
    if (life.got === 0) return;
    const { task } = this.line;
    let last = this.at;
    for (let at = this.at + 1; at < this.lines.length; at++) {
      if (this.lines[at].task !== task) continue;
      if (!DIRTYING.test(this.lines[at].probe)) break;
      if (!/^(console|<)/.test(this.lines[at].probe)) last = at;
    }
    this.pendingPuts.set(last, [...(this.pendingPuts.get(last) ?? []), life]);
  }

  // ---- reclaim

  /** shrink_folio_list got as far as releasing the page's buffers, or past it: it was scanned, and is unmapped. */
  private reclaimReached(life: Life): void {
    const call = this.pageoutOf(life);
    if (call?.handled.has(life)) return;
    call?.handled.add(life);
    this.act(life, "scanned");
    if (call?.wasMapped.has(life) && life.get(WORD.mapcount) === 0) this.act(life, "unmapped");
  }

  private buffersFreed(life: Life | null): void {
    const { entry } = this.line;
    if (life === null || entry?.returned?.value !== 1) return;
    this.set(life, "buffers", 0);
    if (this.callerOf("filemap_release_folio", life) === "shrink_folio_list") this.act(life, "stripped");
  }

  private removalEnded(life: Life | null): void {
    const returned = this.line.entry?.returned;
    if (life === null || returned?.caller !== "shrink_folio_list") return;
    this.act(life, returned.value === 0 ? "backed_out" : "reclaimed");
  }

  /** Who called the function of this name that the task is inside of, for this page. */
  private callerOf(probe: string, life: Life): string | undefined {
    for (let at = this.at - 1; at >= 0; at--) {
      const line = this.lines[at];
      if (line.task === this.line.task && line.probe === probe && line.print?.pfn === life.pfn)
        return line.returned?.caller;
    }
    return undefined;
  }

  /** The madvise(MADV_PAGEOUT) of this task that covers the page, if one is under way. */
  private pageoutOf(life: Life): Pageout | null {
    const call = this.state().pageout;
    if (call === null) return null;
    // Some filesystems' probes do not print the address: then a page that was mapped is taken to be in the range.
    const unknown = Number.isNaN(life.address) && call.wasMapped.has(life);
    return unknown || (life.address >= call.from && life.address < call.to) ? call : null;
  }

  private madvise(): void {
    const { text } = this.line;
    const state = this.state();
    const call = /start: ([0-9a-f]+), len_in: ([0-9a-f]+), behavior: ([0-9a-f]+)/.exec(text);
    if (call !== null) {
      if (Number.parseInt(call[3], 16) !== MADV_PAGEOUT) return;
      const from = Number.parseInt(call[1], 16);
      const to = from + Number.parseInt(call[2], 16);
      const mapped = [...this.lives.values()].filter((life) => life.get(WORD.mapcount) > 0);
      state.pageout = { from, to, wasMapped: new Set(mapped), handled: new Set() };
    } else if (state.pageout !== null) {
      this.pageoutEnds(state.pageout);
      state.pageout = null;
    }
  }

  private pageoutEnds(call: Pageout): void {
    const activated = [...call.wasMapped].filter((life) => {
      const next = this.nextPrint(life);
      return this.pageoutOf(life) === call && !call.handled.has(life) && next?.mapcount === 0 && next.private;
    });
    const counted = activated.length > 0 && this.rise("pgactivate") >= activated.length;
    for (const life of activated) {
      this.act(life, "scanned");
      this.act(life, "unmapped");
      this.set(life, "mapcount", 0);
      this.set(life, "pte", 0);
      if (!counted) continue;
      this.act(life, "activated");
      life.youngest = this.generation(this.nextPrint(life)!.flags);
    }
    for (const life of [...call.handled, ...activated]) {
      const next = this.nextPrint(life);
      if (!life.cached || next === undefined) continue;
      const flags = this.translate(next.flags) & ~pg("locked");
      this.set(life, "refcount", next.refcount);
      this.set(life, "flags", flags);
      this.listed(life, flags, next.flags);
    }
  }

  /** How much a /proc/vmstat counter rose between the workload's readings before and after this line. */
  private rise(counter: string): number {
    const reading = (line: Line | undefined) => (line === undefined ? Number.NaN : field(line.text, counter));
    const isReading = (line: Line) => line.probe === "tracing_mark_write" && line.text.startsWith("VMSTAT");
    const before = this.lines.slice(0, this.at).reverse().find(isReading);
    const after = this.lines.slice(this.at).find(isReading);
    return reading(after) - reading(before);
  }

  // ---- faults

  private warned(): void {
    const { text } = this.line;
    const where = /file="([^"]+)" line=(\d+) caller=([^+\s]+)/.exec(text);
    const life = this.state().dirtying;
    const [file, line, caller] = where === null ? ["an unknown place", "?", "warn"] : where.slice(1);
    const fact =
      life?.get(WORD.buffers) === 0 ? "the page is being dirtied and has no buffers" : "the kernel warned";
    this.fault("WARN", caller, life, `${caller}: ${fact} (WARN_ON_ONCE at ${file}:${line})`);
  }

  /** ext4 found a dirty page without buffers. Lost, once it is certain that it was made clean and not written. */
  private withoutBuffers(): void {
    const where = /func="([^"]+)"/.exec(this.line.text)?.[1] ?? "ext4_warning_inode";
    const candidates = [...this.lives.values()]
      .filter((life) => life.cached && life.index > this.warnedIndex)
      .filter((life) => (life.get(WORD.flags) & pg("dirty")) !== 0 && life.get(WORD.buffers) === 0)
      .sort((a, b) => a.index - b.index);
    const life = candidates[0];
    if (life === undefined) {
      this.fault("WARN", where, null, `${where}: a page does not have buffers attached`);
      return;
    }
    this.warnedIndex = life.index;
    const fact = `${where}: page ${life.index} does not have buffers attached`;
    if (!this.cleanedUnwritten(life)) {
      this.fault("WARN", where, life, fact);
      return;
    }
    this.fault("LOST", where, life, `${fact}; made clean, never written`);
    this.set(life, "flags", life.get(WORD.flags) & ~pg("dirty"));
  }

  /** The next print finds the page clean, and no writeback of it began before. */
  private cleanedUnwritten(life: Life): boolean {
    const next = this.nextPrint(life);
    if (next === undefined || (this.translate(next.flags) & pg("dirty")) !== 0) return false;
    return this.nextLine(life)!.probe !== "folio_start_writeback";
  }

  private fault(kind: Fault["kind"], where: string, life: Life | null, message: string): void {
    const pfn = life?.pfn ?? -1;
    this.faults.push({
      kind,
      path: where,
      step: where,
      pfn,
      task: this.line.task,
      tick: this.now(),
      message,
    });
    this.add(pfn, "fault", this.faults.length - 1);
  }

  // ---- looking ahead

  private nextLine(life: Life): Line | undefined {
    const at = this.prints.get(life.pfn)!.find((at) => at > this.at);
    return at === undefined ? undefined : this.lines[at];
  }

  private nextPrint(life: Life): Print | undefined {
    return this.nextLine(life)?.print ?? undefined;
  }

  // ---- the kernel's numbers

  private translate(flags: bigint): number {
    const bits = Number(flags & 0xffffffn);
    let translated = 0;
    this.kernel.flags.forEach((name, bit) => {
      if ((bits & (1 << bit)) !== 0) translated |= pg(name);
    });
    return translated;
  }

  private generation(flags: bigint): number {
    const shift = this.kernel.generationShift;
    return shift === null ? 0 : Number((flags >> shift) & 7n);
  }

  // ---- writing

  private step(path: string, step: string, life: Life | null): void {
    this.name(path, step);
    this.add(life?.pfn ?? -1, "step", 1);
  }

  /** The words written from now on belong to this step. */
  private name(path: string, step: string): void {
    const key = `${path} ${step}`;
    let id = this.steps.get(key);
    if (id === undefined) {
      id = this.stepInfos.push({ path, step }) - 1;
      this.steps.set(key, id);
    }
    this.current = id;
  }

  private act(life: Life, act: ReclaimAct): void {
    this.add(life.pfn, "reclaim", RECLAIM[act]);
  }

  private set(life: Life, word: WordName, value: number): void {
    if (life.words.get(WORD[word]) === value) return;
    life.words.set(WORD[word], value);
    this.add(life.pfn, word, value);
  }

  private add(pfn: number, word: WordName, value: number): void {
    let task = this.tasks.get(this.line.task);
    if (task === undefined) {
      task = this.tasks.size;
      this.tasks.set(this.line.task, task);
    }
    this.recorder.add(this.now(), task, this.current, pfn, WORD[word], value);
  }

  /** Seconds since the START mark; the recording's clock has microseconds. */
  private now(): number {
    return Number((this.line.time - this.zero).toFixed(6));
  }

  private state(): TaskState {
    let state = this.states.get(this.line.task);
    if (state === undefined) {
      state = { dirtyingFor: "", submitting: "", putting: false, pageout: null, dirtying: null };
      this.states.set(this.line.task, state);
    }
    return state;
  }
}

/** The address_space most often printed with this inode number. */
function mappingOf(lines: readonly Line[], inode: number): string {
  const count = new Map<string, number>();
  for (const { print } of lines) {
    if (print?.ino === inode) count.set(print.mapping, (count.get(print.mapping) ?? 0) + 1);
  }
  const best = [...count].sort((a, b) => b[1] - a[1])[0];
  if (best === undefined) {
    throw new Error(
      `No probe of the recording names a page of inode ${inode}: outcome and recording do not belong together.`,
    );
  }
  return best[0];
}

const bioOf = (text: string): string => /bio=(0x[0-9a-f]+)/.exec(text)?.[1] ?? "";

/** Device, first sector and length of a block request: the same in block_rq_issue and block_rq_complete. */
function requestOf(text: string): string {
  const m = /^(\d+,\d+) .* (\d+ \+ \d+) /.exec(text);
  return m === null ? "" : `${m[1]} ${m[2]}`;
}

export { equivalentStep } from "./probes.js";
