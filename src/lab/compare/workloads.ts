/**
 * The workloads of recordings, as scripts of the sandbox: what each word of a workload's command line does, and what its program
 * would have printed as its outcome.
 *
 *     strip HOLDER HOW FILE PAGES    hold the pages, clean them, take their buffers away, let go, write again
 *     trunc HOLDER HOW FILE PAGES    hold the pages, cut them out of the file, fault the range again, let go
 *     race HOLDER HOW FILE PAGES     the same with nobody waiting for anybody: many runs, by chance
 *     reflink HOLDER FILE PAGES      hold the pages, share the file's blocks, let go
 *     fork PAGES                     hold private pages, fork, write, let go
 *     vmsplice FILE PAGES            put pages into a pipe, write them, evict them, truncate, read the pipe
 *     matrix                         ways to take pages x kinds of memory
 *     mmapwrite FILE PAGES           store, msync, store, fdatasync, evict
 */
import { PageDirty, page_has_private } from "../../kernel/mm/page.js";
import { NONE, type Pfn } from "../../kernel/types.js";
import { PIPE, PIPE2, REGION } from "../operation.js";
import type { Recorded } from "./recorded.js";
import { type Bytes, CHILD, HOLDER, MAIN, Stage } from "./stage.js";

/** Bytes of a page: what system calls count. */
const PAGE_SIZE = 4096;

/** Times that a workload tries to take buffers away. */
const MOST_TRIES = 5;

/** The rate limit of the kernel's messages: as many in five seconds. */
const PRINTK_BURST = 10;

/** What a way to hold pages is. */
interface Holder {
  readonly help: string;
  /** The array that has its pages. */
  readonly array: number;
  /** Take them, and stop. Gives 0, or an error number. */
  readonly take: (s: Stage, first: number, pages: number) => number;
  /** The device, or whoever it is, writes, and lets go. Gives how many pages, or a negative error. */
  readonly release: (s: Stage, pages: number) => number;
  /** Whether it writes into the pages. */
  readonly writes: boolean;
  /** The orders that it gives when nobody waits for anybody. */
  readonly orders: (pages: number) => readonly string[];
}

const holderArray = 1;

/** The error number of a call that must have come back. */
const returnedErrno = (ret: number | null): number | string =>
  ret === null ? "never returned" : errnoOf(ret);
const errnoOf = (ret: number | null): number => (ret !== null && ret < 0 ? -ret : 0);

/** A registration: the pages stay until they are given back; whoever has them writes in between. */
const registration = (help: string, take: string, give: string): Holder => ({
  help,
  array: REGION,
  take: (s, first, pages) => errnoOf(s.order(`${take} ${first} ${pages}`, HOLDER)),
  release: (s, pages) => {
    s.order(`dma ${REGION}`, HOLDER);
    s.order(give, HOLDER);
    return pages;
  },
  writes: true,
  orders: (pages) => [`${take} 0 ${pages}`, `dma ${REGION}`, give],
});

/** A call that is stopped in the middle of its copy. */
const stopped = (help: string, call: string, copies: string): Holder => ({
  help,
  array: holderArray,
  take: (s, first, pages) => errnoOf(s.orderUntil(`${call} ${first} ${pages}`, copies)),
  release: (s, pages) => {
    const ret = s.idle(HOLDER) ? s.resultOf(HOLDER) : s.goOn(HOLDER);
    return ret === null || ret === 0 ? pages : ret;
  },
  writes: true,
  orders: (pages) => [`${call} 0 ${pages}`],
});

export const HOLDERS: Readonly<Record<string, Holder>> = {
  dio: {
    help: "an O_DIRECT read whose disk is slow",
    array: holderArray,
    take: (s, first, pages) => errnoOf(s.order(`pread ${first} ${pages}`, HOLDER)),
    release: (s, pages) => {
      s.run("dmaB");
      const ret = s.goOn(HOLDER) ?? pages;
      s.run("kworker");
      return ret;
    },
    writes: true,
    orders: (pages) => [`pread 0 ${pages}`],
  },
  pvmw: stopped("process_vm_writev, stopped in its copy", "pvmw", "copy_page_from_iter"),
  mem: stopped(
    "a write to /proc/PID/mem, stopped in its copy: one page at a time",
    "mem",
    "copy_to_user_page",
  ),
  xdp: registration("packet buffers of AF_XDP", "xdp_reg", "xdp_free"),
  uring: registration("a fixed buffer of io_uring", "uring_reg", "uring_unreg"),
  vmsplice: {
    help: "a pipe",
    array: PIPE,
    take: (s, first, pages) => errnoOf(s.order(`vmsplice ${first} ${pages}`, HOLDER)),
    release: (s, pages) => {
      for (let page = 0; page < pages; page++) s.order("pipe_read", HOLDER);
      return pages;
    },
    writes: false,
    orders: (pages) => [`vmsplice 0 ${pages}`, ...range(pages).map(() => "pipe_read")],
  },
};

/** Ways to take a page's buffers away: orders, and who else moves. */
export const STRIPS: Readonly<
  Record<string, { readonly order: (pages: number) => string; readonly moves?: string }>
> = {
  pageout: { order: (pages) => `madvise 0 ${pages} pageout` },
  reclaim: { order: () => "reclaim" },
  hog: { order: (pages) => `hog ${pages} ${pages}`, moves: "kswapd" },
  dropcaches: { order: () => "drop_caches" },
};

/** Ways to cut pages out of a file. Each gives what the call gave, or null when it waits. */
export const CUTS: Readonly<Record<string, (s: Stage, pages: number) => number | null>> = {
  truncate: (s) => s.order("truncate 0"),
  punch: (s, pages) => {
    for (let page = 0; page < pages; page++) {
      const ret = s.order(`punch ${page}`);
      if (ret !== 0) return ret;
    }
    return 0;
  },
  diowrite: (s) => s.order("dwrite"),
};

/** What came of doing a workload again. */
export interface Done {
  /** Of a race: how many runs were made. */
  readonly runs?: number;
  readonly stages: readonly Stage[];
  /** The program's outcome, by its own names; a list where each of its values can come out. */
  readonly outcome: Readonly<Record<string, unknown>>;
  /** For the matrix: what each try gave, by method and target. */
  readonly tries: ReadonlyMap<string, Readonly<Record<string, number>>>;
}

function pick<T>(table: Readonly<Record<string, T>>, what: string, word: string | undefined): T {
  const found = word !== undefined && Object.hasOwn(table, word) ? table[word] : undefined;
  if (found === undefined)
    throw new Error(
      `${word === undefined ? `the workload names no ${what}` : `"${word}" is no ${what}`}; known: ${Object.keys(table).join(", ")}`,
    );
  return found;
}

/** Filesystems by the folder in which a recording's file lies. */
const GROUNDS: Readonly<Record<string, string>> = {
  ext4: "ext4-delalloc",
  xfs: "xfs",
  btrfs: "btrfs",
  tmpfs: "tmpfs",
  shm: "tmpfs",
};

/** The sandbox's filesystem for a file of a recording: a word of its path says what it lies on. */
function groundOf(file: string | undefined): string {
  const found = file?.split("/").find((part) => Object.hasOwn(GROUNDS, part));
  if (found === undefined)
    throw new Error(
      `${file === undefined ? "the workload names no file" : `"${file}" does not say what it lies on`}; known are folders named ${Object.keys(GROUNDS).join(", ")}`,
    );
  return GROUNDS[found];
}

const MOST_PAGES = 64;

function pagesOf(word: string | undefined): number {
  const pages = Number(word);
  if (!Number.isInteger(pages) || pages < 1)
    throw new Error(
      `${word === undefined ? "the workload says no number of pages" : `"${word}" is no number of pages`}`,
    );
  if (pages > MOST_PAGES)
    throw new Error(`the workload has ${pages} pages; a sandbox has ${MOST_PAGES} at most`);
  return pages;
}

/** A machine whose file has just been made: written, and synced. */
function prepared(kernel: string, ground: string, pages: number, more = ""): Stage {
  const s = new Stage(`fs=${ground},pages=${pages}${more}`, kernel);
  for (let page = 0; page < pages; page++) s.order(`write ${page}`);
  s.order("fsync");
  return s;
}

/** How many pages the first transfers have that fill a throttled disk's bucket before the one that counts; 0 without. */
function primerOf({ messages }: Recorded): number {
  const said = messages.map((line) => /primer read=(\d+)/.exec(line)).find((match) => match !== null);
  return said ? Math.ceil(Number(said[1]) / PAGE_SIZE) : 0;
}

/** O_DIRECT reads into memory of the process's own, as a recording makes them around its workload. */
function readAside(s: Stage, own: number, pages: number): void {
  for (let left = pages; left > 0; left -= own) {
    s.order(`pread ${own} ${Math.min(own, left)}`);
    s.run("dmaA");
    s.goOn(MAIN);
    s.run("kworker");
  }
}

/** How often a workload reads its file back from the disk up to a mark. */
const readsBack = ({ messages }: Recorded): number =>
  messages.filter((line) => /^ONDISK tag=\S+ .*read=\d+/.test(line)).length;

/** ext4's own warning, which is no WARN of the kernel's. */
const NO_BUFFERS = /^ext4_warning: .*buffers/;
const said = (s: Stage): string[] =>
  s.k.faults.filter(({ kind }) => kind === "WARN").map(({ message }) => message);
/** WARN_ON_ONCE speaks once. */
const warnings = (s: Stage): number => new Set(said(s).filter((message) => !NO_BUFFERS.test(message))).size;
const nobuffers = (s: Stage): number =>
  Math.min(PRINTK_BURST, said(s).filter((message) => NO_BUFFERS.test(message)).length);
const bugs = (s: Stage): number => s.k.faults.filter(({ kind }) => kind === "BUG").length;

/** Which pages a holder has, by their place in the file; NONE where it has none. */
function held(s: Stage, { array }: Holder): Pfn[] {
  const { nr } = s.k.user_pages;
  return Array.from({ length: nr[array] }, (_, at) => s.held(array, at));
}

const same = (a: Bytes, b: Bytes): boolean => a.every((version, part) => version === b[part]);
const range = (pages: number): number[] => Array.from({ length: pages }, (_, at) => at);

/** What is the same of every run: complaints of the kernel. */
const complaints = (s: Stage) => ({ warn: warnings(s), nobuffers_msgs: nobuffers(s), other_bugs: bugs(s) });

/** Take the pages of a file in the workload's way. */
function taking(recorded: Recorded, kernel: string, holderWord: string, file?: string, size?: string) {
  const holder = pick(HOLDERS, "way to hold pages", holderWord);
  const pages = pagesOf(size);
  const s = prepared(kernel, groundOf(file), pages);
  s.tag("start");
  readAside(s, pages, holderWord === "dio" ? primerOf(recorded) : 0);
  const pin_errno = holder.take(s, 0, pages);
  const taken = held(s, holder);
  if (pin_errno === 0) s.tag("pinned");
  return { s, holder, pages, pin_errno, taken };
}

/** Nobody holds anything: a program that cannot take its pages ends there. */
function refused(s: Stage, pin_errno: number): Done {
  s.tag("end");
  return done(s, { pin_errno, ...complaints(s) });
}

/** The holder's bytes, page by page, as its device left them. */
function releasing(s: Stage, holder: Holder, pages: number, taken: readonly Pfn[]) {
  s.watch(taken);
  const holder_ret = holder.release(s, pages);
  const written = holder.writes ? s.lastHeld() : [];
  s.watch([]);
  return { holder_ret, written };
}

function strip(recorded: Recorded, kernel: string): Done {
  const [, holderWord, how, file, size] = recorded.words;
  const take_away = pick(STRIPS, "way to take buffers away", how);
  const { s, holder, pages, pin_errno, taken } = taking(recorded, kernel, holderWord, file, size);
  if (pin_errno !== 0) return refused(s, pin_errno);
  s.order("fsync");
  s.tag("cleaned");
  s.order("drop_caches");
  // The program looks at the last page.
  const last = taken.at(-1) ?? s.cached(pages - 1);
  let strip_tries = -1;
  for (let tries = 1; tries <= MOST_TRIES && strip_tries < 0; tries++) {
    s.order(take_away.order(pages));
    if (take_away.moves !== undefined) s.run(take_away.moves);
    if (last === NONE || !page_has_private(s.k, last)) strip_tries = tries;
  }
  s.tag("stripped");
  const { written } = releasing(s, holder, pages, taken);
  s.tag("released");
  const dirty_without_buffers = last !== NONE && PageDirty(s.k, last) && !page_has_private(s.k, last);
  const fdatasync = s.order("fsync");
  s.tag("end");
  readAside(s, pages, pages * readsBack(recorded));
  return done(s, {
    holder: holderWord,
    strip: how,
    pin_errno,
    buffers_stripped_while_pinned: strip_tries > 0,
    // How often reclaim has to look depends on what else is on its lists; MADV_PAGEOUT does not.
    strip_tries:
      how === "pageout" || strip_tries < 0 ? strip_tries : range(MOST_TRIES).map((tries) => tries + 1),
    dirty_without_buffers,
    ...complaints(s),
    fdatasync_errno: returnedErrno(fdatasync),
    holder_data_on_disk: written.length > 0 && written.every((bytes, index) => same(bytes, s.onDisk(index))),
  });
}

function trunc(recorded: Recorded, kernel: string): Done {
  const [, holderWord, how, file, size] = recorded.words;
  const cut = pick(CUTS, "way to cut pages out", how);
  const { s, holder, pages, pin_errno, taken } = taking(recorded, kernel, holderWord, file, size);
  if (pin_errno !== 0) return refused(s, pin_errno);
  const cut_ret = cut(s, pages);
  s.tag("cut");
  // On DAX it waits for the pin; then nothing more can be done before that goes.
  const cut_waited_for_pin = cut_ret === null;
  if (how === "truncate" && !cut_waited_for_pin) s.order(`truncate ${pages * s.k.geometry.parts}`);
  if (!cut_waited_for_pin) for (const at of range(pages)) s.order(`load ${at}`);
  const refaulted = s.mapped(pages - 1);
  const { holder_ret, written } = releasing(s, holder, pages, taken);
  if (cut_waited_for_pin) s.goOn(MAIN);
  s.tag("released");
  const holder_data_visible_in_file =
    holder.writes &&
    written.every((bytes, index) => s.cached(index) === taken[index] && same(bytes, s.bytes(taken[index])));
  const fdatasync = s.order("fsync");
  readAside(s, pages, pages * readsBack(recorded));
  s.tag("end");
  return done(s, {
    holder: holderWord,
    how,
    pin_errno,
    cut_errno: returnedErrno(cut_ret ?? (s.idle(MAIN) ? s.resultOf(MAIN) : null)),
    cut_waited_for_pin,
    mapping_page_is_still_the_pinned_page: refaulted !== NONE && refaulted === taken.at(-1),
    holder_bytes: holder_ret * PAGE_SIZE,
    holder_data_visible_in_file,
    ...complaints(s),
    fdatasync_errno: returnedErrno(fdatasync),
  });
}

function mmapwrite(recorded: Recorded, kernel: string): Done {
  const [, file, size] = recorded.words;
  const pages = pagesOf(size);
  const s = prepared(kernel, groundOf(file), pages);
  s.tag("start");
  for (const at of range(pages)) s.order(`load ${at}`);
  for (const at of range(pages)) s.order(`store ${at}`);
  s.tag("after-store");
  s.order("msync");
  s.tag("after-msync");
  for (const at of range(pages)) s.order(`store ${at}`);
  const written = range(pages).map((index) => s.bytes(s.cached(index)));
  s.order("fsync");
  s.order(`madvise 0 ${pages} pageout`);
  readAside(s, pages, pages * readsBack(recorded));
  s.tag("end");
  return done(s, {
    stores_on_disk: written.every((bytes, index) => same(bytes, s.onDisk(index))),
    ...complaints(s),
  });
}

function vmsplice(recorded: Recorded, kernel: string): Done {
  const [, file, size] = recorded.words;
  const pages = pagesOf(size);
  const s = prepared(kernel, groundOf(file), pages);
  s.tag("start");
  for (const at of range(pages)) s.order(`load ${at}`);
  const ret = s.order(`vmsplice 0 ${pages}`) ?? 0;
  s.order("tee");
  const [at_splice] = s.bytes(s.mapped(0));
  s.tag("spliced");
  for (const at of range(pages)) s.order(`store ${at}`);
  const [later] = s.bytes(s.mapped(0));
  s.order("fsync");
  s.order(`madvise 0 ${pages} pageout`);
  s.order("truncate 0");
  const letters = new Map([
    [at_splice, "A"],
    [later, "B"],
  ]);
  const drained = range(Math.max(0, ret)).map(() => s.order("pipe_read"));
  const teed = range(Math.max(0, ret)).map(() => s.order(`pipe_read ${PIPE2}`));
  // Memory of its own: stored to after the splice, and after a fork.
  const own = pages;
  for (const at of range(pages)) s.order(`store ${own + at}`);
  const [a] = s.bytes(s.mapped(own));
  s.order(`vmsplice ${own} ${pages}`);
  for (const at of range(pages)) s.order(`store ${own + at}`);
  const [b] = s.bytes(s.mapped(own));
  s.order("fork");
  for (const at of range(pages)) s.order(`store ${own + at}`);
  s.order(`load ${own + 2 * pages}`, CHILD);
  const anon = range(pages).map(() => s.order("pipe_read"));
  s.order("exit 1", CHILD);
  s.tag("end");
  const ours = new Map([
    [a, "a"],
    [b, "b"],
    [b + 1, "c"],
  ]);
  return done(s, {
    vmsplice_file_ret: ret < 0 ? -1 : ret * PAGE_SIZE,
    vmsplice_file_errno: errnoOf(ret),
    pipe_reads_later_store: drained[0] === later,
    tee_reads: letters.get(teed[0] ?? NONE) ?? "?",
    anon_pipe_reads: ours.get(anon[0] ?? NONE) ?? "?",
    ...complaints(s),
  });
}

/** Kinds of memory of the matrix: the sandbox that has it, and what is done to it before. */
const TARGETS: Readonly<
  Record<string, { readonly parameters: string; readonly own?: true; readonly before?: string }>
> = {
  "anon-private": { parameters: "fs=tmpfs", own: true },
  "memfd-shared": { parameters: "fs=tmpfs" },
  "ext4-shared-rw": { parameters: "fs=ext4-delalloc" },
  "xfs-shared-rw": { parameters: "fs=xfs" },
  "btrfs-shared-rw": { parameters: "fs=btrfs" },
  "ext4-private-rw": { parameters: "fs=ext4-delalloc,map=private" },
  "xfs-private-rw": { parameters: "fs=xfs,map=private" },
  "ext4-shared-ro": { parameters: "fs=ext4-delalloc", before: "mprotect 0 PAGES read" },
  "xfs-shared-ro": { parameters: "fs=xfs", before: "mprotect 0 PAGES read" },
};

/** Ways to take pages: each gives what the program would print. */
const METHODS: Readonly<Record<string, (s: Stage, first: number, pages: number) => Record<string, number>>> =
  {
    io_uring_register_buffers: (s, first, pages) => {
      const errno = errnoOf(s.order(`uring_reg ${first} ${pages}`));
      return { errno, unregister: errno === 0 ? errnoOf(s.order("uring_unreg")) : 0 };
    },
    af_xdp_umem: (s, first, pages) => {
      const errno = errnoOf(s.order(`xdp_reg ${first} ${pages}`));
      if (errno === 0) s.order("xdp_free");
      return { errno };
    },
    process_vm_writev: (s, first, pages) => returned(s.order(`pvmw ${first} ${pages}`), pages),
    O_DIRECT_pread: (s, first, pages) => {
      const ret = s.order(`pread ${first} ${pages}`);
      if (ret !== null) return returned(ret, pages);
      s.run("dmaA");
      const after = s.goOn(MAIN);
      s.run("kworker");
      return returned(after, pages);
    },
    proc_self_mem_write: (s, first, pages) => returned(s.order(`mem ${first} ${pages}`), pages),
    vmsplice: (s, first, pages) => {
      const ret = s.order(`vmsplice ${first} ${pages}`);
      for (const _ of range(Math.max(0, ret ?? 0))) s.order("pipe_read");
      return returned(ret, pages);
    },
  };

/** read(2)'s and write(2)'s return value, of calls that give a number of pages, or 0 for all. */
const returned = (ret: number | null, pages: number): Record<string, number> => {
  const errno = errnoOf(ret);
  return { ret: errno > 0 ? -1 : (ret === null || ret === 0 ? pages : ret) * PAGE_SIZE, errno };
};

function matrix(recorded: Recorded, kernel: string): Done {
  const stages: Stage[] = [];
  const tries = new Map<string, Record<string, number>>();
  for (const target of new Set(recorded.tries.map((row) => row.target))) {
    const { parameters, own, before } = pick(TARGETS, "kind of memory", target);
    const rows = recorded.tries.filter((row) => row.target === target);
    const pages = pagesOf(String(rows[0].pages));
    const s = new Stage(`${parameters},pages=${pages}`, kernel);
    // A file that is mapped twice is made once.
    const makes = own === undefined && target.endsWith("-shared-rw");
    if (makes) {
      for (const page of range(pages)) s.order(`write ${page}`);
      s.order("fsync");
    }
    s.tag("start");
    if (before !== undefined) s.order(before.replace("PAGES", String(pages)));
    for (const { method } of rows) {
      const was = s.counts();
      const said = pick(METHODS, "way to take pages", method)(s, own ? pages : 0, pages);
      const now = s.counts();
      const moved = (name: string): number => (now[name] ?? 0) - (was[name] ?? 0);
      tries.set(`${method} ${target}`, {
        ...said,
        pins_acquired: moved("nr_foll_pin_acquired"),
        pins_released: moved("nr_foll_pin_released"),
      });
    }
    s.tag("end");
    stages.push(s);
  }
  if (stages.length === 0) throw new Error('a matrix without tries: outcome.json needs "tries", its rows');
  return { stages, outcome: {}, tries };
}

const done = (s: Stage, outcome: Done["outcome"]): Done => ({ stages: [s], outcome, tries: new Map() });

/** Share the blocks of a file whose pages somebody holds. */
function reflink(recorded: Recorded, kernel: string): Done {
  const [, holderWord, file, size] = recorded.words;
  const { s, holder, pages, pin_errno, taken } = taking(recorded, kernel, holderWord, file, size);
  if (pin_errno !== 0) return refused(s, pin_errno);
  s.order("fsync");
  s.tag("cleaned");
  const cloned = s.order("clone");
  const before = range(pages).map((index) => s.onDisk(index, 2));
  s.tag("cloned");
  const { written } = releasing(s, holder, pages, taken);
  s.tag("released");
  const fdatasync = s.order("fsync");
  s.tag("end");
  readAside(s, pages, pages * readsBack(recorded));
  return done(s, {
    holder: holderWord,
    pin_errno,
    reflink_errno: returnedErrno(cloned),
    ...complaints(s),
    fdatasync_errno: returnedErrno(fdatasync),
    holder_data_on_disk: written.length > 0 && written.every((bytes, index) => same(bytes, s.onDisk(index))),
    clone_unchanged: before.every((bytes, index) => same(bytes, s.onDisk(index, 2))),
  });
}

/** Hold memory of the process's own, and fork. */
function fork(recorded: Recorded, kernel: string): Done {
  const holderWord = recorded.words.slice(1).find((word) => Object.hasOwn(HOLDERS, word)) ?? "dio";
  const holder = HOLDERS[holderWord];
  const size = recorded.words.slice(1).find((word) => /^\d+$/.test(word));
  const pages = size === undefined ? 16 : pagesOf(size);
  const s = new Stage(`fs=tmpfs,pages=${pages}`, kernel);
  const own = pages;
  for (const at of range(pages)) s.order(`store ${own + at}`);
  s.tag("start");
  readAside(s, pages, holderWord === "dio" ? primerOf(recorded) : 0);
  const pin_errno = holder.take(s, own, pages);
  if (pin_errno !== 0) return refused(s, pin_errno);
  const taken = held(s, holder);
  s.tag("pinned");
  // Whoever copies under mmap_sem keeps fork waiting.
  const forked = s.order("fork") !== null;
  s.tag("forked");
  if (forked) for (const at of range(pages)) s.order(`store ${own + at}`);
  const parent_page_is_still_the_pinned_page = s.mapped(own) === taken[0];
  const { written } = releasing(s, holder, pages, taken);
  if (!forked) s.goOn(MAIN);
  s.tag("released");
  const parent_sees_holder_data =
    holder.writes &&
    written.every((bytes, at) => s.mapped(own + at) === taken[at] && same(bytes, s.bytes(taken[at])));
  s.order("exit 1", CHILD);
  s.tag("end");
  return done(s, {
    holder: holderWord,
    pin_errno,
    parent_page_is_still_the_pinned_page,
    parent_sees_holder_data,
    ...complaints(s),
  });
}

/** A page's version after it was made and a holder wrote it. */
const HELD_ONCE = 2;

/** Runs of a race; each has its own order of steps. */
const RACES = 64;

/** The holder takes and lets go while the program cleans the pages and takes their buffers away: who comes first is chance. */
function race(recorded: Recorded, kernel: string): Done {
  const [, holderWord, how, file, size] = recorded.words;
  const holder = pick(HOLDERS, "way to hold pages", holderWord);
  const take_away = pick(STRIPS, "way to take buffers away", how);
  const pages = pagesOf(size);
  const s = prepared(kernel, groundOf(file), pages);
  s.tag("start");
  const start = s.world.moment();
  const prologue = s.script.length;
  const seen = new Map<string, Set<unknown>>();
  for (let seed = 1; seed <= RACES; seed++) {
    s.world.goTo(start);
    s.script.length = prologue;
    s.race(seed, {
      [HOLDER]: holder.orders(pages),
      [MAIN]: ["fsync", ...range(2).flatMap(() => [take_away.order(pages), "fsync"])],
    });
    const fdatasync = s.order("fsync");
    const found = {
      ...complaints(s),
      fdatasync_errno: returnedErrno(fdatasync),
      holder_data_on_disk:
        holder.writes &&
        range(pages).every((index) => s.onDisk(index).every((version) => version >= HELD_ONCE)),
    };
    for (const [name, value] of Object.entries(found))
      seen.set(name, (seen.get(name) ?? new Set()).add(value));
  }
  s.tag("end");
  // Messages are counted over all rounds of the recording.
  const most = Math.max(...[...(seen.get("nobuffers_msgs") ?? [])].map(Number));
  if (most > 0) seen.set("nobuffers_msgs", new Set(range(PRINTK_BURST + 1)));
  return {
    runs: RACES,
    stages: [s],
    outcome: Object.fromEntries([...seen].map(([name, values]) => [name, [...values]])),
    tries: new Map(),
  };
}

/** Every workload that has a script. */
export const WORKLOADS: Readonly<Record<string, (recorded: Recorded, kernel: string) => Done>> = {
  strip,
  trunc,
  race,
  reflink,
  fork,
  vmsplice,
  matrix,
  mmapwrite,
};
