/** A recording made by hand: one page goes the way of the article's crash in a dozen steps. */
import { Recorder, type Recording } from "../../src/trace/recording.js";
import {
  BUFFER_BIT,
  LRU_PLACE,
  PTE_BIT,
  pg,
  RECLAIM,
  TAG_BIT,
  WORD,
  type WordName,
} from "../../src/trace/words.js";

export const PAGE = 7;

const MESSAGE = "ext4_set_page_dirty: !page_has_buffers(page)";

const TASKS = [
  { name: "reader", letter: "A", daemon: false },
  { name: "kswapd0", letter: "K", daemon: true },
  { name: "disk", letter: "D", daemon: true },
];

type Row = [task: number, path: string, step: string, words?: Partial<Record<WordName, number>>];

const ROWS: Row[] = [
  [
    0,
    "do_shared_fault",
    "page_mkwrite",
    {
      flags: pg("uptodate") | pg("lru") | pg("private"),
      refcount: 3,
      mapcount: 0,
      pins: 0,
      pte: 0,
      buffers: BUFFER_BIT.attached,
      tags: 0,
      lru: LRU_PLACE.inactive,
      device: 0,
    },
  ],
  [
    0,
    "do_shared_fault",
    "set_page_dirty",
    {
      flags: pg("uptodate") | pg("lru") | pg("private") | pg("dirty"),
      buffers: BUFFER_BIT.attached | BUFFER_BIT.dirty,
      tags: TAG_BIT.dirty,
    },
  ],
  [
    0,
    "do_shared_fault",
    "finish_fault",
    { mapcount: 1, pte: PTE_BIT.present | PTE_BIT.write | PTE_BIT.dirty },
  ],
  [0, "get_user_pages", "get_page", { pins: 1, refcount: 4 }],
  [1, "clear_page_dirty_for_io", "page_mkclean", { pte: PTE_BIT.present }],
  [
    1,
    "clear_page_dirty_for_io",
    "TestClearPageDirty",
    { flags: pg("uptodate") | pg("lru") | pg("private"), buffers: BUFFER_BIT.attached, tags: 0 },
  ],
  [
    1,
    "shrink_page_list",
    "try_to_unmap",
    { reclaim: RECLAIM.unmapped, mapcount: 0, pte: 0, refcount: 4, lru: LRU_PLACE.isolated },
  ],
  [
    1,
    "shrink_page_list",
    "try_to_release_page",
    { reclaim: RECLAIM.stripped, buffers: 0, flags: pg("uptodate"), refcount: 3 },
  ],
  [
    1,
    "shrink_page_list",
    "__remove_mapping",
    { reclaim: RECLAIM.backed_out, flags: pg("uptodate") | pg("lru"), lru: LRU_PLACE.inactive, refcount: 2 },
  ],
  [2, "dma", "write", { device: 1 }],
  [
    0,
    "dio_bio_complete",
    "set_page_dirty_lock",
    { device: 0, flags: pg("uptodate") | pg("lru") | pg("dirty"), tags: TAG_BIT.dirty, fault: 0 },
  ],
  [0, "dio_bio_complete", "put_page", { pins: 0, refcount: 1 }],
];

/** `pages` copies of the story after each other, on pages PAGE, PAGE + 1, ... */
export function small(pages = 1): Recording {
  const recorder = new Recorder();
  const steps: { path: string; step: string }[] = [];
  let tick = 0;
  for (let page = PAGE; page < PAGE + pages; page++) {
    for (const [task, path, step, words = {}] of ROWS) {
      let id = steps.findIndex((s) => s.path === path && s.step === step);
      if (id === -1) id = steps.push({ path, step }) - 1;
      if (step === "page_mkwrite") recorder.add(tick, 1, id, -1, WORD.wait, 1);
      if (step === "page_mkclean") recorder.add(tick, 1, id, -1, WORD.wait, 0);
      recorder.add(tick, task, id, page, WORD.step, 1);
      for (const [word, value] of Object.entries(words)) {
        recorder.add(tick, task, id, page, WORD[word as WordName], value);
      }
      tick++;
    }
  }
  return recorder.finish({
    source: "simulated",
    title: "kara-2018 on v4.20",
    kernel: "v4.20",
    replay: "guplab run kara-2018 --schedule A4K5D1A2",
    timeUnit: "tick",
    tasks: TASKS,
    steps,
    faults: [
      {
        kind: "WARN",
        path: "dio_bio_complete",
        step: "set_page_dirty_lock",
        pfn: PAGE,
        task: "reader",
        tick: 10,
        message: MESSAGE,
      },
    ],
  });
}
