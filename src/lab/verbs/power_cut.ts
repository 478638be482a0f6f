/** The verb that says what is left if the power goes now. */
import { recovered_size, recovered_version } from "../../kernel/fs/power_cut.js";
import { is_dax_fs, mapping_cap_account_dirty } from "../../kernel/operations.js";
import { NONE } from "../../kernel/types.js";
import type { World } from "../world.js";
import { result, type Verb, verb } from "./verb.js";

/** A page of a file: its bytes in memory and after recovery, part by part; null where there are none. */
interface Saved {
  readonly file: number;
  readonly index: number;
  readonly memory: readonly number[] | null;
  readonly disk: readonly (number | "another's")[];
  readonly beyond: boolean;
}

function savedPages({ k }: World): Saved[] {
  const { parts } = k.geometry;
  const each = Array.from({ length: parts }, (_, part) => part);
  const saved: Saved[] = [];
  for (let file = 1; file < k.inode.i_pages.length; file++) {
    if (!mapping_cap_account_dirty(k, file) || is_dax_fs(k.inode.fs[file])) continue;
    for (let index = 0; index < k.inode.i_pages[file]; index++) {
      const slot = k.xa_slot.page[k.slotOf(file, index)];
      const page = slot === 0 ? NONE : slot - 1;
      saved.push({
        file,
        index,
        memory: page === NONE ? null : each.map((part) => k.content.version[page * parts + part]),
        disk: each.map((part) => {
          const version = recovered_version(k, file, index, part);
          return version < 0 ? "another's" : version;
        }),
        beyond: index * parts >= recovered_size(k, file),
      });
    }
  }
  return saved;
}

function line({ file, index, memory, disk, beyond }: Saved): string {
  const where = `file ${file}, page ${index}`;
  if (beyond) return `${where}: behind the end of the file after recovery`;
  const generations = disk.join(" ");
  const what = disk.includes("another's")
    ? "shows another's bytes"
    : memory === null
      ? "not in memory"
      : memory.every((version, part) => version === disk[part])
        ? "as in memory"
        : `memory has ${memory.join(" ")}: that is gone`;
  return `${where}: ${generations}, ${what}`;
}

export const powerCut: Verb = verb({
  name: "power_cut",
  help: "What the files hold if the power goes now, after recovery",
  details: [
    "Each part of each page by its content generation: every write adds one. With a journal the files are as the newest transaction on the disk says. " +
      "What memory has and the disk has not is gone; where fsync has promised it, that is the bug. Nothing changes: the power comes back at once.",
  ],
  example: "scenario sandbox; store 0; power_cut",
  run: (desk) => {
    const saved = savedPages(desk.world);
    const text = saved.length === 0 ? "no file of this machine is on a disk" : saved.map(line).join("\n");
    return result(text, saved);
  },
});
