/** Taking pages back from a device: it works, it waits, or it never ends. */
import { describe, expect, it } from "vitest";
import { NVME, nvme_abort, nvme_controller } from "../../../src/kernel/drivers/nvme.js";
import { read } from "../actors.js";
import { Hand, small } from "../harness.js";
import { ask } from "./ask.js";

function world(kind: number) {
  const answers: number[] = [];
  const h = new Hand(
    small(
      { pages: 1, parts: 2 },
      {
        read: read(0),
        disk: { path: nvme_controller, args: [0, kind] },
        revoke: ask(nvme_abort, [0, kind], answers),
      },
    ),
  );
  return { h, answers };
}

describe("a revoke attempt", () => {
  it("succeeds at once where nothing is under way", () => {
    const { h, answers } = world(NVME.plain);
    h.go("revoke");
    expect(answers).toEqual([0]);
  });

  it("waits for a controller without Abort: all bytes arrive first", () => {
    const { h, answers } = world(NVME.plain);
    h.past("read", "submit_bio").past("disk", "DMA").go("revoke");
    expect([answers, h.enabled("revoke")]).toEqual([[], false]);
    h.go("disk").go("revoke");
    expect([answers, [...h.k.content.version].slice(0, 2)]).toEqual([[2], [1, 1]]);
  });

  it("succeeds with one that obeys: half of the page is written, and no more comes", () => {
    const { h, answers } = world(NVME.abortable);
    h.past("read", "submit_bio").past("disk", "DMA").go("revoke").go("disk").go("read");
    expect([answers, [...h.k.content.version].slice(0, 2), h.k.page.pins[0]]).toEqual([[1], [1, 0], 0]);
  });

  it("never ends with one that never completes: reader and revoker wait, and the page is held for ever", () => {
    const { h, answers } = world(NVME.stuck);
    h.past("read", "submit_bio").go("disk").go("revoke");
    expect([answers, h.enabled("read"), h.enabled("revoke"), h.enabled("disk"), h.k.page.pins[0]]).toEqual([
      [],
      false,
      false,
      false,
      1,
    ]);
  });
});
