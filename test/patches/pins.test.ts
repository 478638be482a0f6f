/** Pins in the sandbox, kernel by kernel: what they count, who is refused, and whom invalidation spares. */

import { describe, expect, it } from "vitest";
import { runLine, runScript, statements } from "../../src/cli/shell.js";
import { ib_umem_get } from "../../src/kernel/drivers/infiniband.js";
import { do_blockdev_direct_IO } from "../../src/kernel/fs/direct_io.js";
import { compound_head } from "../../src/kernel/mm/compound.js";
import { page_of } from "../../src/kernel/mm/user_pages.js";
import { Desk, type Host } from "../../src/lab/desk.js";
import { explore } from "../../src/lab/explore.js";
import { REGION } from "../../src/lab/operation.js";
import { countersOf, run, runToEnd } from "../../src/lab/run.js";
import { open } from "../../src/lab/world.js";
import { mm_pins } from "../../src/patches/copy_pinned_at_fork.js";
import { compound_pincount } from "../../src/patches/track_foll_pin.js";
import { PTE_BIT } from "../../src/trace/words.js";
import { store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { Hand, small } from "../kernel/harness.js";
import { anonymous, fork } from "../kernel/processes.js";
import { stubHost } from "../lab/stub_host.js";

const host: Host = {
  ...stubHost,
  explore: async ({ scenario, kernel }) => {
    const verdict = explore(scenario, { kernel });
    return { text: String(verdict), report: verdict.toJSON() };
  },
  script: runScript,
};

/** A desk with the sandbox on a kernel, once these statements are done. */
async function sandbox(kernel: string, text: string, parameters = ""): Promise<Desk> {
  const desk = new Desk(host);
  desk.start(`sandbox${parameters}`, kernel);
  for (const statement of statements(text)) await runLine(desk, statement);
  return desk;
}

const refs = ({ world: { k } }: Desk, page = 0): number => k.page._refcount[page];
const faults = ({ world: { k } }: Desk): string[] =>
  k.faults.map(({ kind, message }) => `${kind} ${message}`);

const vmstat = ({ world }: Desk): number[] => {
  const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(world);
  return [nr_foll_pin_acquired, nr_foll_pin_released];
};

describe("a registered page's count", () => {
  it.each([
    ["v4.20", 1],
    ["v5.6", 1],
    ["v5.7", 1024],
    ["v6.1", 1024],
  ])("on %s goes up by %i, and back", async (kernel, by) => {
    const before = refs(await sandbox(kernel, "store 0"));
    const registered = await sandbox(kernel, "store 0; rdma_reg 0 1");
    expect(refs(registered) - before).toBe(by);
    expect(registered.world.k.page.pins[0]).toBe(1);
    const dropped = await sandbox(kernel, "store 0; rdma_reg 0 1; rdma_dereg");
    expect([refs(dropped), dropped.world.k.page.pins[0]]).toEqual([before, 0]);
  });

  it("is counted in /proc/vmstat from v5.7 on, where both numbers match at rest", async () => {
    expect(countersOf((await sandbox("v5.6", "rdma_reg 0 3")).world)).not.toHaveProperty(
      "nr_foll_pin_acquired",
    );
    expect(vmstat(await sandbox("v5.7", "rdma_reg 0 3"))).toEqual([3, 0]);
    expect(vmstat(await sandbox("v5.7", "rdma_reg 0 3; rdma_dereg"))).toEqual([3, 3]);
  });

  it.each(["pvmw 0 2", "uring_reg 4 2; uring_unreg", "xdp_reg 0 2; xdp_free", "vfio_map 0 2; vfio_unmap"])(
    "%s: every pin is dropped",
    async (line) => {
      const [acquired, released] = vmstat(await sandbox("v5.7", line));
      expect(acquired).toBeGreaterThanOrEqual(2);
      expect(released).toBe(acquired);
    },
  );

  it("video capture pins on v5.9 (55a650c35fea, v5.8)", async () => {
    expect(vmstat(await sandbox("v5.7", "video_qbuf 0 2"))).toEqual([0, 0]);
    expect(vmstat(await sandbox("v5.9", "video_qbuf 0 2; video_free"))).toEqual([2, 2]);
  });

  it.each(["pread 0 2", "load 0; load 1; pwrite 0 2"])(
    "%s: ext4's O_DIRECT takes plain references until iomap pins (v6.3)",
    async (line) => {
      expect(vmstat(await sandbox("v6.1", `${line}; step dmaA 9`))).toEqual([0, 0]);
      expect(vmstat(await sandbox("v6.3", `${line}; step dmaA 9`))).toEqual([2, 2]);
    },
  );
});

describe("O_DIRECT through fs/direct-io.c", () => {
  it.each(["pread 0 2", "load 0; load 1; pwrite 0 2"])("%s pins with 1ccf164ec866", async (line) => {
    const without = "v4.20+pin-user-pages+track-foll-pin+iomap-dio-pins";
    expect(vmstat(await sandbox(without, line))).toEqual([0, 0]);
    expect(vmstat(await sandbox(`${without}+blockdev-dio-pins`, line))).toEqual([2, 2]);
  });
});

describe("a long-term pin for writing of a file that tracks dirty pages (v6.5)", () => {
  it("gives -EFAULT, and leaves nothing behind", async () => {
    const desk = await sandbox("v6.5", "store 0; rdma_reg 0 1");
    expect(faults(desk)).toEqual(["REFUSED ib_umem_get: -EFAULT"]);
    expect(desk.world.k.page.pins[0]).toBe(0);
  });

  it.each([",fs=tmpfs", ",map=private"])(
    "is had of memory without dirty tracking: %s",
    async (parameters) => {
      expect(faults(await sandbox("v6.5", "store 0; rdma_reg 0 1", parameters))).toEqual([]);
    },
  );

  it("is had of anonymous memory", async () => {
    expect(faults(await sandbox("v6.5", "store 4; rdma_reg 4 1"))).toEqual([]);
  });

  it("process_vm_writev is no long-term pin", async () => {
    expect(faults(await sandbox("v6.5", "pvmw 0 1"))).toEqual([]);
  });
});

describe("fork of a process that has pinned a page of its own memory (v5.9)", () => {
  it.each(["", ",swap=4"])(
    "copies it at once, and the parent keeps what its device writes%s",
    async (parameters) => {
      const desk = await sandbox(
        "v5.9",
        "store 4; rdma_reg 4 1; fork; store 4; step card 2; rdma_dereg",
        parameters,
      );
      const { k } = desk.world;
      const [parent, child] = [k.pte.entry[4], k.pte.entry[12]].map((entry) => entry >>> 4);
      expect(child).not.toBe(parent);
      expect(k.page.mapcount[parent]).toBe(1);
      // The store, the card's two writes, and nothing of these in the child's copy.
      expect(k.content.version[parent]).toBeGreaterThan(k.content.version[child]);
      expect(k.page.index[child]).toBe(k.page.index[parent]);
    },
  );

  it("knows of pins that only the fast walk has taken (O_DIRECT, v6.3)", async () => {
    const desk = await sandbox("v6.3", "store 4; pread 4 1 --by B --hold yes; step B 9; fork --by A");
    const { k } = desk.world;
    const [parent, child] = [k.pte.entry[4], k.pte.entry[12]].map((entry) => entry >>> 4);
    expect(k.page.pins[parent]).toBe(1);
    expect(child).not.toBe(parent);
  });

  it("forgets the pins of the process that had the child's number before: mm_init", async () => {
    const has_pinned = async (text: string) =>
      (await sandbox("v5.9", text)).world.k.of(mm_pins).has_pinned[1];
    const pinned = "store 4; fork; rdma_reg 12 1 --by D; rdma_dereg --by D";
    expect(await has_pinned(pinned)).toBe(1);
    expect(await has_pinned(`${pinned}; exit 1 --by D; fork`)).toBe(0);
  });
});

describe("process_vm_writev beside a disk", () => {
  it.each(["v4.20", "v5.5", "v6.3"])(
    "on %s is nothing that the thread's disk has to do with",
    async (kernel) => {
      const { world } = await sandbox(kernel, "store 0; pvmw 0 1 --by A --hold yes");
      const [thread, dma] = ["A", "dmaA"].map((task) =>
        world.machine.tasks.findIndex(({ name }) => name === task),
      );
      for (; world.k.page.pins[0] === 0; world.step(thread)) expect(world.enabled(dma)).toBe(false);
      for (; world.k.page.pins[0] === 1; world.step(thread)) expect(world.enabled(dma)).toBe(false);
    },
  );
});

describe("a pinned huge page", () => {
  it.each([
    [1, 1024, 0],
    [2, 1, 1],
  ])(
    "of order %i goes up by %i, and its own count of pins by %i (47e29d32afba)",
    async (order, refs_up, pins) => {
      const text = "store 0; rdma_reg 0 1";
      const desk = await sandbox("v5.7", text, `,fs=hugetlbfs,huge=${order}`);
      const head = compound_head(desk.world.k, page_of(desk.world.k, REGION, 0));
      const before = refs(await sandbox("v5.7", "store 0", `,fs=hugetlbfs,huge=${order}`), head);
      expect(refs(desk, head) - before).toBe(refs_up);
      expect(desk.world.k.of(compound_pincount).compound_pincount[head]).toBe(pins);
    },
  );
});

describe("O_DIRECT through iomap", () => {
  it.each([
    ["v6.1", 0],
    ["v6.3", 1],
  ])("on %s pins %i pages, and drops them, by the interrupt or by the kworker", (kernel, pins) => {
    const world = open("W1,holder=iomap", { kernel, record: false });
    const kworker = world.machine.tasks.findIndex(({ name }) => name === "kworker");
    for (let seed = 1; seed <= 20; seed++) {
      const start = world.moment();
      runToEnd(world, seed, 2000);
      while (world.enabled(kworker)) world.step(kworker);
      const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(world);
      expect([nr_foll_pin_acquired, nr_foll_pin_released]).toEqual([pins, pins]);
      world.goTo(start);
    }
  });
});

describe("a long-term pin of fsdax memory", () => {
  // The last one is of a kernel that never was: pins are counted, and long-term ones are a function still.
  it.each(["v4.20", "v5.7", "v4.20+pin-user-pages+track-foll-pin"])(
    "is refused on %s, and leaves the counts as they were",
    async (kernel) => {
      const desk = await sandbox(kernel, "store 0; rdma_reg 0 1", ",fs=ext4-dax");
      expect(faults(desk).join()).toContain("REFUSED ib_umem_get: -EOPNOTSUPP");
      expect(Math.max(...desk.world.k.page._refcount)).toBeLessThan(1024);
      expect(Math.max(...desk.world.k.page.pins)).toBe(0);
    },
  );
});

describe("a fast pin of a page whose PTE changes meanwhile", () => {
  it("is dropped whole: put_compound_head takes 1024 references back (v6.5)", () => {
    const actors = { store: store(0), read: ask(do_blockdev_direct_IO, [0, 1, 1]) };
    const h = new Hand(small({ kernel: "v6.5" }, actors)).go("store");
    const before = h.refs();
    h.past("read", "try_grab_compound_head");
    expect(h.refs()).toBe(before + 1024);
    h.k.pte.entry[0] &= ~PTE_BIT.dirty;
    h.past("read", "put_compound_head");
    expect(h.refs()).toBe(before);
  });
});

describe("fork where memory is counted (config watermarks)", () => {
  it("allocates the copy of a pinned page without the page table's lock", () => {
    const actors = { store: store(0), register: ask(ib_umem_get, [0, 1, 1, 1]), fork: fork() };
    const machine = anonymous(1, { pages: 16, min_free_pages: 1, config: ["watermarks"] });
    const h = new Hand(small({ ...machine, kernel: "v5.9" }, actors)).go("store").go("register");
    const steps = h.trace("fork", () => h.go("fork"));
    expect(steps.filter((step) => ["copy_one_pte", "page_copy_prealloc"].includes(step))).toEqual([
      "copy_one_pte",
      "page_copy_prealloc",
      "copy_one_pte",
    ]);
    expect(h.pte(0)).toContain("w");
  });
});

describe("a pinned page of anonymous memory and a kswapd that swaps", () => {
  it("v5.11 asks before it gives the page a place in swap (feb889fb40fa), and does not unmap it", () => {
    const seen = (kernel: string) => {
      const { world } = run("swap-pinned,holder=rdma", { kernel, steps: 2000 });
      return world.recording().info.faults.length;
    };
    expect([seen("v5.9"), seen("v5.11")]).toEqual([0, 0]);
    // Reclaim asks, and keeps the page: the search has states of the question that it had not.
    expect(explore("swap-pinned,holder=rdma", { kernel: "v5.11" }).states).toBeGreaterThan(
      explore("swap-pinned,holder=rdma", { kernel: "v5.9" }).states,
    );
  });
});

describe("drop_caches and a clean page that a driver holds", () => {
  const held = "load 0; gup 0 1 read; fsync; munmap 0 4; drop_caches";
  const has_buffers = ({ world: { k } }: Desk): boolean => (k.buffersWord(0) & 1) !== 0;

  it("v4.20 frees its buffers, and finds out afterwards that it cannot have the page", async () => {
    expect(has_buffers(await sandbox("v4.20", `store 0; ${held}`))).toBe(false);
  });

  it("v5.18 counts its references first, plain ones too (e41c81d0d30e)", async () => {
    expect(has_buffers(await sandbox("v5.18", `store 0; ${held}`))).toBe(true);
  });
});

describe("ext4 and a dirty page without buffers (v5.18)", () => {
  const lose = "store 0; gup 0 1; fsync; munmap 0 4; reclaim; age; reclaim; reclaim; unpin; writeback";

  it("v4.20 dies of it", async () => {
    expect(faults(await sandbox("v4.20", lose)).some((fault) => fault.startsWith("BUG"))).toBe(true);
  });

  it("v5.18 warns and goes on; NR_FILE_DIRTY and the dirty tag keep the page for ever", async () => {
    const desk = await sandbox("v5.18", lose);
    const { k } = desk.world;
    expect(faults(desk).join()).toContain("ext4_warning: page 0 does not have buffers attached");
    expect(faults(desk).join()).not.toContain("BUG");
    expect(k.vmstat.nr_dirty[0]).toBe(1);
    expect(k.tagsWord(0) & 1).toBe(1);
  });
});
