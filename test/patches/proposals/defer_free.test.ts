/** nybble41-defer-free-2018 and Kara's two objections (LWN, 13 to 20 December 2018). */
import { describe, expect, it } from "vitest";
import { dax_allocate_file, ext4_dax_setattr } from "../../../src/kernel/fs/dax.js";
import { dax_owner } from "../../../src/kernel/mm/memremap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { dax_statfs } from "../../../src/patches/proposals/nybble41_defer_free_2018.js";
import { dma, read, store } from "../../kernel/actors.js";
import { FILE, Hand, small } from "../../kernel/harness.js";
import { outcomes, runs } from "./asked.js";

const RAM = "nybble41-defer-free-2018";
const DISK = "kara-defer-disk-2018";
const ORPHANS = "kara-defer-orphans-2018";

describe("W8: truncation waits for nobody, and no block is another's while a device writes into it", () => {
  it.each([RAM, DISK, ORPHANS])("%s: ext4 and xfs, O_DIRECT and RDMA", (name) => {
    for (const scenario of ["W8", "W8,fs=xfs_dax", "W8,holder=rdma", "W8,holder=rdma,fs=xfs_dax"])
      expect(outcomes(scenario, `v4.20+${name}`)).toBe("REFUSED");
    runs("W8,holder=rdma", `v4.20+${name}`, 6);
  });

  it("2026, whose DAX pages are counted from 0: the same", () => {
    expect(outcomes("W8", `2026+${RAM}`)).toBe("REFUSED");
  });
});

/** Two files on one block: the first has it, a read fills it, and the second wants one. */
const machine = (kernel: string) =>
  new Hand(
    small(
      {
        cached: false,
        kernel,
        pages: 1,
        geometry: {
          files: [
            { pages: 1, fs: FS.ext4_dax },
            { pages: 1, fs: FS.ext4_dax },
          ],
          vmas: [
            { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
            { pages: 1, file: 2, flags: VM_SHARED | VM_WRITE },
          ],
          devicePages: 1,
          config: ["dax", "truncate"],
        },
        prepare: (k) => dax_allocate_file(k, FILE),
      },
      {
        read: read(0),
        dma: dma(0),
        truncate: { path: ext4_dax_setattr, args: [FILE, 0, 0], ends: true },
        store: store(1),
        again: store(1),
      },
    ),
  );

describe("where has my space gone? (Kara's second objection)", () => {
  it("article 57: the block is in no file and not free while the device writes; an allocation fails, and succeeds after the last put", () => {
    const h = machine(`v4.20+${RAM}`);
    const page = h.k.device_start;
    expect(dax_statfs(h.k)).toEqual({ used: 1, free: 0, parked: 0 });
    h.past("read", "submit_bio").go("truncate");
    expect([h.finished("truncate"), dax_owner(h.k, page)]).toEqual([true, -1]);
    expect(dax_statfs(h.k)).toEqual({ used: 0, free: 0, parked: 1 });
    h.go("store");
    expect(h.pte(1)).toBe("none");
    h.go("dma").go("read");
    expect(dax_statfs(h.k)).toEqual({ used: 0, free: 1, parked: 0 });
    h.go("again");
    expect([dax_statfs(h.k), h.pte(1)]).toEqual([{ used: 1, free: 0, parked: 0 }, "rwdy"]);
    expect(h.faults().filter((line) => line.startsWith("UAF"))).toEqual([]);
  });

  it("v4.20: ftruncate is the one who waits, and nothing is hidden", () => {
    const h = machine("v4.20");
    h.past("read", "submit_bio").go("truncate");
    expect([h.finished("truncate"), h.next("truncate")]).toEqual([false, "schedule"]);
  });
});

describe("the power goes (Kara's first objection, and the answer to it)", () => {
  it.each(["W8", "W8,holder=rdma"])("%s", (name) => {
    const cut = [RAM, DISK, ORPHANS].map((each) => outcomes(`${name},power-cut=yes`, `v4.20+${each}`));
    // A record in memory is gone with the device's writes; one on the disk leaks the block unless recovery knows of it.
    expect(cut).toEqual(["REFUSED", "LEAK+REFUSED", "REFUSED"]);
  });
});
