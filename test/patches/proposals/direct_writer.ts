/**
 * The O_DIRECT write of Jan Kara's deadlock (9 July 2018), and its machine: no standard workload has a holder that needs a journal handle while it has pages pinned.
 *
 * The program stores into a mapped page of file 1, which has no block there yet, and writes it to file 2 with O_DIRECT. ext4_direct_IO_write pins the page, for reading, and then starts a handle for the block
 * of file 2. It marks no page dirty and so takes no page lock: what it waits for is the handle alone.
 */
import { ext4_map_blocks } from "../../../src/kernel/fs/ext4/get_block.js";
import { ext4_journal_start, ext4_journal_stop, JI, kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import { fsync } from "../../../src/kernel/fs/sync.js";
import { call, given, local, path, step } from "../../../src/kernel/language.js";
import { get_user_pages_fast } from "../../../src/kernel/mm/gup.js";
import { forget_user_page } from "../../../src/kernel/mm/user_pages.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { inode, int, NONE, pages_nr, pfn, vpn } from "../../../src/kernel/types.js";
import { cpu_access } from "../../../src/kernel/user.js";
import type { World } from "../../../src/lab/world.js";
import { pin_user_pages_fast, unpin_user_page } from "../../../src/patches/pin_user_pages.js";
import { put_user_page } from "../../../src/patches/proposals/put_user_page.js";
import { disk } from "../../kernel/actors.js";
import { FILE, small } from "../../kernel/harness.js";

/** pwrite() of an O_DIRECT file of ext4 that has a hole there, from a page that has just been stored into. */
const ext4_direct_IO_write = (pins: boolean) =>
  path(
    "ext4_direct_IO_write",
    {
      source: "fs/ext4/inode.c v4.20",
      args: { at: vpn, pages: pages_nr, mapping: inode },
      locals: { ret: int, page: pfn },
    },
    [
      call(() => cpu_access, { at: "at", write: 1 }),
      pins
        ? call(() => pin_user_pages_fast, { start: "at", nr: 1, flags: 0, pages: "pages" }, "ret")
        : call(() => get_user_pages_fast, { start: "at", nr: 1, write: 0, pages: "pages" }, "ret"),
      given(
        (_, f) => f.ret === 1,
        [
          ext4_journal_start(),
          step("ext4_map_blocks", (k, f) => {
            f.ret = ext4_map_blocks(k, f.mapping, 0, JI.WAIT_DATA);
          }),
          ext4_journal_stop(),
          step("submit_bio_wait", () => {}),
          local((k, f) => {
            f.page = forget_user_page(k, f.pages, 0);
            k.user_pages.nr[f.pages] = 0;
          }),
          call(() => (pins ? unpin_user_page : put_user_page), { page: "page" }),
          local((_, f) => {
            f.page = NONE;
          }),
        ],
      ),
    ],
  );

/**
 * The writer, somebody who calls fsync for file 1, the commit thread and the disk.
 *
 * @param pins whether the writer pins its page, as since v6.3
 */
export const journalMachine = (kernel: string, pins = false): World =>
  small(
    {
      kernel,
      geometry: {
        pages: 1,
        files: [
          { pages: 1, fs: FS.ext4, extents: ["hole"] },
          { pages: 1, fs: FS.ext4, extents: ["hole"] },
        ],
        mount: { data: "ordered", delalloc: true },
        vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
        dios: 1,
        dioPages: 1,
        blocks: 4,
        config: ["blocks", "journal"],
      },
    },
    {
      writer: { path: ext4_direct_IO_write(pins), args: [0, 0, 2], ends: true },
      fsync: { path: fsync, args: [FILE], ends: true },
      jbd2: { path: kjournald2, args: [0] },
      disk,
    },
  );
