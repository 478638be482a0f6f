/** williams-wait-truncate-2018, dax-look-first, rdma-told-2018: truncation that waits, in which order, and one that only says so. */
import { describe, expect, it } from "vitest";
import { ib_umem_get } from "../../../src/kernel/drivers/infiniband.js";
import { ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import { shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { FS } from "../../../src/kernel/operations.js";
import { store } from "../../kernel/actors.js";
import { ask } from "../../kernel/drivers/ask.js";
import { FILE, Hand, small } from "../../kernel/harness.js";
import { inOrder, outcomes, runs, way } from "./asked.js";

const WAIT = "williams-wait-truncate-2018";

describe(`${WAIT}: page waiting for the page cache`, () => {
  it.each(["W7", "W7,holder=dio", "W7,holder=pvmw", "W7,holder=dio,fs=ext4", "W7,pages=2,holder=dio"])(
    "%s: nothing leaves its file under a pin, and the wait ends; who comes late gets -EFAULT",
    (name) => {
      expect(outcomes(name, `v4.20+${WAIT}`)).toBe("REFUSED");
    },
  );

  it("2026, with its own tracking: the same, udmabuf's pins included", () => {
    expect([outcomes("W7", `2026+${WAIT}`), outcomes("W7,holder=udmabuf,cut=punch", `2026+${WAIT}`)]).toEqual(
      ["REFUSED", "OK"],
    );
  });

  it("W7,cut=punch: tmpfs's hole is open, as nothing keeps faults away here", () => {
    expect(outcomes("W7,cut=punch", `v4.20+${WAIT}`)).toBe("STALE");
  });

  it.each([
    ["tmpfs", FS.tmpfs, shmem_setattr],
    ["ext4", FS.ext4, ext4_setattr],
  ] as const)(
    "%s: a region that is never given back blocks ftruncate for ever (an attendee, 2018)",
    (_, fs, cut) => {
      const register = { ...ask(ib_umem_get, [0, 1, 1, 0], []), ends: true };
      const truncate = { path: cut, args: [FILE, 0], ends: true };
      const machine = { fs, kernel: `v4.20+${WAIT}`, geometry: { config: ["truncate"] } } as const;
      const h = new Hand(small(machine, { register, truncate, store: store() }));
      h.go("register").go("truncate");
      expect([h.next("truncate"), h.enabled("truncate"), h.k.page.pins[0]]).toEqual([
        "wait_for_dma_pinned_to_clear",
        false,
        1,
      ]);
      // Faults are not kept waiting meanwhile: i_mmap_sem is free. Those of tmpfs find the file shorter.
      h.go("store");
      expect(h.pte()).toBe(fs === FS.tmpfs ? "none" : "rwdy");
    },
  );

  it("references balance", () => {
    for (const name of ["W7,fs=ext4", "W7,cut=punch", "W7,fs=ext4,cut=punch", "W7,pages=2"])
      expect([...runs(name, `v4.20+${WAIT}`, 8)].every((line) => /^REFUSED|^STALE/.test(line))).toBe(true);
  });
});

describe("dax-look-first: the order of dax_layout_busy_page (trap 22)", () => {
  it.each(["v4.20", "2026"])("%s: the other way round W8 frees a block under a pin", (kernel) => {
    expect(outcomes("W8", kernel)).toBe("REFUSED");
    expect(outcomes("W8", `${kernel}+dax-look-first`).split("+")[0]).toBe("UAF");
    inOrder(
      way("W8", `${kernel}+dax-look-first`, "UAF"),
      "truncator dax_busy_page",
      "dio follow_page_pte",
      "truncator ptep_get_and_clear_full",
    );
  });
});

describe("rdma-told-2018: notification without a guarantee", () => {
  it.each(["W7", "W7,cut=punch", "W7,holder=dio,fs=ext4", "W7,holder=dio,fs=ext4,cut=punch"])(
    "%s: whoever is too late is truncated as before",
    (name) => {
      expect(outcomes(name, "v4.20+rdma-told-2018")).toBe(outcomes(name, "v4.20"));
    },
  );
});
