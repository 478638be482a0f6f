/**
 * The kernels that can be run: the base, which reads as Linux v4.20, and what became of it, as ordered lists of
 * patches.
 *
 * A kernel is named after the release that had all of its patches first. Each list begins with that of an older
 * kernel, but for a stable kernel's, which takes single patches of later ones; v5.8 has a patch that the next one has
 * no more. A release that changed nothing that is modelled has the list of the one before it.
 */

import { type Inserts, insertsOf } from "../kernel/inserts.js";
import type { Table } from "../kernel/kernel.js";
import { operations, rules, tables } from "../kernel/linux.js";
import type { Rule, RuleValues } from "../kernel/rule.js";
import { type AnyPath, patcher } from "../machine/patch.js";
import type { Implementations } from "../machine/program.js";
import { anon_exclusive } from "./anon_exclusive.js";
import { copy_if_referenced } from "./copy_if_referenced.js";
import { copy_pinned_at_fork } from "./copy_pinned_at_fork.js";
import { blockdev_dio_pins, iomap_dio_pins } from "./dio_pins.js";
import { exact_pincount } from "./exact_pincount.js";
import { ext4_iomap_dio } from "./ext4_iomap_dio.js";
import { ext4_page_without_buffers } from "./ext4_page_without_buffers.js";
import { force_cow_break } from "./force_cow_break.js";
import { frame_vector_longterm } from "./frame_vector_longterm.js";
import { fsdax_counts_from_zero } from "./fsdax_counts_from_zero.js";
import { invalidate_unused_only } from "./invalidate_unused_only.js";
import { keep_private_of_pinned } from "./keep_private_of_pinned.js";
import { longterm_fast } from "./longterm_fast.js";
import { longterm_fast_gate } from "./longterm_fast_gate.js";
import { longterm_flag } from "./longterm_flag.js";
import { longterm_fsdax_upfront } from "./longterm_fsdax_upfront.js";
import { longterm_migrates_movable } from "./longterm_migrates_movable.js";
import { madv_pageout } from "./madv_pageout.js";
import { memfd_pin_folios_of_udmabuf } from "./memfd_pin_folios.js";
import { type Names, namesOf } from "./names.js";
import { completed, lackOf, withNeeds } from "./needs.js";
import {
  activate_dirty_files,
  btrfs_no_writepage,
  ext4_no_writepage,
  xfs_no_writepage,
} from "./no_writepage.js";
import type { Patch } from "./patch.js";
import { pin_frame_vector, pin_user_pages_api } from "./pin_user_pages.js";
import { parts, proposals } from "./proposals/index.js";
import type { Proposal } from "./proposals/proposal.js";
import { refuse_longterm_file_write } from "./refuse_longterm_file_write.js";
import { reuse_by_references } from "./reuse_by_references.js";
import { btrfs_buffered_if_checksum, xfs_bounce_direct_io } from "./stable_direct_writes.js";
import { swap_unpinned_only } from "./swap_unpinned_only.js";
import { track_foll_pin } from "./track_foll_pin.js";
import { udmabuf_locks_inode } from "./udmabuf_locks_inode.js";
import { umem_no_force } from "./umem_no_force.js";
import { umem_pins_fast } from "./umem_pins_fast.js";
import { unshare_anon } from "./unshare_anon.js";
import { unshare_cow_mappings } from "./unshare_cow_mappings.js";
import { uring_leaves_files_to_gup } from "./uring_leaves_files_to_gup.js";
import { uring_one_file } from "./uring_one_file.js";
import { uring_pins_fast } from "./uring_pins_fast.js";
import { uring_shmem_buffers } from "./uring_shmem_buffers.js";
import { valid_gup_args } from "./valid_gup_args.js";
import { write_protect_seq } from "./write_protect_seq.js";
import { zero_page_unpinned } from "./zero_page_unpinned.js";

export interface KernelVersion {
  readonly name: string;
  readonly help: string;
  /** What it has beyond the base, in the order in which it is applied. */
  readonly patches: readonly Patch[];
  readonly operations: Implementations;
  /** The structs of its subsystems. */
  readonly tables: readonly Table[];
  /** Its rules, each as the last of its patches that changes it has left it. */
  readonly rules: readonly RuleValues[];
  /** What its patches have put into functions of the base that have no steps. */
  readonly inserts: Inserts;
  /** What became of a path of the base in it. */
  readonly patched: (path: AnyPath) => AnyPath;
  /** What it calls the functions of the base. */
  readonly names: Names;
}

/** The base's rules, and those of patches, later ones in the place of earlier ones. */
function rulesOf(patches: readonly Patch[]): readonly RuleValues[] {
  const last = new Map<Rule, RuleValues>();
  for (const each of [...rules, ...patches.flatMap((patch) => patch.rules ?? [])]) last.set(each.rule, each);
  return [...last.values()];
}

/**
 * A kernel of the base and some patches.
 *
 * @throws Error with one sentence when a patch needs another one that does not come before it
 * @example const mine = assemble("mine", "v4.20 whose ext4 warns", [ext4_page_without_buffers]);
 */
export function assemble(name: string, help: string, patches: readonly Patch[]): KernelVersion {
  const lack = lackOf(patches);
  if (lack !== null) throw new Error(`there can be no kernel ${name}: ${lack}`);
  return {
    name,
    help,
    patches,
    operations,
    tables: [...tables, ...patches.flatMap((patch) => patch.tables ?? [])],
    rules: rulesOf(patches),
    inserts: insertsOf(patches.flatMap((patch) => patch.inserts ?? [])),
    patched: patcher(patches),
    names: namesOf(name),
  };
}

const v4_20 = assemble("v4.20", "Linux v4.20, December 2018: the kernel of the article", []);
/** The next release, by what it adds. */
const next = (older: KernelVersion, name: string, help: string, ...more: Patch[]) =>
  assemble(name, help, [...older.patches, ...more]);

const v5_2 = next(
  v4_20,
  "v5.2",
  "July 2019: long-term pins are a flag, for the fast walk too; no outcome changes",
  longterm_flag,
  longterm_fast,
);
const v5_5 = next(
  v5_2,
  "v5.5",
  "January 2020: MADV_PAGEOUT; ext4 reads by O_DIRECT through iomap",
  madv_pageout,
  ext4_iomap_dio,
);
const v5_6 = next(
  v5_5,
  "v5.6",
  "March 2020: pin_user_pages, which counts nothing yet; RDMA pins by the fast walk",
  pin_user_pages_api,
  umem_pins_fast,
);
const v5_7 = next(v5_6, "v5.7", "May 2020: pins can be told from references", track_foll_pin);
// v5.9 has another answer to the same question, and took this one back.
const v5_8 = next(
  v5_7,
  "v5.8",
  "August 2020: video capture pins; get_user_pages makes the copies of private mappings first, for reading too",
  pin_frame_vector,
  force_cow_break,
);
const v5_9 = next(
  v5_7,
  "v5.9",
  "October 2020: writes copy what others refer to; fork copies what is pinned",
  pin_frame_vector,
  copy_if_referenced,
  copy_pinned_at_fork,
);
const v5_11 = next(
  v5_9,
  "v5.11",
  "February 2021: pinned anonymous pages stay out of swap; a fast pin does not meet a fork; fsdax is refused before it is pinned",
  longterm_fsdax_upfront,
  swap_unpinned_only,
  write_protect_seq,
);
const v5_13 = next(
  v5_11,
  "v5.13",
  "June 2021: video capture takes long-term pins; those move pages out of ZONE_MOVABLE first",
  frame_vector_longterm,
  longterm_migrates_movable,
);
const v5_14 = next(v5_13, "v5.14", "August 2021: io_uring registers buffers of tmpfs", uring_shmem_buffers);
const v5_18 = next(
  v5_14,
  "v5.18",
  "May 2022: ext4 warns where it died, and loses the data; invalidation spares held pages; swap-in counts references",
  xfs_no_writepage,
  exact_pincount,
  ext4_page_without_buffers,
  invalidate_unused_only,
  reuse_by_references,
);
const v5_19 = next(
  v5_18,
  "v5.19",
  "July 2022: anonymous pages of one process are marked, and only those are pinned",
  anon_exclusive,
  unshare_anon,
);
const v6_1 = next(v5_19, "v6.1", "December 2022, as released", btrfs_no_writepage);
const v6_1_192 = next(
  v6_1,
  "v6.1.192",
  "v6.1 with its stable patches: reclaim spares pinned pages; io_uring buffers are of one file",
  keep_private_of_pinned,
  uring_one_file,
);
const v6_2 = next(
  v6_1,
  "v6.2",
  "February 2023: long-term pins for reading of private mappings are of copies; reclaim writes no pages of ext4",
  ext4_no_writepage,
  unshare_cow_mappings,
  umem_no_force,
);
const v6_3 = next(
  v6_2,
  "v6.3",
  "April 2023: O_DIRECT through iomap pins; arguments of get_user_pages are checked; io_uring buffers are of one file",
  valid_gup_args,
  iomap_dio_pins,
  uring_one_file,
);
const v6_4 = next(v6_3, "v6.4", "June 2023: reclaim spares pinned pages", keep_private_of_pinned);
const v6_5 = next(
  v6_4,
  "v6.5",
  "August 2023: the old O_DIRECT pins, too; long-term pins of files for writing are refused; the zero page is not pinned",
  blockdev_dio_pins,
  refuse_longterm_file_write,
  longterm_fast_gate,
  uring_leaves_files_to_gup,
  zero_page_unpinned,
);
const v6_11 = next(
  v6_5,
  "v6.11",
  "September 2024: io_uring pins by the fast walk; udmabuf pins its pages for long",
  uring_pins_fast,
  memfd_pin_folios_of_udmabuf,
);
const v6_12 = next(v6_11, "v6.12", "November 2024");
const v6_15 = next(
  v6_12,
  "v6.15",
  "May 2025: O_DIRECT writes of btrfs go through the cache where sums are made; DAX pages are counted like others; udmabuf locks the inode",
  btrfs_buffered_if_checksum,
  fsdax_counts_from_zero,
  udmabuf_locks_inode,
);
const of_2026 = next(
  v6_15,
  "2026",
  "2026: reclaim activates dirty pages of files; O_DIRECT writes of xfs are of copies where sums are made",
  activate_dirty_files,
  xfs_bounce_direct_io,
);

export const kernels: readonly KernelVersion[] = [
  v4_20,
  v5_2,
  v5_5,
  v5_6,
  v5_7,
  v5_8,
  v5_9,
  v5_11,
  v5_13,
  v5_14,
  v5_18,
  v5_19,
  v6_1,
  v6_1_192,
  v6_2,
  v6_3,
  v6_4,
  v6_5,
  v6_11,
  v6_12,
  v6_15,
  of_2026,
];

/** What could not be looked up about the patches that a kernel has and none before it in the list: "patch: what is uncertain". */
export const uncertainIn = (kernel: KernelVersion): string[] =>
  kernel.patches.flatMap((patch) =>
    patch.uncertain !== undefined && kernels.find(({ patches: had }) => had.includes(patch)) === kernel
      ? [`${patch.name}: ${patch.uncertain}`]
      : [],
  );

/** Every patch, by its name. */
export const patches: ReadonlyMap<string, Patch> = new Map(
  kernels.flatMap((kernel) => kernel.patches.map((patch) => [patch.name, patch])),
);

/** Every proposal, by its name. */
export const proposed: ReadonlyMap<string, Proposal> = new Map(
  [...proposals, ...parts].map((each) => [each.name, each]),
);

const listed = (names: Iterable<string>): string => [...names].join(", ");

/** Patches that are known here by their names: merged ones and proposals. */
export const knownPatch = (name: string): Patch | undefined => patches.get(name) ?? proposed.get(name);

const NOBODYS: ReadonlyMap<string, Patch> = new Map();

/**
 * Look a kernel up by its name, or put one together: `v5.18+keep-private-of-pinned` is v5.18 with one patch more.
 *
 * @param own patches that whoever asks has besides those that are known here, by their names; default none
 * @throws Error with one sentence that lists the known ones, or says what a patch needs and what would be right
 */
export function findKernel(name: string, own: ReadonlyMap<string, Patch> = NOBODYS): KernelVersion {
  const [base, ...more] = name.split("+");
  const found = kernels.find((kernel) => kernel.name === base);
  if (!found)
    throw new Error(`there is no kernel "${base}"; known: ${listed(kernels.map((kernel) => kernel.name))}`);
  if (more.length === 0) return found;
  const added = more.map((each) => {
    const patch = knownPatch(each) ?? own.get(each);
    if (!patch)
      throw new Error(
        `there is no patch "${each}"; known: ${listed([...patches.keys(), ...proposed.keys(), ...own.keys()])}`,
      );
    if (found.patches.includes(patch)) throw new Error(`${base} has the patch ${each} already`);
    return patch;
  });
  const twice = more.find((each, at) => more.indexOf(each) < at);
  if (twice !== undefined) throw new Error(`"${name}" names the patch ${twice} twice`);
  // Who proposes something brings what it needs.
  if (added.some((patch) => proposed.has(patch.name) || own.has(patch.name)))
    return assemble(name, `${base} with ${listed(more)}`, [
      ...found.patches,
      ...completed(added, found.patches),
    ]);
  const lack = lackOf(added, found.patches);
  if (lack !== null) {
    const whole = withNeeds(added).filter((patch) => !found.patches.includes(patch));
    throw new Error(`${lack}: say ${[base, ...whole.map((patch) => patch.name)].join("+")}`);
  }
  return assemble(name, `${base} with ${listed(more)}`, [...found.patches, ...added]);
}
