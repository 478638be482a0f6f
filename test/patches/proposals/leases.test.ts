/** Layout leases for who pins for long: Williams 2018, Weiny and Chinner 2019. */
import { describe, expect, it } from "vitest";
import { liveness } from "../../../src/lab/liveness.js";
import { inOrder, outcomes, runs, way } from "./asked.js";

const USER = "lease-user-2019";
const CLOSES = "lease-user-closes-2019";
const RDMA_DAX = "W8,holder=rdma";

describe("who has no lease (Weiny, 5 June 2019: GUP will fail)", () => {
  it.each([
    ["weiny-leases-2019", RDMA_DAX],
    ["weiny-leases-2019", "W9"],
    ["chinner-exclusive-lease-2019", "W7"],
    ["chinner-exclusive-lease-2019", RDMA_DAX],
  ])("%s: %s gets -EPERM and pins nothing", (lease, name) => {
    expect(outcomes(name, `v4.20+${lease}`)).toBe("REFUSED");
    expect(runs(name, `v4.20+${lease}`, 6)).toContain("REFUSED ib_umem_get: -EPERM");
  });

  it("weiny-leases-2019 is for DAX: a pinned page of the cache is truncated as before, and O_DIRECT needs no lease", () => {
    expect(outcomes("W7", "v4.20+weiny-leases-2019")).toBe("STALE+REFUSED");
    expect(runs("W8", "v4.20+weiny-leases-2019", 20)).toContain("REFUSED ftruncate: -ETXTBSY");
  });

  it("2026: the fast walk gives the page back, and the slow one says -EPERM", () => {
    expect(runs("W7", "2026+chinner-exclusive-lease-2019", 6)).toContain("REFUSED ib_umem_get: -EPERM");
    expect(outcomes("W7", `2026+chinner-exclusive-lease-2019+${USER}`)).toBe("REFUSED");
  });
});

describe("weiny-leases-2019 with a program that takes a lease", () => {
  it.each(["ext4_dax", "xfs_dax"])(
    "%s: the claim holds: truncation of pinned pages fails, no block is freed under a pin",
    (fs) => {
      const name = `${RDMA_DAX},fs=${fs}`;
      for (const user of [USER, CLOSES]) {
        expect(outcomes(name, `v4.20+weiny-leases-2019+${user}`)).toBe("REFUSED");
        const told = runs(name, `v4.20+weiny-leases-2019+${user}`, 20);
        expect(told).toContain("REFUSED ftruncate: -ETXTBSY");
      }
    },
  );

  it("W9: registrations of fsdax succeed, which they do not on v4.20", () => {
    expect([outcomes("W9", "v4.20"), outcomes("W9", `v4.20+weiny-leases-2019+${USER}`)]).toEqual([
      "REFUSED",
      "OK",
    ]);
  });
});

describe("williams-lease-acts-2018: SIGIO, a while, and then truncation goes on", () => {
  it("frees the block under who is slower: leases do not stop a device", () => {
    const kernel = `v4.20+williams-lease-acts-2018+${USER}`;
    expect(outcomes(RDMA_DAX, kernel).split("+")[0]).toBe("UAF");
    inOrder(
      way(RDMA_DAX, kernel, "UAF"),
      "rdma follow_page_pte",
      "truncator lease_break_callback",
      "truncator time_out_leases",
      "truncator ext4_truncate",
      "device DMA",
    );
  });
});

describe("exclusive leases (Chinner, June 2019)", () => {
  it("chinner-lease-early-2019: asked before the locks, it misses a lease that is taken just then", () => {
    const kernel = `v4.20+chinner-lease-early-2019+${USER}`;
    expect(outcomes("W7,cut=punch", kernel)).toBe("STALE+REFUSED");
    inOrder(
      way("W7,cut=punch", kernel, "STALE"),
      "truncator break_layout(EXCLUSIVE)",
      "rdma generic_add_lease",
      "rdma follow_page_pte",
      "truncator delete_from_page_cache",
    );
  });

  it("its W7 is no better: the file is cut under the pin, and only the second ftruncate is refused, so that it stays short", () => {
    expect(outcomes("W7", `v4.20+chinner-lease-early-2019+${USER}`)).toBe("REFUSED");
  });

  it.each(["W7,fs=ext4", "W7,fs=ext4,cut=punch", RDMA_DAX, `${RDMA_DAX},fs=xfs_dax`])(
    "chinner-lease-early-2019: %s: says no where a lease is there",
    (name) => {
      const told = runs(name, `v4.20+chinner-lease-early-2019+${USER}`, 12);
      expect([...told].filter((line) => line.includes("ETXTBSY"))).toHaveLength(1);
    },
  );

  it.each(["W7", "W7,cut=punch", "W7,fs=ext4,cut=punch", RDMA_DAX, `${RDMA_DAX},fs=xfs_dax`])(
    "chinner-exclusive-lease-2019: %s: asked under the lock that giving a lease takes, it holds, tmpfs's holes included",
    (name) => {
      expect(outcomes(name, `v4.20+chinner-exclusive-lease-2019+${USER}`)).toBe("REFUSED");
    },
  );
});

describe("the file is closed while its pages are pinned: three answers", () => {
  it("chinner-exclusive-lease-2019: close waits for the pins of the one that closes, who waits for ever", () => {
    expect(outcomes(RDMA_DAX, `v4.20+chinner-exclusive-lease-2019+${CLOSES}`)).toBe("HANG+REFUSED");
    // W7 has a flusher, which goes on while the process sleeps: no state is without a move, and the search of states says nothing.
    const kernel = `v4.20+chinner-exclusive-lease-2019+${CLOSES}`;
    expect(outcomes("W7", kernel)).toBe("REFUSED");
    expect(String(liveness("W7", { kernel }))).toContain("wait_for_file_pins");
  });

  it("weiny-zombie-lease-2019: the lease protects without a file, and goes with the last pin", () => {
    const kernel = `v4.20+weiny-zombie-lease-2019+${CLOSES}`;
    expect(["W7", "W7,cut=punch", RDMA_DAX].map((name) => outcomes(name, kernel))).toEqual([
      "REFUSED",
      "REFUSED",
      "REFUSED",
    ]);
  });

  it("lease-released-2019: the page cache is truncated under the pin, DAX waits for it as on v4.20", () => {
    const kernel = `v4.20+lease-released-2019+${CLOSES}`;
    expect(["W7,cut=punch", RDMA_DAX].map((name) => outcomes(name, kernel))).toEqual([
      "STALE+REFUSED",
      "REFUSED",
    ]);
    const cut = way("W7,cut=punch", kernel, "STALE");
    inOrder(cut, "rdma locks_remove_lease", "truncator delete_from_page_cache");
  });
});

it("references balance with every lease and either program", () => {
  for (const lease of ["chinner-exclusive-lease-2019", "weiny-zombie-lease-2019", "lease-released-2019"])
    for (const user of [USER, CLOSES])
      expect(runs("W7,fs=ext4", `v4.20+${lease}+${user}`, 4).size).toBeGreaterThanOrEqual(0);
});
