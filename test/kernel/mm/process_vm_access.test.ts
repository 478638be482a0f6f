/** process_vm_writev and /proc/<pid>/mem: the CPU writes through gup, with no device anywhere. */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { mem_rw } from "../../../src/kernel/fs/proc_mem.js";
import { PVM_MAX_PAGES, process_vm_rw } from "../../../src/kernel/mm/process_vm_access.js";
import { VM_READ, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, load, reclaim } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, Hand, small } from "../harness.js";

function world(actors: (answers: number[]) => Record<string, Actor>, flags = VM_SHARED | VM_WRITE) {
  const answers: number[] = [];
  const geometry = { dios: 1, dioPages: 2 };
  return {
    h: new Hand(small({ filePages: 3, pages: 6, vmas: [flags], geometry }, actors(answers))),
    answers,
  };
}

describe("process_vm_writev", () => {
  const write = (answers: number[], nr = 1): Record<string, Actor> => ({
    writev: ask(process_vm_rw, [0, nr, 1, 0], answers),
    flusher,
    disk,
    reclaim: reclaim(3),
  });

  it("takes two pages full of page pointers at a time", () => expect(PVM_MAX_PAGES).toBe(1024));

  it("copies without mmap_sem, and dirties each page after its copy, under the page lock", () => {
    const { h, answers } = world((a) => write(a));
    const steps = h.trace("writev", () => h.go("writev"));
    const order = ["follow_page_pte", "copy_page_from_iter", "lock_page", "TestSetPageDirty", "put_page"];
    const at = order.map((step) => steps.lastIndexOf(step));
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect([answers, h.k.content.version[0], h.has("dirty"), h.k.page.pins[0]]).toEqual([[0], 1, true, 0]);
  });

  it("in chunks: the pages of one are put, the last one first, before the next are taken", () => {
    const { h } = world((a) => write(a, 3));
    h.until("writev", (k) => k.content.version[2] === 1);
    expect([...h.k.page.pins].slice(0, 3)).toEqual([0, 0, 1]);
    h.go("writev");
    expect([...h.k.content.version].slice(0, 3)).toEqual([1, 1, 1]);
  });

  it("cleaned between gup and the copy, stripped by reclaim: ext4 warns, as with a device (proposals D8)", () => {
    const { h } = world((a) => write(a));
    h.until("writev", "copy_page_from_iter").go("flusher").go("disk").clear(["referenced"]);
    h.k.pte.entry[0] &= ~8;
    h.go("reclaim").go("reclaim").go("writev");
    expect(h.faults()).toEqual(["WARN ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))"]);
  });

  it("a page that cannot be had: -EFAULT", () => {
    const { h, answers } = world((a) => write(a), VM_SHARED);
    h.go("writev");
    expect([answers, h.k.user_pages.state[0]]).toEqual([[-ERRNO.EFAULT], 0]);
  });

  it("readv takes the pages for reading and dirties nothing", () => {
    const { h, answers } = world((a) => ({ readv: ask(process_vm_rw, [0, 1, 0, 0], a) }), VM_SHARED);
    h.go("readv");
    expect([answers, h.has("dirty"), h.pte()]).toEqual([[0], false, "ry"]);
  });
});

describe("/proc/<pid>/mem", () => {
  const mem = (answers: number[], nr = 1, write = 1): Record<string, Actor> => ({
    load: load(0),
    mem: ask(mem_rw, [0, nr, write, 0], answers),
  });

  it("one page at a time: copy, set_page_dirty_lock, put_page, then the next", () => {
    const { h, answers } = world((a) => mem(a, 2));
    const steps = h.trace("mem", () => h.go("mem"));
    const interesting = ["copy_to_user_page", "TestSetPageDirty", "put_page"];
    const first = steps.indexOf("copy_to_user_page");
    const order = steps.slice(first).filter((step) => interesting.includes(step));
    expect(order.slice(0, 3)).toEqual(interesting);
    expect([answers, [...h.k.content.version].slice(0, 2)]).toEqual([[2], [1, 1]]);
  });

  it("FOLL_FORCE: a read-only private mapping is written in a copy, the file is not", () => {
    const { h, answers } = world((a) => mem(a), VM_READ);
    const file = h.go("load").k.xa_slot.page[0] - 1;
    h.go("mem");
    expect([answers, h.k.content.version[file], h.has("dirty", file), h.pte()]).toEqual([
      [1],
      0,
      false,
      "rdy",
    ]);
  });

  it("a read-only shared one: -EIO", () => {
    const { h, answers } = world((a) => mem(a), VM_SHARED);
    h.go("mem");
    expect(answers).toEqual([-ERRNO.EIO]);
  });

  it("a read dirties nothing", () => {
    const { h, answers } = world((a) => mem(a, 1, 0), VM_SHARED);
    h.go("mem");
    expect([answers, h.has("dirty")]).toEqual([[1], false]);
  });
});
