/**
 * Taking memory back from a disk: the Abort command, and what happens without it.
 *
 * Source: drivers/nvme/host/pci.c in v4.20 (nvme_timeout, abort_endio). A command that the controller has fetched may write into its pages until
 * it completes. Abort asks for its end and promises nothing: a controller may not implement it, may answer that it did not find the
 * command, or may never answer. Nobody may put the pages' references before the command has ended, one way or the other.
 *
 * Acquire, dirty, release: the direct I/O's (fs/direct_io.ts). Left out: the controller reset that ends everything, queues, timers.
 */

import type { Kernel } from "../kernel.js";
import { given, leave, path, pause, repeat, step, wait } from "../language.js";
import { dma_write, PAGES } from "../mm/user_pages.js";
import { int, pages_nr } from "../types.js";

/** What a controller does: moves all bytes and completes; the same, and obeys Abort; moves bytes and never completes. */
export const NVME = { plain: 0, abortable: 1, stuck: 2 } as const;

const in_flight = (k: Kernel, pages: number): boolean => k.user_pages.state[pages] === PAGES.submitted;

/**
 * Take the pages of a command back: an Abort to a controller that obeys (`kind` is one of NVME), a wait for its
 * completion otherwise. Gives 0 when the command had ended anyway, 1 when it was aborted, 2 when it had to be waited for.
 */
export const nvme_abort = path(
  "nvme_abort",
  { source: "drivers/nvme/host/pci.c v4.20", args: { pages: pages_nr, kind: int }, returns: int },
  [
    step("nvme_submit_cmd", (k, f) => {
      if (!in_flight(k, f.pages)) return;
      f.ret = f.kind === NVME.abortable ? 1 : 2;
      // The controller's answer comes before its next transfer.
      if (f.kind === NVME.abortable) k.user_pages.state[f.pages] = PAGES.done;
    }),
    given((_, f) => f.ret !== 2, [leave()]),
    wait("nvme_wait_completion", (k, f) => !in_flight(k, f.pages)),
  ],
);

/** A controller: writes the parts of a command's pages, looking before each whether the command is still wanted. */
export const nvme_controller = path(
  "nvme_controller",
  {
    source: "a device",
    args: { pages: pages_nr, kind: int },
    locals: { at: int, part: int, over: int },
  },
  [
    repeat(
      (_, f) => f.over === 0,
      [
        pause("DMA latency"),
        wait("doorbell", (k, f) => in_flight(k, f.pages)),
        repeat(
          (k, f) => f.at < k.user_pages.nr[f.pages] && in_flight(k, f.pages),
          [
            step("DMA", (k, f) => {
              if (!in_flight(k, f.pages)) return;
              dma_write(k, f.pages, f.at, f.part);
              f.part = (f.part + 1) % k.geometry.parts;
              if (f.part === 0) f.at++;
            }),
          ],
        ),
        given(
          (_, f) => f.kind === NVME.stuck,
          [
            step("no completion", (_, f) => {
              f.over = 1;
            }),
          ],
          [
            step("nvme_irq", (k, f) => {
              if (in_flight(k, f.pages)) k.user_pages.state[f.pages] = PAGES.done;
              f.at = 0;
              f.part = 0;
            }),
          ],
        ),
      ],
    ),
  ],
);
