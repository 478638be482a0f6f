/** A disk that does not answer: Abort, the controller's reset, and when the pages of a command come back. */
import { describe, expect, it } from "vitest";
import { endless_device } from "../../../src/kernel/drivers/device.js";
import {
  blk_mq_timeout_work,
  NVME,
  nvme_controller,
  nvme_max_retries,
} from "../../../src/kernel/drivers/nvme.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { do_blockdev_direct_IO } from "../../../src/kernel/fs/direct_io.js";
import { disk, flusher } from "../actors.js";
import { Hand, small } from "../harness.js";
import { ask } from "./ask.js";

const PARTS = 2;

/** A read of one page, its controller, and the timer of its commands. */
function world(kind: number) {
  const answers: number[] = [];
  const h = new Hand(
    small(
      { pages: 1, parts: PARTS, geometry: { config: ["nvme"], nvme: kind } },
      {
        read: ask(do_blockdev_direct_IO, [0, 1, 0], answers),
        second: ask(do_blockdev_direct_IO, [0, 1, 0], answers),
        device: { path: nvme_controller, args: [0] },
        timer: { path: blk_mq_timeout_work, args: [0] },
        flusher,
        disk,
      },
    ),
  );
  return { h, answers };
}
const pins = (h: Hand): number => h.k.page.pins[0];
const stores = (h: Hand): number[] => [...h.k.content.version].slice(0, PARTS);

describe("nvme_timeout", () => {
  it("sends Abort first, and only when the command is late once more it resets the controller", () => {
    const { h } = world(NVME.stuck);
    h.past("read", "submit_bio").go("device");
    expect(h.trace("timer", () => h.round("timer"))).toEqual([
      "blk_mq_check_expired",
      "iod->aborted",
      "nvme_submit_cmd(abort)",
    ]);
    expect(h.trace("timer", () => h.round("timer"))).toEqual([
      "blk_mq_check_expired",
      "iod->aborted",
      "nvme_disable_ctrl",
      "pci_disable_device",
      "nvme_cancel_request",
      "nvme_pci_enable",
      "nvme_start_queues",
    ]);
  });

  it("a controller without Abort completes all the same: all bytes arrive, the read is whole", () => {
    const { h, answers } = world(NVME.plain);
    h.past("read", "submit_bio").past("device", "DMA").round("timer").go("device").go("read");
    expect([answers, stores(h), pins(h)]).toEqual([[1], [1, 1], 0]);
  });

  it("Abort of a command that has completed meanwhile is sent for nothing", () => {
    const { h, answers } = world(NVME.abortable);
    h.past("read", "submit_bio")
      .until("timer", "nvme_submit_cmd(abort)")
      .go("device")
      .round("timer")
      .go("read");
    expect([answers, stores(h), pins(h)]).toEqual([[1], [1, 1], 0]);
  });
});

describe("a command that was aborted", () => {
  it("is sent again: its pages do not come back (nvme_complete_rq, nvme_req_needs_retry)", () => {
    const { h, answers } = world(NVME.abortable);
    h.past("read", "submit_bio").past("device", "DMA").round("timer").past("device", "nvme_irq");
    expect([h.enabled("read"), stores(h), pins(h)]).toEqual([false, [1, 0], 1]);
    h.go("device").go("read");
    expect([answers, stores(h), pins(h)]).toEqual([[1], [2, 1], 0]);
  });

  it("max_retries times; then the read fails with -EIO, and dirties its page all the same", () => {
    const { h, answers } = world(NVME.abortable);
    h.past("read", "submit_bio").go("flusher").go("disk");
    for (let sent = 0; sent <= nvme_max_retries; sent++) {
      expect(h.enabled("read")).toBe(false);
      h.past("device", "DMA").round("timer").past("device", "nvme_irq");
    }
    expect(h.has("dirty")).toBe(false);
    h.go("read");
    expect([answers, h.has("dirty"), pins(h)]).toEqual([[-ERRNO.EIO], true, 0]);
  });
});

describe("the reset", () => {
  it("ends with -EIO for a controller that never completes, after five more tries", () => {
    const { h, answers } = world(NVME.stuck);
    h.past("read", "submit_bio");
    let resets = 0;
    for (; !h.enabled("read"); resets++) h.go("device").round("timer").round("timer");
    h.go("read");
    expect([answers, resets, pins(h)]).toEqual([[-ERRNO.EIO], nvme_max_retries + 1, 0]);
  });

  it("stops the device before a request is cancelled: no store comes after bus mastering is gone", () => {
    const { h } = world(NVME.stuck);
    h.past("read", "submit_bio").past("device", "DMA").round("timer").past("timer", "nvme_disable_ctrl");
    h.go("device");
    expect(stores(h)).toEqual([1, 0]);
    h.until("timer", "nvme_pci_enable");
    expect([h.enabled("read"), h.enabled("device"), pins(h)]).toEqual([false, false, 1]);
  });

  it("a controller that does not hear of CC.EN writes on, until the bridge lets nothing through", () => {
    const { h, answers } = world(NVME.dead);
    h.past("read", "submit_bio").until("device", "DMA").round("timer").past("timer", "nvme_disable_ctrl");
    h.step("device");
    expect(stores(h)).toEqual([1, 0]);
    h.past("timer", "pci_disable_device");
    expect(h.enabled("device")).toBe(false);
    // pci_set_master lets it through once more: the pages are held still.
    h.past("timer", "nvme_pci_enable").step("device");
    expect([stores(h), pins(h), h.enabled("read")]).toEqual([[1, 1], 1, false]);
    h.past("timer", "nvme_kill_queues").go("read");
    expect([answers, pins(h), h.faults()]).toEqual([[-ERRNO.EIO], 0, []]);
  });

  it("a queue that died fails what is submitted to it, and the device writes nothing", () => {
    const { h, answers } = world(NVME.dead);
    h.past("read", "submit_bio").go("device").round("timer").round("timer").go("read");
    h.past("second", "submit_bio").go("device").go("second");
    expect([answers, stores(h), pins(h)]).toEqual([[-ERRNO.EIO, -ERRNO.EIO], [1, 1], 0]);
  });
});

describe("a device that nobody can stop", () => {
  it("never completes: the reader waits, and the page is held for ever", () => {
    const h = new Hand(
      small(
        { pages: 1, parts: PARTS },
        {
          read: ask(do_blockdev_direct_IO, [0, 1, 0]),
          device: { path: endless_device, args: [0], ends: true },
        },
      ),
    );
    h.past("read", "submit_bio").go("device");
    expect([stores(h), h.finished("device"), h.enabled("read"), pins(h)]).toEqual([[1, 1], true, false, 1]);
  });
});
