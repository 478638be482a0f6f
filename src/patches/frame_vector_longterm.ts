/**
 * Video capture's pins are long-term ones, and are taken by the fast walk.
 *
 * Source: mm/frame_vector.c (get_vaddr_frames), commit 04769cb1c45a (v5.12). A buffer that a user queues may stay for as long as the user likes. The VMA is looked at by get_user_pages,
 * which knows of fsdax.
 *
 * Left out: memory of devices (VM_IO, follow_pfn), which is asked for when no page could be had; its -EINVAL then hides what get_user_pages said.
 */

import { get_vaddr_frames } from "../kernel/drivers/videobuf2.js";
import { ERRNO } from "../kernel/errno.js";
import { call, given, leave, path } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import { int, pages_nr, vpn } from "../kernel/types.js";
import { becomes } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { pin_frame_vector, pin_user_pages_fast } from "./pin_user_pages.js";

const pins_longterm = path(
  "get_vaddr_frames",
  { source: "mm/frame_vector.c v5.12", args: { start: vpn, nr: int, pages: pages_nr }, returns: int },
  [
    given((_, f) => f.nr === 0, [leave()]),
    call(
      () => pin_user_pages_fast,
      {
        start: "start",
        nr: "nr",
        flags: FOLL.FORCE | FOLL.WRITE | FOLL_LONGTERM,
        pages: "pages",
      },
      "ret",
    ),
    given((_, f) => f.ret === 0, [leave(() => -ERRNO.EFAULT)]),
  ],
);

export const frame_vector_longterm: Patch = {
  name: "frame-vector-longterm",
  title: "mm/frame-vector: Use FOLL_LONGTERM",
  author: "Daniel Vetter",
  date: "2021-01",
  commit: "04769cb1c45a",
  help: "video capture takes long-term pins, by the fast walk",
  needs: [pin_frame_vector],
  edits: [becomes(get_vaddr_frames, pins_longterm)],
};
