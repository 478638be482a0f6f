/** revoke(): try, wait, reset the device (Williams, Glisse, Wilcox; LWN, 12 December 2018). */
import { describe, expect, it } from "vitest";
import { ib_umem_get } from "../../../src/kernel/drivers/infiniband.js";
import { ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import { shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { FS } from "../../../src/kernel/operations.js";
import { ask } from "../../kernel/drivers/ask.js";
import { FILE, Hand, small } from "../../kernel/harness.js";
import { inOrder, outcomes, runs, way } from "./asked.js";

const WAIT = "williams-revoke-2018";
const TRY = "williams-revoke-try-2018";
const RESET = "wilcox-revoke-reset-2018";

describe("a device that can be stopped: RDMA", () => {
  it.each([WAIT, TRY])(
    "%s: W7 and W8: nothing goes under a pin, long-term pins of fsdax are possible",
    (name) => {
      for (const scenario of ["W7", "W8,holder=rdma", "W8,holder=rdma,fs=xfs_dax"])
        expect(outcomes(scenario, `v4.20+${name}`)).toBe("REFUSED");
      // Who is refused came too late for the file, and no truncation is.
      const told = [...runs("W7", `v4.20+${name}`, 10), ...runs("W8,holder=rdma", `v4.20+${name}`, 10)];
      expect(told.filter((line) => /EBUSY|EOPNOTSUPP|^STALE|^UAF/.test(line))).toEqual([]);
    },
  );

  it("W9: registrations of fsdax succeed on v4.20", () => {
    expect(outcomes("W9", `v4.20+${WAIT}`)).toBe("OK");
  });

  it.each([
    ["tmpfs", FS.tmpfs, shmem_setattr],
    ["ext4", FS.ext4, ext4_setattr],
  ] as const)("%s: a region that is never given back does not keep ftruncate waiting", (_, fs, cut) => {
    const machine = { fs, kernel: `v4.20+${WAIT}`, geometry: { config: ["truncate"] } } as const;
    const truncate = { path: cut, args: [FILE, 0], ends: true };
    const h = new Hand(small(machine, { register: ask(ib_umem_get, [0, 1, 1, 0], []), truncate }));
    h.go("register");
    expect(h.k.page.pins[0]).toBe(1);
    const steps = h.trace("truncate", () => h.go("truncate"));
    inOrder(steps, "page_dma_pinned", "find_region", "ib_dma_unmap_sg", "put_page", "page_dma_pinned");
    expect([h.finished("truncate"), h.k.user_pages.nr[0], h.faults()]).toEqual([true, 0, []]);
  });

  it("W7,cut=punch: tmpfs's hole is open all the same", () => {
    expect(outcomes("W7,cut=punch", `v4.20+${WAIT}`)).toBe("STALE");
    inOrder(
      way("W7,cut=punch", `v4.20+${WAIT}`, "STALE"),
      "truncator page_dma_pinned",
      "rdma follow_page_pte",
      "truncator delete_from_page_cache",
    );
  });

  it("2026, with its own tracking: the same for the page cache", () => {
    expect(outcomes("W7", `2026+${WAIT}`)).toBe("REFUSED");
  });
});

describe("a device that cannot be stopped: O_DIRECT", () => {
  it(`${WAIT}: truncation waits for it, ${TRY}: it fails`, () => {
    const of = (name: string, scenario: string) =>
      [...runs(scenario, `v4.20+${name}`, 20)].filter((line) => /EBUSY/.test(line));
    for (const scenario of ["W7,holder=dio", "W8"]) {
      expect(outcomes(scenario, `v4.20+${WAIT}`)).toBe("REFUSED");
      expect(outcomes(scenario, `v4.20+${TRY}`)).toBe("REFUSED");
      expect(of(WAIT, scenario)).toEqual([]);
      expect(of(TRY, scenario)).toEqual(["REFUSED ftruncate: -EBUSY"]);
    }
  });
});

it(`${TRY}: a hole of tmpfs is not punched either while O_DIRECT has a page`, () => {
  const of = (name: string) =>
    [...runs("W7,cut=punch,holder=dio", `v4.20+${name}`, 20)].filter((line) => /EBUSY/.test(line));
  expect([of(TRY), of(WAIT)]).toEqual([["REFUSED fallocate: -EBUSY"], []]);
});

describe("W17: the call revoke()", () => {
  it("waits for ever where the device never answers and has no reset; nobody can help that (an attendee)", () => {
    for (const name of [WAIT, RESET]) expect(outcomes("W17,device=endless", `v4.20+${name}`)).toBe("HANG");
  });

  it(`${TRY}: fails at once, also where waiting would have ended; the read itself hangs as before`, () => {
    expect(outcomes("W17", `v4.20+${TRY}`)).toBe("REFUSED");
    expect(outcomes("W17,device=endless", `v4.20+${TRY}`)).toBe("HANG+REFUSED");
  });

  it.each(["abortable", "stuck", "dead"])(
    `${RESET}: %s: the controller is reset by two, the timer's work and revoke(), and no write arrives late`,
    (device) => {
      expect(outcomes(`W17,device=${device}`, `v4.20+${RESET}`)).toBe("OK");
    },
  );
});

it("references balance", () => {
  for (const [scenario, name] of [
    ["W7,fs=ext4", WAIT],
    ["W7,fs=ext4", TRY],
    ["W7,fs=ext4,cut=punch", WAIT],
    ["W8,holder=rdma,fs=xfs_dax", WAIT],
    ["W7,fs=ext4,cut=punch", TRY],
    ["W7,pages=2,cut=punch", WAIT],
    ["W7,fs=ext4,holder=dio", TRY],
    ["W7,fs=ext4,holder=dio,cut=punch", TRY],
    ["W8,holder=rdma,fs=xfs_dax", TRY],
    ["W8,fs=xfs_dax", TRY],
  ] as const)
    runs(scenario, `v4.20+${name}`, 6);
});
