/** A program that changes the buffer of its own O_DIRECT write, on every kernel: whose sums are spoilt, and who copies first. */
import { describe, expect, it } from "vitest";
import { dma_engine, dma_engine_iomap } from "../../src/kernel/fs/direct_io.js";
import { btrfs_direct_IO, xfs_file_dio_aio_write } from "../../src/kernel/fs/iomap_dio.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_WRITE } from "../../src/kernel/structs.js";
import { explore } from "../../src/lab/explore.js";
import { bisect } from "../../src/lab/kernels.js";
import { run } from "../../src/lab/run.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { disk, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { FILE, Hand, small } from "../kernel/harness.js";

const names = kernels.map(({ name }) => name);
const has = (kernel: string, patch: string): boolean =>
  findKernel(kernel).patches.some(({ name }) => name === patch);

/** The patch that mends it, by filesystem; ext4 has none. */
const MENDED = {
  ext4: "none",
  xfs: "xfs-bounce-direct-io",
  btrfs: "btrfs-buffered-if-checksum",
} as const;

describe("dio-write-race: a store into the buffer of an O_DIRECT write whose device checks sums", () => {
  for (const fs of ["ext4", "xfs", "btrfs"] as const)
    it.each(names)(
      `on ${fs} and %s: TORN, until the kernel makes its sum of a copy; every interleaving`,
      (kernel) => {
        const { outcomes, complete } = explore(`dio-write-race,fs=${fs}`, { kernel, maxStates: 100_000 });
        expect([outcomes, complete]).toEqual([[has(kernel, MENDED[fs]) ? "OK" : "TORN"], true]);
      },
    );

  it.each(["xfs", "btrfs"] as const)("bisect names the patch of %s", (fs) => {
    expect(bisect(`dio-write-race,fs=${fs}`, "v4.20", "2026").patch.name).toBe(MENDED[fs]);
  });

  it("needs a transfer between submission and completion: the store before or after it is harmless", () => {
    const made = new Set(
      Array.from({ length: 40 }, (_, seed) =>
        run("dio-write-race", { kernel: "v4.20", seed: seed + 1, steps: 5000 }).outcomes.join(),
      ),
    );
    expect([...made].sort()).toEqual(["OK", "TORN"]);
  });

  it("in parts: a mix of old and new bytes is found where the first part that changed is fetched", () => {
    const { steps, outcomes } = explore("dio-write-race,parts=4", { kernel: "v4.20" });
    expect(outcomes).toEqual(["TORN"]);
    expect(steps.at(-1)?.step).toBe("DMA");
  });
});

/** The writer alone, with its disk, on a file whose device needs stable pages or does not. */
const written = (
  kernel: string,
  fs: number,
  stableWrites: boolean,
): { h: Hand; answers: number[]; fetched: number } => {
  const answers: number[] = [];
  const path = fs === FS.btrfs ? btrfs_direct_IO : xfs_file_dio_aio_write;
  const h = new Hand(
    small(
      {
        kernel,
        cached: false,
        pages: 4,
        fs,
        stableWrites,
        geometry: {
          files: [{ pages: 2, fs, stable_writes: stableWrites }],
          vmas: [{ pages: 2, flags: VM_WRITE }],
          dios: 1,
          dioPages: 2,
          config: ["truncate"],
        },
      },
      {
        store: store(0),
        other: store(1),
        write: ask(path, [FILE, 0, 2, 0], answers),
        dma: { path: fs === FS.btrfs ? dma_engine : dma_engine_iomap, args: [0] },
        disk,
      },
    ),
  );
  h.go("store").go("other");
  const made = h.trace("dma", () => {
    for (let turn = 0; turn < 40 && !h.finished("write"); turn++) h.go("write").go("dma").go("disk");
    h.go("dma");
  });
  return { h, answers, fetched: made.filter((step) => step === "DMA").length };
};

describe("a write that nobody disturbs", () => {
  it.each(["v4.20", "v6.12", "2026"])(
    "gives the pages that were written on %s, and leaves no reference",
    (kernel) => {
      for (const fs of [FS.xfs, FS.btrfs]) {
        const { h, answers } = written(kernel, fs, true);
        expect([kernel, fs, answers]).toEqual([kernel, fs, [2]]);
        expect([...h.k.page.pins].every((pins) => pins === 0)).toBe(true);
        expect(h.faults()).toEqual([]);
      }
    },
  );

  it("goes to the device from the program's own pages where the device needs no stable ones", () => {
    expect(written("2026", FS.xfs, false).fetched).toBe(2);
    expect(written("2026", FS.xfs, true).fetched).toBe(0);
    expect(written("v6.12", FS.xfs, true).fetched).toBe(2);
    expect(written("2026", FS.btrfs, true).fetched).toBe(0);
  });
});
