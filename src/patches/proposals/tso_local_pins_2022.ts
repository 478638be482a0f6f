/**
 * Short pins keep the filesystem's contract: process_vm_writev() writes as write(2) does.
 *
 * Theodore Ts'o, 25 February 2022, in the thread of "ext4: don't BUG if kernel subsystems dirty pages without asking ext4 first": pin_user_pages_local() would call ->write_begin, unpin_user_pages_local() ->write_end, for who pins within one call; whoever edits
 * a process's memory wants it for pages of files only. John Hubbard agreed that it is the missing link, and thought of names that say "file".
 *
 * What it inserts: process_vm_rw_single_vec() notes under mmap_sem which file it is about, and process_vm_rw_pages() has around the copy of each page of a shared mapping of a file ->write_begin, which gives the page of that index locked, with buffers, space and a
 * handle, and waits where pages must be stable; the copy into that page; ->write_end, which marks it dirty, in the place of set_page_dirty_lock(). A page that has left its file since it was pinned is not written: the bytes go into the page that the file has there now, which
 * is why the file must be known from the VMA. Asked of the page alone, W3 loses what is copied into a page that an O_DIRECT write has thrown out.
 *
 * What it leaves: every pin that outlasts a call (O_DIRECT, RDMA); Ts'o says himself that it is no answer for those.
 *
 * Left out: filesystems that have no write_begin in v4.20 (xfs and btrfs write by functions of their own: their pages are dirtied as before); a copy that spans two mappings, of whose second file a page is thrown out.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { call, dispatch, given, goto, label, local, path, repeat, step } from "../../kernel/language.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { find_vma } from "../../kernel/mm/memory.js";
import { set_page_dirty_lock } from "../../kernel/mm/page_writeback.js";
import { dma_write, page_of, write_part } from "../../kernel/mm/user_pages.js";
import { a_ops, FS, fs_of_inode } from "../../kernel/operations.js";
import { VM_SHARED } from "../../kernel/structs.js";
import { type InodeNr, inode, int, NONE, type PagesNr, pages_nr, pfn, type Vpn } from "../../kernel/types.js";
import { after, locals, replace } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";

const has_write_begin = (k: Kernel, mapping: InodeNr): boolean =>
  mapping !== 0 && ([FS.ext4, FS.tmpfs] as number[]).includes(fs_of_inode(k, mapping));

/** The pages' file, where it has none any more what the VMA says; 0 of memory that is nobody's file, and where there is no write_begin. */
function file_of(k: Kernel, page: number, vm_file: InodeNr): InodeNr {
  const mapping = page_mapping(k, page) || vm_file;
  return has_write_begin(k, mapping) ? mapping : 0;
}

/** process_vm_rw_pages that writes pages of files as write(2) does. */
const process_vm_rw_pages = path(
  "process_vm_rw_pages",
  {
    source: "mm/process_vm_access.c, February 2022",
    args: { write: int, pages: pages_nr, vm_file: inode },
    locals: { at: int, part: int, page: pfn, mapping: inode, index: int, to: int, begun: pfn, status: int },
  },
  [
    repeat(
      (k, f) => f.at < k.user_pages.nr[f.pages],
      [
        local((k, f) => {
          f.page = page_of(k, f.pages, f.at);
        }),
        given((_, f) => f.write === 0, [step("copy_page_to_iter", () => {}), goto("next")]),
        step("page_mapping", (k, f) => {
          f.mapping = file_of(k, f.page, f.vm_file);
          f.index = k.page.index[f.page];
          f.to = k.geometry.parts;
        }),
        given(
          (_, f) => f.mapping !== 0,
          [
            dispatch(
              a_ops,
              "write_begin",
              (k, f) => fs_of_inode(k, f.mapping),
              { mapping: "mapping", index: "index", from: 0, to: "to", page: "begun" },
              "status",
            ),
            given(
              (_, f) => f.status < 0,
              [
                local((k, f) => {
                  k.refused("process_vm_rw", f.status, f.page);
                }),
                goto("next"),
              ],
            ),
          ],
        ),
        repeat(
          (k, f) => f.part < k.geometry.parts,
          [
            step("copy_page_from_iter", (k, f) => {
              if (f.mapping === 0) dma_write(k, f.pages, f.at, f.part);
              else write_part(k, f.begun, f.part);
              f.part++;
            }),
          ],
        ),
        given(
          (_, f) => f.mapping !== 0,
          [
            dispatch(
              a_ops,
              "write_end",
              (k, f) => fs_of_inode(k, f.mapping),
              { mapping: "mapping", index: "index", from: 0, to: "to", page: "begun" },
              "status",
            ),
          ],
          [call(() => set_page_dirty_lock, { page: "page" })],
        ),
        label("next"),
        local((_, f) => {
          f.part = 0;
          f.mapping = 0;
          f.index = 0;
          f.to = 0;
          f.begun = NONE;
          f.status = 0;
          f.at++;
        }),
      ],
    ),
  ],
);

interface Vec {
  readonly write: number;
  readonly pages: PagesNr;
  readonly at: Vpn;
  vm_file: InodeNr;
}

export const tso_local_pins_2022: Proposal = {
  name: "tso-local-pins-2022",
  ideas: ["A28"],
  title: "Re: [PATCH -v3] ext4: don't BUG if kernel subsystems dirty pages without asking ext4 first",
  author: "Theodore Ts'o",
  date: "2022-02",
  commit: null,
  source: "YhmFFMwvOaMiNBTQ@mit.edu",
  help: "process_vm_writev writes pages of files between write_begin and write_end, as write(2) does",
  remarks: [
    {
      who: "John Hubbard",
      date: "2022-02",
      says: "that is the connection to the filesystems that is missing; the names should say that it is for files",
      source: "303059e6-3a33-99cb-2952-82fe8079fa45@nvidia.com",
    },
    {
      who: "Theodore Ts'o",
      date: "2022-02",
      says: "whoever pins for longer should be refused pages of files, and told so, in the place of losing data without a word",
      source: "YhmFFMwvOaMiNBTQ@mit.edu",
    },
  ],
  edits: [
    locals("process_vm_rw_single_vec", { vm_file: inode }),
    after<Vec>("process_vm_rw_single_vec", "down_read(mm->mmap_sem)", [
      step("find_vma", (k, f) => {
        const vma = find_vma(k, f.at);
        f.vm_file = vma >= 0 && (k.vma.vm_flags[vma] & VM_SHARED) !== 0 ? k.vma.vm_file[vma] : 0;
      }),
    ]),
    replace<Vec>("process_vm_rw_single_vec", "process_vm_rw_pages", [
      call(() => process_vm_rw_pages, { write: "write", pages: "pages", vm_file: "vm_file" }),
      local((_, f) => {
        f.vm_file = 0;
      }),
    ]),
  ],
};
