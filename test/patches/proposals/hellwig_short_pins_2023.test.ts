/** Writeback waits for short pins and ignores long ones (Christoph Hellwig, 13 and 19 February 2023): where it waits makes the difference. */
import { describe, expect, it } from "vitest";
import { awaited } from "../../../src/lab/awaited.js";
import { explore } from "../../../src/lab/explore.js";
import { baseOf } from "../../../src/lab/matrix/plan.js";
import { run } from "../../../src/lab/run.js";
import { WORD } from "../../../src/trace/words.js";
import { outcomes, runs } from "./asked.js";
import { journalMachine } from "./direct_writer.js";

const LOCKED = "v6.3+hellwig-short-pins-2023";
const UNLOCKED = "v6.3+hellwig-short-pins-unlocked-2023";
const WHOLE = `${UNLOCKED}+lru-waits-isolation`;
const MOST = 4_000_000;

it("is thought of for a kernel whose O_DIRECT pins: v6.3", () => {
  for (const name of ["hellwig-short-pins-2023", "hellwig-short-pins-unlocked-2023"])
    expect(baseOf(name)).toBe("v6.3");
});

describe("with the page lock given back for the wait", () => {
  it.each(["W1", "W1,strip=drop", "W2", "W3", "W5", "W6", "W6,fs=xfs"])(
    "%s: all is well, every interleaving",
    (workload) => {
      expect(outcomes(workload, UNLOCKED, MOST)).toBe("OK");
    },
  );

  it.each(["W3", "W5", "W6"])("%s: v6.3 without it is not well", (workload) => {
    expect(outcomes(workload, "v6.3")).not.toBe("OK");
  });

  it("W4, an RDMA region: only what hubbard-lru-longterm-2023 writes over reclaim's list is left, and with lru-waits-isolation nothing", () => {
    const { outcomes: found } = explore("W4", { kernel: UNLOCKED, maxStates: 1_000_000 });
    expect(found).toEqual(["BUG"]);
    expect(outcomes("W4", WHOLE, MOST)).toBe("OK");
  });

  it("keeps every invariant", () => {
    for (const workload of ["W1", "W3", "W4", "W5"]) expect([...runs(workload, WHOLE, 20)]).toEqual([]);
  });
});

describe("under the page lock", () => {
  it("W2: a circle of two: O_DIRECT wants the lock to mark its pages dirty, and has them pinned", () => {
    const { outcomes: found, shortest } = explore("W2", { kernel: LOCKED });
    expect([found, shortest[0].steps]).toEqual([["HANG"], 20]);
    const { world } = run(shortest[0].replay);
    const flusher = world.machine.tasks.findIndex(({ name }) => name === "flusher");
    expect(awaited(world, flusher)).toBe("everybody who has pinned page 0 for a short time to let go of it");
  });

  it("W3: process_vm_writev is in it as well", () => {
    expect(outcomes("W3", LOCKED)).toBe("HANG");
  });

  it("xfs and btrfs: the same circle in their walks, and without the lock none", () => {
    for (const [workload, beside] of [
      ["W2,fs=xfs,holder=iomap", []],
      // No room for a second copy: who comes too late is refused, as on v6.3.
      ["W2,fs=btrfs", ["REFUSED"]],
    ] as const) {
      expect([workload, explore(workload, { kernel: LOCKED }).outcomes]).toEqual([
        workload,
        ["HANG", ...beside],
      ]);
      expect([workload, explore(workload, { kernel: UNLOCKED }).outcomes]).toEqual([
        workload,
        beside.length > 0 ? beside : ["OK"],
      ]);
    }
    expect(explore("W2,fs=btrfs", { kernel: "v6.3" }).outcomes).toContain("REFUSED");
  });

  it("ext4 with a journal: a page that is pinned for long is unlocked and left alone, and every invariant holds", () => {
    for (const kernel of [LOCKED, UNLOCKED]) {
      const { recording } = run("W5,fs=ext4-delalloc", { kernel, seed: 1 });
      const { steps } = recording.info;
      const made = [...recording.step.filter((_, at) => recording.word[at] === WORD.step)]
        .map((step) => steps[step])
        .filter(({ path }) => path === "mpage_prepare_extent_to_map")
        .map(({ step }) => step);
      const asked = made.indexOf("folio_longterm_pinned");
      expect([kernel, made[asked + 1]]).toEqual([kernel, "folio_unlock"]);
      expect([...runs("W5,fs=ext4-delalloc", kernel, 20)]).toEqual([]);
    }
  });

  it("W5 and W6: a long pin is not waited for", () => {
    for (const workload of ["W5", "W6"]) expect(outcomes(workload, LOCKED)).toBe("OK");
  });
});

describe("T-KARA-DL (Kara, 9 July 2018): an O_DIRECT write that has pinned its page wants a handle", () => {
  it.each([LOCKED, UNLOCKED])(
    "%s: ext4_writepages has one while it waits for the pin, wherever it waits",
    (kernel) => {
      const world = journalMachine(kernel, true);
      const { complete, witnesses } = world.explore({ maxStates: 1_000_000, progress: () => true });
      expect([complete, witnesses.map(({ kind }) => kind)]).toEqual([true, ["HANG"]]);
      for (const task of witnesses[0].schedule) world.step(task);
      const { machine } = world;
      expect(
        Object.fromEntries(machine.tasks.map(({ name }, task) => [name, machine.at(task).step])),
      ).toMatchObject({
        fsync: "wait_for_short_pins",
        writer: "jbd2_journal_start",
        jbd2: "j_wait_updates",
      });
    },
  );
});
