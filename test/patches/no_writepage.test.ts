/** kswapd and dirty pages of files, kernel by kernel: who still has a writepage for pageout() to call. */
import { describe, expect, it } from "vitest";
import { FS } from "../../src/kernel/operations.js";
import { countersOf } from "../../src/lab/run.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { disk, old, reclaim, store } from "../kernel/actors.js";
import { Hand, small } from "../kernel/harness.js";

const names = kernels.map(({ name }) => name);
const has = (kernel: string, patch: string): boolean =>
  findKernel(kernel).patches.some(({ name }) => name === patch);

/** A page that a CPU has written and forgotten, and five passes of kswapd. */
function reclaimed(kernel: string, fs: number): { h: Hand; written: number; steps: string[] } {
  const h = new Hand(small({ kernel, pages: 2, fs }, { store: store(), reclaim: reclaim(5), disk })).go(
    "store",
  );
  old(h);
  const steps = h.trace("reclaim", () => h.go("reclaim"));
  return { h, written: countersOf(h.world).nr_vmscan_write, steps };
}

describe("a dirty page of a file at the end of the list", () => {
  it.each(names)("of ext4 on %s: pageout writes it until ext4 has no writepage (v6.2)", (kernel) => {
    const { h, written, steps } = reclaimed(kernel, FS.ext4);
    const gone = has(kernel, "ext4-no-writepage");
    expect(written).toBe(gone ? 0 : 1);
    if (!gone) return;
    expect([h.has("dirty"), h.has("writeback"), h.lru()]).toEqual([true, false, "active"]);
    // Since activate-dirty-files it does not even come to pageout.
    expect(steps.includes("a_ops->writepage == NULL")).toBe(!has(kernel, "activate-dirty-files"));
  });

  it.each(names)("of xfs on %s: until v5.15", (kernel) => {
    const { h, written } = reclaimed(kernel, FS.xfs);
    expect(written).toBe(has(kernel, "xfs-no-writepage") ? 0 : 1);
    if (written === 0) expect([h.has("dirty"), h.lru()]).toEqual([true, "active"]);
  });

  it.each(names)("of btrfs on %s: offered until v6.0, and refused", (kernel) => {
    const { h, written } = reclaimed(kernel, FS.btrfs);
    expect(written > 0).toBe(!has(kernel, "btrfs-no-writepage"));
    expect([h.has("dirty"), h.has("writeback")]).toEqual([true, false]);
  });

  it("the releases in which they went: v5.18, v6.1 and v6.3 are the first kernels here without", () => {
    const first = (patch: string) => names.find((kernel) => has(kernel, patch));
    const at = ["xfs-no-writepage", "btrfs-no-writepage", "ext4-no-writepage"].map((patch) =>
      names.indexOf(first(patch) as string),
    );
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(has("v5.14", "xfs-no-writepage")).toBe(false);
    expect(has("v6.1.192", "ext4-no-writepage")).toBe(false);
    expect(has("v6.4", "ext4-no-writepage")).toBe(true);
  });
});
