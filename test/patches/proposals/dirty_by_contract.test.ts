/**
 * Three ways to have the filesystem's say when a pinned page becomes dirty: it is asked at the end (kara-mkwrite-2018), what it keeps on the page stays until then (williams-defer-release-2018), it is asked at the beginning and
 * until the end (tso-local-pins-2022).
 */
import { describe, expect, it } from "vitest";
import { direct_write } from "../../../src/kernel/fs/direct_io.js";
import { compact_zone } from "../../../src/kernel/mm/compaction.js";
import { MIGRATE } from "../../../src/kernel/mm/migrate.js";
import { process_vm_rw } from "../../../src/kernel/mm/process_vm_access.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { explore } from "../../../src/lab/explore.js";
import { disk, dma, flusher, fsync, old, read, reclaim, store } from "../../kernel/actors.js";
import { ask } from "../../kernel/drivers/ask.js";
import { Hand, small } from "../../kernel/harness.js";
import { checksumMachine, cowMachine, stripMachine } from "./pinned_writeback.js";

const BOUNDS = { maxStates: 1_500_000, progress: () => true };
const outcomes = (scenario: string, kernel: string) =>
  explore(scenario, { kernel, maxStates: 4_000_000 }).outcomes;
const kinds = (world: ReturnType<typeof checksumMachine>): string[] => {
  const { complete, witnesses } = world.explore(BOUNDS);
  expect(complete).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
};

describe("kara-mkwrite-2018 (20180103100430.GE4911@quack2.suse.cz)", () => {
  const ASKS = "v4.20+kara-mkwrite-2018";

  it.each(["W1", "W1,strip=drop", "W1,holder=pvmw", "W2"])(
    "%s: makes ext4 happy, as Kara said",
    (scenario) => {
      expect(outcomes(scenario, ASKS)).toEqual(["OK"]);
    },
  );

  it("with fsync and reclaim in any order, too", () => {
    expect(kinds(stripMachine(ASKS))).toEqual([]);
  });

  it("who throws the page out of its file meanwhile has the device's bytes lost, and no crash: as Kara expected of punched holes", () => {
    expect(outcomes("W1,strip=diowrite", ASKS)).toEqual(["LOST"]);
    expect(outcomes("W3", ASKS)).toEqual(["LOST"]);
  });

  it("comes too late for sums, and for fsync while the page is pinned", () => {
    expect(outcomes("W6", ASKS)).toEqual(["TORN"]);
    expect(outcomes("W5", ASKS)).toEqual(["LOST"]);
  });

  it("on btrfs nothing is lost while there is room; on a full one page_mkwrite is refused, and no driver asks why", () => {
    expect(kinds(cowMachine("v4.20", false))).toEqual(["LOST"]);
    expect(kinds(cowMachine(ASKS, false))).toEqual([]);
    expect(kinds(cowMachine(ASKS, true))).toEqual(["LOST", "REFUSED"]);
  });

  it("does not reach a driver that sets the bit itself: VFIO crashes ext4 still", () => {
    const { met = [], shortest } = explore("W1,holder=vfio,strip=diowrite", {
      kernel: ASKS,
      maxStates: 4_000_000,
    });
    expect([...shortest, ...met].map(({ kind }) => kind)).toContain("BUG");
  });
});

describe("williams-defer-release-2018 (CAPcyv4grBxGs0cnFVyRx29t0xhG5EBTy_nP=qhsVh5=8nusNsw@mail.gmail.com)", () => {
  const DEFERS = "v4.20+williams-defer-release-2018";

  it.each(["W1", "W1,strip=drop", "W1,strip=diowrite", "W1,holder=pvmw", "W2", "W3"])(
    "%s: no crash and no loss, whoever strips: they all ask try_to_release_page",
    (scenario) => {
      expect(outcomes(scenario, DEFERS)).toEqual(["OK"]);
    },
  );

  it("with fsync and reclaim in any order, too", () => {
    expect(kinds(stripMachine(DEFERS))).toEqual([]);
  });

  it("the rest is as Kara answered: pages are dirtied after page_mkclean", () => {
    expect(outcomes("W6", DEFERS)).toEqual(["TORN"]);
    expect(outcomes("W5", DEFERS)).toEqual(["LOST"]);
    expect(kinds(cowMachine(DEFERS, false))).toEqual(["LOST"]);
  });

  it("a page that nobody has dirtied loses its buffers at the last put, and not before", () => {
    const h = new Hand(
      small(
        { kernel: DEFERS, pages: 2, geometry: { dios: 1, dioPages: 1 } },
        {
          store: store(),
          fsync,
          disk,
          write: { path: direct_write, args: [0, 1, 0], ends: true },
          dma: dma(0),
          reclaim: reclaim(5),
        },
      ),
    );
    h.go("store").until("fsync", "pagevec_lookup_range_tag").go("fsync").go("disk").go("fsync");
    h.until("write", "dio_await_completion");
    old(h);
    const steps = h.trace("reclaim", () => h.go("reclaim"));
    expect(steps).toContain("defer");
    expect([h.has("private"), h.has("dirty")]).toEqual([true, false]);
    h.go("dma").go("write");
    expect(h.has("private")).toBe(false);
    expect(h.finished("write")).toBe(true);
  });
});

describe("williams-defer-release-2018: migration of a page whose filesystem cannot move what it keeps on it", () => {
  /** A page of btrfs that has been written under a pin, and is clean: compaction wants it moved. */
  const moved = (kernel: string) => {
    const h = new Hand(
      small(
        { kernel, fs: FS.btrfs, pages: 3, geometry: { config: ["migration", "blocks"], blocks: 3 } },
        {
          store: store(),
          read: read(1),
          dma: dma(1),
          flusher,
          again: flusher,
          disk,
          compact: { path: compact_zone, args: [MIGRATE.SYNC], ends: true },
        },
      ),
    );
    h.go("store").go("flusher").go("disk").until("read", "dio_await_completion");
    h.go("again").go("disk");
    expect([h.has("dirty"), h.has("private"), h.k.page.pins[0]]).toEqual([false, true, 1]);
    lru_add_drain(h.k);
    const steps = h.trace("compact", () => h.go("compact"));
    return { h, steps };
  };

  it("v4.20 frees it, finds the pin only then, and the page stays without", () => {
    const { h, steps } = moved("v4.20");
    expect([steps.includes("migrate_page_move_mapping"), h.k.xa_slot.page[0], h.has("private")]).toEqual([
      true,
      1,
      false,
    ]);
  });

  it("with it the page stays with what it has", () => {
    const { h, steps } = moved("v4.20+williams-defer-release-2018");
    expect([steps.includes("defer"), steps.includes("migrate_page_move_mapping"), h.has("private")]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe("tso-local-pins-2022 (YhmFFMwvOaMiNBTQ@mit.edu)", () => {
  const LOCAL = "tso-local-pins-2022";

  it.each(["v4.20", "2026"])(
    "W3 on %s: nothing crashes or is lost, which is so on no kernel without",
    (base) => {
      expect(outcomes("W3", base)).toContain("LOST");
      expect(outcomes("W3", `${base}+${LOCAL}`)).toEqual(["OK"]);
    },
  );

  it.each(["v4.20", "2026"])(
    "W6 on %s with process_vm_writev: write_begin waits for what is being written, and sums fit",
    (base) => {
      expect(outcomes("W6,holder=pvmw", base)).toEqual(["TORN"]);
      expect(outcomes("W6,holder=pvmw", `${base}+${LOCAL}`)).toEqual(["OK"]);
    },
  );

  it("process_vm_readv copies out of the page, and asks the filesystem nothing", () => {
    const h = new Hand(
      small(
        { kernel: `v4.20+${LOCAL}` },
        { store: store(), readv: ask(process_vm_rw, [0, 1, 0, 0]), flusher, disk },
      ),
    );
    h.go("store").go("flusher").go("disk");
    const steps = h.trace("readv", () => h.go("readv"));
    expect(steps).toContain("copy_page_to_iter");
    expect([h.has("dirty"), h.k.page.pins[0]]).toEqual([false, 0]);
  });

  it("is nothing for who pins longer than a call", () => {
    expect(outcomes("W1", `v4.20+${LOCAL}`)).toContain("BUG");
  });

  it("xfs has no write_begin: its pages are dirtied as before", () => {
    const steps = (kernel: string) => explore("W1,holder=pvmw,strip=none,fs=xfs", { kernel });
    expect(steps(`v4.20+${LOCAL}`).outcomes).toEqual(steps("v4.20").outcomes);
  });
});

describe("sums, which all three leave to others but one", () => {
  it.each([
    ["kara-mkwrite-2018", ["TORN"]],
    ["williams-defer-release-2018", ["TORN"]],
  ] as const)("%s with O_DIRECT and fsync: %j", (name, found) => {
    expect(kinds(checksumMachine(`v4.20+${name}`, FS.ext4))).toEqual(found);
  });
});
