/** harrosh-range-lock-2018: who does DMA, who writes back and who truncates share a lock on parts of a file. */
import { describe, expect, it } from "vitest";
import { explore } from "../../../src/lab/explore.js";
import { open } from "../../../src/lab/world.js";
import { vmstat_range_lock } from "../../../src/patches/proposals/harrosh_range_lock_2018.js";
import { inOrder, outcomes, runs, way } from "./asked.js";

const KERNEL = "v4.20+harrosh-range-lock-2018";

describe("what it keeps from happening", () => {
  it.each(["W2", "W4", "W6", "W6,holder=dio", "W7", "W7,cut=punch", "W7,holder=dio,fs=ext4", "W8"])(
    "%s: no write is lost or torn, nothing leaves its file under a device",
    (name) => {
      expect(["OK", "REFUSED"]).toContain(outcomes(name, KERNEL));
    },
  );

  it("W7,cut=punch is closed on tmpfs, too: the lock is taken before the page is looked for", () => {
    expect([outcomes("W7,cut=punch", "v4.20"), outcomes("W7,cut=punch", KERNEL)]).toEqual(["STALE", "OK"]);
  });

  it("W18 and W9 are as before", () => {
    expect([outcomes("W18", KERNEL), outcomes("W9", KERNEL)]).toEqual(["OK", "REFUSED"]);
  });
});

describe("what it costs (Williams, Wilcox: they cannot have it)", () => {
  it("W5: a program that calls fsync while its registration lives waits for itself", () => {
    expect(outcomes("W5", KERNEL)).toBe("HANG");
    const steps = way("W5", KERNEL, "HANG");
    inOrder(steps, "rdma lock_range");
    expect(steps.at(-1)).not.toContain("unlock_range");
  });

  it("W4: the flusher sleeps until the registration ends", () => {
    const world = open("W4", { kernel: KERNEL, record: false });
    const task = (name: string) => world.machine.tasks.findIndex((each) => each.name === name);
    const go = (name: string) => {
      for (let made = 0; world.enabled(task(name)) && made < 500; made++) {
        if (world.machine.at(task(name)).step === "ib_dma_unmap_sg") return;
        world.step(task(name));
      }
    };
    go("rdma");
    go("flusher");
    expect(world.machine.at(task("flusher")).step).toBe("lock_range_write");
    expect(world.enabled(task("flusher"))).toBe(false);
  });

  it("nr_range_locked: one lock for each page that is got, one for each call of writeback", () => {
    const world = open("W7,holder=dio,pages=4", { kernel: KERNEL, record: false });
    const scheduler = world.scheduler(1);
    for (let made = 0; made < 2000 && !world.settled(); made++) {
      const next = scheduler.next();
      if (next < 0) break;
      world.step(next);
    }
    expect(world.k.of(vmstat_range_lock).nr_range_locked[0]).toBeGreaterThanOrEqual(4);
  });
});

it("references balance, and every lock is given back", () => {
  for (const name of ["W4", "W6,holder=dio", "W7,fs=ext4", "W7,cut=punch", "W7,fs=ext4,cut=punch", "W1"])
    runs(name, KERNEL, 6, 1500);
});

it("no order of locks is wrong where there is no journal", () => {
  for (const name of ["W4", "W7,fs=ext4", "W8"])
    expect(explore(name, { kernel: KERNEL, maxStates: 500_000 }).lockdep).toEqual([]);
});
