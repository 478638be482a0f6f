/** harrosh-range-lock-2018: who does DMA, who writes back and who truncates share a lock on parts of a file. */
import { describe, expect, it } from "vitest";
import { bdi_flusher } from "../../../src/kernel/fs/fs_writeback.js";
import { sync } from "../../../src/kernel/fs/sync.js";
import { GUP_BENCHMARK, gup_benchmark_ioctl } from "../../../src/kernel/mm/gup_benchmark.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { explore } from "../../../src/lab/explore.js";
import { open } from "../../../src/lab/world.js";
import { range_lock, vmstat_range_lock } from "../../../src/patches/proposals/harrosh_range_lock_2018.js";
import { disk, dma, read, store } from "../../kernel/actors.js";
import { FILE, Hand, small } from "../../kernel/harness.js";
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

  it("gup_benchmark -L of fsdax is refused, and the lock that it had is given back", () => {
    const h = new Hand(
      small(
        {
          kernel: KERNEL,
          cached: false,
          geometry: {
            files: [{ pages: 1, fs: FS.ext4_dax }],
            vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
            devicePages: 1,
            config: ["dax"],
          },
        },
        { bench: { path: gup_benchmark_ioctl, args: [0, 1, 1, GUP_BENCHMARK.LONGTERM, 1, 0], ends: true } },
      ),
    );
    h.until("bench", (k) => k.of(range_lock).users[0] === 1);
    h.go("bench");
    expect([h.finished("bench"), h.k.of(range_lock).users[0]]).toEqual([true, 0]);
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

  it("sync(2) sleeps for it in the flusher of a disk, as well", () => {
    const h = new Hand(
      small(
        { kernel: KERNEL, geometry: { config: ["kupdate"] } },
        {
          store: store(),
          read: read(1),
          dma: dma(1),
          sync: { path: sync, ends: true },
          flusher: { path: bdi_flusher, args: [0] },
          disk,
        },
      ),
    );
    h.go("store").until("read", "dio_await_completion").go("sync").go("flusher");
    expect([h.path("flusher"), h.next("flusher"), h.finished("sync")]).toEqual([
      "writeback_sb_inodes",
      "lock_range_write",
      false,
    ]);
    h.go("dma").go("read");
    expect(h.k.of(range_lock).users[0]).toBe(0);
    for (let rounds = 0; !h.finished("sync") && rounds < 10; rounds++) h.go("flusher").go("disk").go("sync");
    expect([h.finished("sync"), h.k.of(range_lock).writer[0]]).toEqual([true, 0]);
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
  for (const name of [
    ...["W4", "W6,holder=dio", "W7,fs=ext4", "W7,cut=punch", "W7,fs=ext4,cut=punch", "W1"],
    "W8,fs=xfs_dax",
  ])
    runs(name, KERNEL, 6, 1500);
});

it("no order of locks is wrong where there is no journal", () => {
  for (const name of ["W4", "W7,fs=ext4", "W8"])
    expect(explore(name, { kernel: KERNEL, maxStates: 500_000 }).lockdep).toEqual([]);
});
