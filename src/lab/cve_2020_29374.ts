/**
 * cve-2020-29374: a reference that get_user_pages took for reading outlives the mapping, and reads what the other process writes later.
 *
 * Who maps a shared anonymous page last may write it in place: do_wp_page counts mappings (reuse_swap_page), and a pipe that holds the
 * page is none. So a process that gives a page to a pipe (vmsplice) and unmaps it is overlooked by the copy on write that
 * should keep it apart from the other one. v5.8 began to break the sharing before the reference is taken; v4.20 has what keeps
 * the page from being shared at all, MADV_DONTFORK, and MADV_WIPEONFORK.
 */
import { fork, ret_from_fork } from "../kernel/fork.js";
import { pipe_read, vmsplice_to_pipe } from "../kernel/fs/splice.js";
import type { Kernel } from "../kernel/kernel.js";
import { call, given, path, pause } from "../kernel/language.js";
import { MADV, madvise } from "../kernel/mm/madvise.js";
import { munmap } from "../kernel/mm/mmap.js";
import { VM_WRITE } from "../kernel/structs.js";
import { int, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import type { Node } from "../machine/path.js";
import { choice, scenario } from "./scenario.js";
import { overhears } from "./workloads/oracles.js";

const PARENT = 0;
const CHILD = 1;
/** The page of the parent, and the child's view of it. */
const AT = { [PARENT]: 0, [CHILD]: 1 } as const;
/** The array of pages on vmsplice's stack, and the pipe. */
const STACK = 0;
const PIPE = 1;

/** What every process is given: its page, the parent's advice, whether the spy unmaps. */
const ARGS = { at: vpn, advice: int, unmap: int } as const;
interface ProcessFrame {
  at: number;
  advice: number;
  unmap: number;
  ret: number;
  got: number;
}

/** The page as both processes have it at the fork: generation 1 of its bytes. */
const shares: readonly Node<Kernel, ProcessFrame>[] = [
  call<ProcessFrame, typeof cpu_access.args>(() => cpu_access, { at: "at", write: 1 }),
  given<ProcessFrame>(
    (_, f) => f.advice !== 0,
    [
      call<ProcessFrame, typeof madvise.args>(
        () => madvise,
        { start: "at", nr: 1, behavior: "advice" },
        "ret",
      ),
    ],
  ),
];
const forks: readonly Node<Kernel, ProcessFrame>[] = [
  call<ProcessFrame, typeof fork.args>(() => fork, { mm: PARENT, child: CHILD }, "ret"),
];
const splices: readonly Node<Kernel, ProcessFrame>[] = [
  call<ProcessFrame, typeof vmsplice_to_pipe.args>(
    () => vmsplice_to_pipe,
    { start: "at", nr: 1, pages: STACK, pipe: PIPE },
    "got",
  ),
];
const unmaps: readonly Node<Kernel, ProcessFrame>[] = [
  given<ProcessFrame>(
    (_, f) => f.unmap === 1,
    [call<ProcessFrame, typeof munmap.args>(() => munmap, { start: "at", nr: 1 }, "ret")],
  ),
];
/** Read the pipe, some time later. */
const listens: readonly Node<Kernel, ProcessFrame>[] = [
  given<ProcessFrame>(
    (_, f) => f.got > 0,
    [pause("waits"), call<ProcessFrame, typeof pipe_read.args>(() => pipe_read, { pipe: PIPE }, "ret")],
  ),
];
const writes: readonly Node<Kernel, ProcessFrame>[] = [
  pause("works"),
  call<ProcessFrame, typeof cpu_access.args>(() => cpu_access, { at: "at", write: 1 }, "ret"),
];
const born: readonly Node<Kernel, ProcessFrame>[] = [
  call<ProcessFrame, typeof ret_from_fork.args>(() => ret_from_fork, { mm: CHILD }),
];

const program = (name: string, ...nodes: readonly (readonly Node<Kernel, ProcessFrame>[])[]) =>
  path(name, { source: "a process", args: ARGS, locals: { ret: int, got: int } }, nodes.flat());

/** Who keeps a reference, as the three ways of the selftest cow.c (v6.1). */
const SPIES = {
  child: {
    help: "the child splices and unmaps what it has inherited, the parent writes",
    parent: program("parent", shares, forks, writes),
    child: program("child", born, splices, unmaps, listens),
    mm: CHILD,
  },
  before: {
    help: "the parent splices before the fork and unmaps after it, the child writes",
    parent: program("parent", shares, splices, forks, unmaps, listens),
    child: program("child", born, writes),
    mm: PARENT,
  },
  after: {
    help: "the parent splices and unmaps after the fork, the child writes",
    parent: program("parent", shares, forks, splices, unmaps, listens),
    child: program("child", born, writes),
    mm: PARENT,
  },
} as const;

const ADVICE = { none: 0, dontfork: MADV.DONTFORK, wipeonfork: MADV.WIPEONFORK } as const;

export const cve_2020_29374 = scenario({
  name: "cve-2020-29374",
  aliases: ["CVE-2020-29374"],
  help: "a page in a pipe, unmapped by who spliced it: the other process writes it in place, and is overheard",
  story:
    "fork write-protects an anonymous page in both processes, so that who writes gets a copy. But v4.20 counts mappings: once one process has given the page to a pipe and unmapped it, " +
    "the other one is its only mapper and writes in place. What it writes then can be read from the pipe. " +
    "unmap=no shows that the mapping alone protects, advice=dontfork the way round that v4.20 has.",
  parameters: {
    spy: choice("who keeps a reference", {
      child: SPIES.child.help,
      before: SPIES.before.help,
      after: SPIES.after.help,
    }),
    unmap: choice("whether the spy lets go of its mapping", { yes: "munmap", no: "it stays mapped" }),
    advice: choice("what the parent has said of its page", {
      none: "nothing",
      dontfork: "MADV_DONTFORK: the child does not get it",
      wipeonfork: "MADV_WIPEONFORK: the child gets an empty one",
    }),
  },
  seed: 2,
  setup: ({ spy, unmap, advice }) => {
    const { parent, child, mm } = SPIES[spy];
    const said = [ADVICE[advice], unmap === "yes" ? 1 : 0];
    return {
      geometry: {
        pages: 4,
        vmas: [
          { pages: 1, flags: VM_WRITE },
          { pages: 1, flags: 0, mm: CHILD, forked: 0 },
        ],
        mms: 2,
        dios: 2,
        config: ["mmap"],
      },
      tasks: [
        { name: "parent", letter: "p", path: parent, args: [AT[PARENT], ...said], daemon: false },
        { name: "child", letter: "c", path: child, args: [AT[CHILD], ...said], daemon: false },
      ],
      // The spy reads his pipe when the other one has written.
      pace: mm === CHILD ? { parent: 60, child: 300 } : { parent: 300, child: 60 },
      prepare: () => {},
      oracles: [overhears({ pages: PIPE, mm, known: 1 })],
    };
  },
});
