/** Who believes that a page is dirty, at one moment of a world: the recording's words, and the bytes themselves. */
import { disk_version } from "../kernel/fs/blocks.js";
import { is_newer_than_disk } from "../kernel/fs/newer.js";
import { page_mapping } from "../kernel/mm/filemap.js";
import { FS, fs_of_inode, mapping_cap_account_dirty } from "../kernel/operations.js";
import type { Pfn } from "../kernel/types.js";
import type { OwnersStory } from "../plot/index.js";
import type { World } from "./world.js";

/** The story of a page of a world as it stands. */
export function ownersStory(world: World, page: Pfn): OwnersStory {
  const { k } = world;
  const { flags, _refcount, mapcount, pins, device } = k.page;
  const mapping = page_mapping(k, page);
  const saved = mapping !== 0 && mapping_cap_account_dirty(k, mapping);
  const { parts } = k.geometry;
  const each = Array.from({ length: parts }, (_, part) => part);
  return {
    pfn: page,
    moment: `tick ${k.tick}`,
    run: `${world.name} on ${world.kernel.name}`,
    replay: world.replay,
    words: {
      flags: flags[page],
      refcount: _refcount[page],
      mapcount: mapcount[page],
      pins: pins[page],
      device: device[page],
      pte: k.pteWord(page),
      buffers: k.buffersWord(page),
      tags: k.tagsWord(page),
    },
    buffers: saved && fs_of_inode(k, mapping) === FS.ext4,
    tags: saved,
    contents: saved
      ? {
          memory: each.map((part) => k.content.version[page * parts + part]),
          disk: each.map((part) => disk_version(k, mapping, k.page.index[page], part)),
          newer: is_newer_than_disk(k, page, mapping),
        }
      : null,
  };
}
