/** Intel graphics with a program's own memory: objects of several pages, of which not all can be had at once. */
import { describe, expect, it } from "vitest";
import {
  __i915_gem_userptr_get_pages_worker,
  i915_gem_execbuffer,
} from "../../../src/kernel/drivers/i915_userptr.js";
import { MMU_NOTIFIER } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { store } from "../actors.js";
import { FILE, Hand, small } from "../harness.js";
import { ask } from "./ask.js";

/** An object of two pages of a file. */
const two = () => {
  const answers: number[] = [];
  const geometry = {
    vmas: [{ pages: 2, file: FILE, flags: VM_SHARED | VM_WRITE }],
    dios: 2,
    dioPages: 2,
    notifiers: [{ driver: MMU_NOTIFIER.i915, start: 0, nr: 2, pages: 0 }],
    config: ["notifier"] as const,
  };
  const actors = {
    first: store(0),
    second: store(1),
    exec: ask(i915_gem_execbuffer, [0], answers),
    worker: { path: __i915_gem_userptr_get_pages_worker, args: [0, 1] },
  };
  return { h: new Hand(small({ filePages: 2, pages: 4, geometry }, actors)), answers };
};
const pins = ({ k }: Hand) => [...k.page.pins].slice(0, 2);

describe("i915_gem_userptr_get_pages", () => {
  it("keeps all pages or none: what __get_user_pages_fast gave of an object is put when the rest needs a fault", () => {
    const { h, answers } = two();
    h.go("first").until("exec", (k) => k.page.pins[0] === 1);
    h.go("exec");
    expect([pins(h), h.k.user_pages.nr[0], h.next("exec")]).toEqual([[0, 0], 0, "wait_for_userptr"]);
    h.go("worker").go("exec");
    expect([answers, pins(h)]).toEqual([[0], [1, 1]]);
  });

  it("pages that are all mapped writable it keeps: there is nothing for the kworker", () => {
    const { h, answers } = two();
    const steps = h.trace("exec", () => h.go("first").go("second").go("exec"));
    expect([answers, pins(h), steps.includes("put_page"), h.enabled("worker")]).toEqual([
      [0],
      [1, 1],
      false,
      false,
    ]);
  });
});
