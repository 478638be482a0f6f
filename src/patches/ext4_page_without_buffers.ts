/**
 * ext4 meets a dirty page without buffers: a warning, and no BUG.
 *
 * Source: fs/ext4/inode.c, commit cc5095747edf (v5.18, and the stable kernels from 4.9 on). Both places that write a page look
 * first whether it has buffers, and if not clear PG_dirty and leave it.
 *
 * What it breaks: the page's bytes are given up. PG_dirty is cleared alone: the mapping's dirty tag stays, and NR_FILE_DIRTY counts the page for
 * ever. A crash that somebody would see has become a loss that nobody sees: fsync gives 0.
 *
 * Left out: the ratelimit of ext4_warning_inode (each page is reported).
 */
import type { Kernel } from "../kernel/kernel.js";
import { goto, leave, step, when } from "../kernel/language.js";
import { ClearPageDirty, page_has_private, unlock } from "../kernel/mm/page.js";
import type { Pfn } from "../kernel/types.js";
import { after, before } from "../machine/patch.js";
import type { Node } from "../machine/path.js";
import type { Patch } from "./patch.js";

interface HasPage {
  readonly page: Pfn;
}

const give_up = (then: Node<Kernel, HasPage>): Node<Kernel, HasPage> =>
  when<HasPage>("!page_has_buffers", (k, f) => !page_has_private(k, f.page), [
    step<HasPage>("ext4_warning_inode", (k, f) => {
      k.fault("WARN", `ext4_warning: page ${k.page.index[f.page]} does not have buffers attached`, f.page);
    }),
    step<HasPage>("ClearPageDirty", (k, f) => ClearPageDirty(k, f.page)),
    unlock<HasPage>(),
    then,
  ]);

export const ext4_page_without_buffers: Patch = {
  name: "ext4-page-without-buffers",
  title: "ext4: don't BUG if someone dirty pages without asking ext4 first",
  author: "Theodore Ts'o",
  date: "2022-03",
  commit: "cc5095747edf",
  help: "ext4 warns of a dirty page without buffers, gives its bytes up and goes on",
  edits: [
    before("ext4_writepage", "page_buffers", [give_up(leave())]),
    after("mpage_prepare_extent_to_map", "wait_on_page_writeback", [give_up(goto("release"))]),
  ],
};
