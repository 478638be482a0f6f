/**
 * A disk that does not answer: NVMe's Abort, the reset of its controller, and what both mean for the pages of a command.
 *
 * Source: drivers/nvme/host/pci.c (nvme_timeout, nvme_dev_disable, nvme_reset_work), core.c (nvme_complete_rq) in v4.20. A command that the
 * controller has fetched may write into its pages until it completes. The first timeout sends Abort, which asks for its end and promises
 * nothing. The second one stops the controller: CC.EN is cleared, then pci_disable_device takes the device's bus mastering away,
 * and only then are the requests cancelled, so that no store reaches memory after the pages are put, whatever the
 * controller believes.
 *
 * An error is not the end, either: a command that was aborted or cancelled is sent again, nvme_max_retries times, and its pages stay where
 * they are. So whoever waits for the pages waits for minutes, but not for ever. A controller that does not come back
 * (nvme_remove_dead_ctrl) fails its requests at once.
 *
 * Acquire, dirty, release: the direct I/O's (fs/direct_io.ts), which dirties the pages of a read that failed, too. Left out: a controller
 * that says it has failed (CSTS.CFS: reset without Abort), one that is gone from the bus, a missed interrupt (__nvme_poll), abort_limit, an Abort that times out itself,
 * the deletion of the I/O queues (which may cancel the command a moment earlier), several commands and queues. The kworkers' work is done by who queues it:
 * blk_mq_requeue_work in the interrupt, nvme_reset_work after nvme_timeout; no timer runs for a command on the requeue list.
 */

import { struct, u8 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import { call, given, leave, local, path, pause, repeat, step, wait, when } from "../language.js";
import { is_submitted, PAGES, page_of, reads_memory, write_part } from "../mm/user_pages.js";
import { int, NONE, type PagesNr, pages_nr, pfn } from "../types.js";

/** What a controller does with a command: a machine's geometry.nvme. */
export const NVME = {
  /** Moves all bytes and completes; does not know Abort. */
  plain: 0,
  /** The same, and obeys Abort. */
  abortable: 1,
  /** Moves all bytes and never completes. */
  stuck: 2,
  /** The same, and does not hear of CC.EN either. */
  dead: 3,
} as const;

/** module_param max_retries: how often a command is sent again. */
export const nvme_max_retries = 5;

/** What of the controller works. */
const DEVICE = {
  live: 0,
  /** CC.EN is clear: a controller that hears of it has stopped. */
  disabled: 1,
  /** It is no bus master: it does not reach memory. */
  off: 2,
  /** nvme_kill_queues: its queues are dying, and it is off. */
  removed: 3,
} as const;

/** A controller of one command: a row an array of pages. */
export const nvme_dev = struct(
  "nvme_dev",
  {
    device: u8("DEVICE: what of the controller works"),
    aborted: u8("iod->aborted: 1 when an Abort has been sent for the command"),
    retries: u8("nvme_req(req)->retries: times that the command has been sent again"),
    requeued: u8("1 while the request is on the requeue list"),
    wrote: u8("1 when the last command that ended was a write, in which the device reads memory"),
  },
  pages_nr.kind,
);
export const nvme_dev_table: Table = {
  struct: nvme_dev,
  rows: (g) => (g.config.has("nvme") ? g.dios : 0),
};

/** Whether the request has not ended. */
const started = (k: Kernel, pages: PagesNr): boolean => is_submitted(k, pages);

/** Whether the controller has the command. */
const has_command = (k: Kernel, pages: PagesNr): boolean => {
  const { device, requeued } = k.of(nvme_dev);
  return started(k, pages) && requeued[pages] === 0 && device[pages] === DEVICE.live;
};

const removed = (k: Kernel, pages: PagesNr): boolean => k.of(nvme_dev).device[pages] === DEVICE.removed;

/** blk_mq_end_request */
function end_request(k: Kernel, pages: PagesNr, error: boolean): void {
  const { aborted, retries, requeued, wrote } = k.of(nvme_dev);
  wrote[pages] = reads_memory(k, pages) ? 1 : 0;
  k.user_pages.state[pages] = error ? PAGES.failed : PAGES.done;
  aborted[pages] = 0;
  retries[pages] = 0;
  requeued[pages] = 0;
}

/** nvme_complete_rq, and the requeue work of a queue that is not stopped: nvme_queue_rq sends the command anew. */
function complete_rq(k: Kernel, pages: PagesNr, error: boolean): void {
  const { device, aborted, retries, requeued } = k.of(nvme_dev);
  if (!error || retries[pages] >= nvme_max_retries) {
    end_request(k, pages, error);
    return;
  }
  retries[pages]++;
  if (device[pages] === DEVICE.live) aborted[pages] = 0;
  else requeued[pages] = 1;
}

/** Stop the controller, then end its request with an error, or have it sent again later. */
export const nvme_dev_disable = path(
  "nvme_dev_disable",
  { source: "drivers/nvme/host/pci.c v4.20", args: { pages: pages_nr } },
  [
    step("nvme_disable_ctrl", (k, f) => {
      k.of(nvme_dev).device[f.pages] = DEVICE.disabled;
    }),
    step("pci_disable_device", (k, f) => {
      k.of(nvme_dev).device[f.pages] = DEVICE.off;
    }),
    step("nvme_cancel_request", (k, f) => {
      const { requeued } = k.of(nvme_dev);
      if (started(k, f.pages) && requeued[f.pages] === 0) complete_rq(k, f.pages, true);
    }),
  ],
);

/** Start the controller again; one that is NVME.dead does not come back, and its queues die. */
export const nvme_reset_work = path(
  "nvme_reset_work",
  { source: "drivers/nvme/host/pci.c v4.20", args: { pages: pages_nr } },
  [
    // pci_set_master: from now on the device reaches memory again.
    step("nvme_pci_enable", (k, f) => {
      k.of(nvme_dev).device[f.pages] = DEVICE.disabled;
    }),
    given(
      (k) => k.geometry.nvme === NVME.dead,
      [
        // nvme_pci_configure_admin_queue gives -ENODEV: the ready bit does not go.
        call(() => nvme_dev_disable, { pages: "pages" }),
        step("nvme_kill_queues", (k, f) => {
          k.of(nvme_dev).device[f.pages] = DEVICE.removed;
          if (started(k, f.pages)) end_request(k, f.pages, true);
        }),
        leave(),
      ],
    ),
    step("nvme_start_queues", (k, f) => {
      const { device, aborted, requeued } = k.of(nvme_dev);
      device[f.pages] = DEVICE.live;
      aborted[f.pages] = 0;
      requeued[f.pages] = 0;
    }),
  ],
);

/** Whether a command is late, or will be. */
export const nvme_in_flight = (k: Kernel, pages: PagesNr): boolean => has_command(k, pages);

/** One timeout of a command: Abort the first time, the controller's reset the second. */
export const nvme_timeout = path(
  "nvme_timeout",
  { source: "drivers/nvme/host/pci.c v4.20", args: { pages: pages_nr } },
  [
    when(
      "iod->aborted",
      (k, f) => k.of(nvme_dev).aborted[f.pages] === 1,
      [call(() => nvme_dev_disable, { pages: "pages" }), call(() => nvme_reset_work, { pages: "pages" })],
      [
        step("nvme_submit_cmd(abort)", (k, f) => {
          // It may have completed meanwhile: the controller does not find it then.
          if (has_command(k, f.pages)) k.of(nvme_dev).aborted[f.pages] = 1;
        }),
      ],
    ),
  ],
);

/** kblockd's work for the timers of a controller's queue. */
export const blk_mq_timeout_work = path(
  "blk_mq_timeout_work",
  { source: "block/blk-mq.c v4.20", args: { pages: pages_nr } },
  [
    repeat(
      () => true,
      [
        pause("NVME_IO_TIMEOUT"),
        wait("blk_mq_check_expired", (k, f) => has_command(k, f.pages)),
        call(() => nvme_timeout, { pages: "pages" }),
      ],
    ),
  ],
);

/** Whether a controller's next store reaches memory. */
function reaches(k: Kernel, pages: PagesNr): boolean {
  const { device, aborted } = k.of(nvme_dev);
  if (k.geometry.nvme === NVME.dead) return device[pages] < DEVICE.off;
  if (k.geometry.nvme === NVME.abortable && aborted[pages] === 1) return false;
  return has_command(k, pages);
}

/** Whether it goes on writing when it should have stopped. */
const writes_on = (k: Kernel, pages: PagesNr): boolean => k.geometry.nvme === NVME.dead && !removed(k, pages);

/** A controller: writes the parts of a command's pages, or reads them, and completes it or does not. */
export const nvme_controller = path(
  "nvme_controller",
  {
    source: "a device",
    args: { pages: pages_nr },
    locals: { at: int, part: int, page: pfn, reads: int },
  },
  [
    repeat(
      () => true,
      [
        pause("DMA latency"),
        wait(
          "doorbell",
          (k, f) => has_command(k, f.pages) || (removed(k, f.pages) && started(k, f.pages)),
          (k, f) => {
            // blk_queue_enter: a dying queue takes nothing, and the controller does not hear of it.
            if (removed(k, f.pages)) end_request(k, f.pages, true);
            else f.page = page_of(k, f.pages, 0);
            f.reads = reads_memory(k, f.pages) ? 1 : 0;
          },
        ),
        repeat(
          (k, f) => f.page !== NONE && (writes_on(k, f.pages) || reaches(k, f.pages)),
          [
            // One that does not hear of CC.EN tries until a store gets through.
            wait(
              "DMA",
              (k, f) => !writes_on(k, f.pages) || reaches(k, f.pages),
              (k, f) => {
                if (!reaches(k, f.pages)) return;
                // It has the page's address, whatever the array says by now.
                if (f.reads === 0) write_part(k, f.page, f.part);
                f.part = (f.part + 1) % k.geometry.parts;
                if (f.part !== 0) return;
                f.at++;
                f.page = f.at < k.user_pages.nr[f.pages] ? page_of(k, f.pages, f.at) : NONE;
              },
            ),
          ],
        ),
        given(
          (k) => k.geometry.nvme === NVME.stuck || k.geometry.nvme === NVME.dead,
          [wait("no completion", (k, f) => !has_command(k, f.pages))],
          [
            step("nvme_irq", (k, f) => {
              if (has_command(k, f.pages)) complete_rq(k, f.pages, f.page !== NONE);
            }),
          ],
        ),
        local((_, f) => {
          f.at = 0;
          f.part = 0;
          f.page = NONE;
          f.reads = 0;
        }),
      ],
    ),
  ],
);
