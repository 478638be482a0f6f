import { describe, expect, it } from "vitest";
import { pipe_read, SPLICE_PAGES, tee, vmsplice_to_pipe } from "../../../src/kernel/fs/splice.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { Hand, small } from "../harness.js";

function world(nr = 1, room = 2) {
  const sent: number[] = [];
  const read: number[] = [];
  const h = new Hand(
    small(
      { filePages: 3, pages: 4, vmas: [VM_SHARED | VM_WRITE], geometry: { dios: 2, dioPages: room } },
      {
        store: store(0),
        again: store(0),
        send: ask(vmsplice_to_pipe, [0, nr, 0, 1], sent),
        more: ask(vmsplice_to_pipe, [2, 1, 0, 1], sent),
        read: ask(pipe_read, [1], read),
        read2: ask(pipe_read, [1], read),
      },
    ),
  );
  return { h, sent, read };
}

describe("vmsplice", () => {
  it("takes sixteen pages at a time, for reading", () => expect(SPLICE_PAGES).toBe(16));

  it("read access: the fault maps the page read-only, and nothing is dirtied (section 4)", () => {
    const { h, sent } = world();
    h.go("send");
    expect([sent, h.pte(), h.has("dirty"), h.k.page.pins[0]]).toEqual([[1], "ry", false, 1]);
  });

  it("the pipe holds the page until it is read, and the read drops it", () => {
    const { h, read } = world();
    h.go("send");
    expect([h.refs(), h.k.user_pages.nr[1]]).toEqual([3, 1]);
    h.go("read");
    expect([read, h.k.page.pins[0], h.k.user_pages.nr[1]]).toEqual([[0], 0, 0]);
  });

  it("it holds the page, not a copy: the reader sees what is written later", () => {
    const { h, read } = world();
    h.go("store").go("send").go("again").go("read");
    expect(read).toEqual([2]);
  });

  it("buffers come out in the order in which they went in", () => {
    const { h, sent } = world(2);
    h.go("send").go("read");
    expect([sent, h.k.page.pins[0], h.k.page.pins[1], h.k.user_page.page[2] - 1]).toEqual([[2], 0, 1, 1]);
  });

  it("a page for which the pipe has no room is put: short count", () => {
    const { h, sent } = world(3, 2);
    h.go("send");
    expect([sent, [...h.k.page.pins].slice(0, 3)]).toEqual([[2], [1, 1, 0]]);
  });

  it("a full pipe: the writer sleeps until there is room; an empty one: the reader does", () => {
    const { h } = world(2, 2);
    h.go("read");
    expect([h.next("read"), h.enabled("read")]).toEqual(["pipe_wait", false]);
    h.go("send");
    expect(h.enabled("read")).toBe(true);
  });

  it("two readers sleep for one buffer: one has it, the other looks again and goes on sleeping", () => {
    const { h, read } = world(1, 2);
    h.go("read").go("read2").go("send").step("read").step("read2");
    h.go("read2").go("read").go("read2");
    expect([read.length, h.k.page.pins[0], h.next(h.finished("read") ? "read2" : "read")]).toEqual([
      1,
      0,
      "pipe_wait",
    ]);
  });

  it("the writer that sleeps gives the pipe to the reader meanwhile, and has no page before there is room", () => {
    const { h, sent, read } = world(2, 2);
    h.go("send").go("more");
    expect([h.next("more"), h.enabled("more"), h.k.page.pins[2]]).toEqual(["pipe_wait", false, 0]);
    h.go("read").go("more");
    expect([sent, read, [...h.k.page.pins].slice(0, 3)]).toEqual([[2, 1], [0], [0, 1, 1]]);
  });
});

describe("tee", () => {
  function pipes() {
    const teed: number[] = [];
    const read: number[] = [];
    const h = new Hand(
      small(
        { filePages: 3, pages: 4, vmas: [VM_SHARED | VM_WRITE], geometry: { dios: 3, dioPages: 2 } },
        {
          store: store(0),
          send: ask(vmsplice_to_pipe, [0, 2, 0, 1], []),
          tee: ask(tee, [1, 2], teed),
          back: ask(tee, [2, 1], teed),
          itself: ask(tee, [1, 1], teed),
          read: ask(pipe_read, [1], read),
          read2: ask(pipe_read, [2], read),
        },
      ),
    );
    return { h, teed, read };
  }

  it("gives the other pipe a reference of its own to each page: both read what is stored later", () => {
    const { h, teed, read } = pipes();
    h.go("send").go("tee");
    // The one that is refused has answered before.
    expect([teed, h.k.page.pins[0], h.k.page.pins[1]]).toEqual([[-22, 2], 2, 2]);
    h.go("store").go("read").go("read2");
    expect([read, h.k.page.pins[0]]).toEqual([[1, 1], 0]);
  });

  it("waits for a page to link, and for room", () => {
    const { h } = pipes();
    h.go("tee");
    expect(h.next("tee")).toBe("ipipe_prep");
    h.go("send").go("tee").go("back");
    expect(h.next("back")).toBe("opipe_prep");
    h.go("read");
    expect(h.enabled("back")).toBe(true);
  });

  it("takes both locks in one order, whichever way it goes; one pipe twice is -EINVAL", () => {
    const { h, teed } = pipes();
    h.go("send");
    const forth = h.trace("tee", () => h.go("tee"));
    expect([teed, forth.filter((step) => step.startsWith("down_write")).length]).toEqual([[-22, 2], 2]);
    expect(h.world.lockdep.reports).toEqual([]);
  });
});
