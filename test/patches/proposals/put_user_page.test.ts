/**
 * The conversion of call sites (LWN, 12 December 2018, "DMA and get_user_pages()"): a site that is missed is counted wrongly for ever, and Andrew Morton's
 * question, how anybody would know that none is.
 */
import { describe, expect, it } from "vitest";
import { type BoxOptions, sandboxOf } from "../../../src/lab/box.js";
import { explore } from "../../../src/lab/explore.js";
import { pathsBelow } from "../../../src/lab/paths.js";
import { open } from "../../../src/lab/world.js";
import { anchorsOf } from "../../../src/machine/patch.js";
import { findKernel } from "../../../src/patches/kernels.js";
import { SITES } from "../../../src/patches/proposals/put_user_page.js";
import { dma_pinned_count } from "../../../src/patches/proposals/tracking.js";
import { allPaths } from "../all_paths.js";

type Box = ReturnType<typeof sandboxOf>;

/** Each user of get_user_pages once: takes a page, uses it, puts it. */
const USERS: Readonly<Record<string, readonly [Omit<BoxOptions, "kernel">, (box: Box) => void]>> = {
  "direct-io": [{}, (box) => box.pread(0, 1)],
  rdma: [{}, (box) => [box.rdma_reg(0, 1), box.rdma_dereg()]],
  odp: [{ driver: "odp" }, (box) => box.odp_write(0)],
  vfio: [{}, (box) => [box.vfio_map(0, 1), box.vfio_unmap()]],
  "io-uring": [{ fs: "hugetlbfs" }, (box) => [box.uring_reg(0, 1), box.uring_unreg()]],
  xdp: [{}, (box) => [box.xdp_reg(0, 1), box.xdp_free()]],
  video: [{}, (box) => [box.video_qbuf(0, 1), box.video_free()]],
  i915: [{ driver: "i915", pages: 1 }, (box) => [box.store(0), box.i915_exec(), box.i915_free()]],
  amdgpu: [
    { driver: "amdgpu", pages: 1 },
    (box) => [box.amdgpu_userptr(), box.amdgpu_cs(), box.amdgpu_free()],
  ],
  "proc-mem": [{}, (box) => box.mem(0, 1)],
  "process-vm": [{}, (box) => box.pvmw(0, 1)],
  // A pipe of two pages has no room for the third.
  vmsplice: [{ pages: 2 }, (box) => [box.vmsplice(0, 1), box.vmsplice(0, 2)]],
  benchmark: [{}, (box) => box.gup_benchmark(0, 1)],
  drivers: [{}, (box) => [box.gup(0, 1), box.unpin()]],
};

/** Let every task make what steps it can, but for who would never end. */
function settle(box: Box): void {
  for (let rounds = 0; rounds < 200; rounds++)
    for (const { name } of box.world.machine.tasks)
      if (!["card", "kswapd"].includes(name) && box.world.enabled(taskOf(box, name))) box.step(name, 1);
}
const taskOf = (box: Box, name: string): number =>
  box.world.machine.tasks.findIndex((task) => task.name === name);

function used(user: string, kernel: string): Box {
  const [options, orders] = USERS[user];
  const box = sandboxOf({ ...options, kernel });
  orders(box);
  settle(box);
  return box;
}
const warned = ({ world }: Box) => world.k.faults.filter(({ message }) => message.includes("PageGup"));
/** The counts that are not those of the arrays. */
const drift = ({ world: { k } }: Box): number[] =>
  [...k.of(dma_pinned_count).dma_pinned_count].map((count, page) => count - k.page.pins[page]);

const ASSERTS = "v4.20+morton-assertion-2018";
const COUNTS = "v4.20+kara-count-2018";
const misses = (user: string, kernel: string) => kernel.replace("+", `+put-user-page-misses-${user}+`);

describe("the sweep", () => {
  it("has a test for each user", () => {
    expect(Object.keys(USERS).sort()).toEqual(SITES.map(({ name }) => name).sort());
  });

  it("leaves no path with an array of pages that puts by put_page, but for those that are named with a reason", () => {
    const { patched } = findKernel("v4.20+hubbard-put-user-page-2018");
    const lab = [
      ...["forget", "twice", "late", "never", "early", "partial", "death", "put"].map(
        (how) => `W14,how=${how}`,
      ),
      "sandbox",
      "W15",
    ]
      .flatMap((name) => open(name).scenario.setup(open(name).parameters).tasks)
      .flatMap(({ path }) => [...pathsBelow(path)]);
    const left = [...allPaths(), ...lab].map(patched).filter((path) => {
      const { pages } = path.args as Record<string, { kind: string }>;
      return pages?.kind === "pages" && anchorsOf(path).includes("put_page");
    });
    expect([...new Set(left.map(({ name }) => name))].sort()).toEqual([
      // get_user_pages itself; the first is so since v5.2.
      "__gup_longterm_locked",
      "get_user_pages_longterm",
      "gup_pte_range",
      // The sandbox's put, and W14's how=put.
      "put_pages",
      "puts",
      // Takes its pages from the cache.
      "release_udmabuf",
      "udmabuf_create",
    ]);
  });

  it("is brought by a tracking, whole, unless the kernel's name says how far it has come", () => {
    const sites = (kernel: string) =>
      findKernel(kernel).patches.filter(({ name }) => name.startsWith("put-user-page-of-")).length;
    expect(sites(COUNTS)).toBe(SITES.length);
    expect(sites("v4.20+hubbard-ttu-2018")).toBe(SITES.length);
    expect(sites("v4.20+put-user-page-in-part+put-user-page-of-rdma+kara-count-2018")).toBe(1);
    expect(sites(misses("rdma", COUNTS))).toBe(SITES.length - 1);
  });
});

describe.each(Object.keys(USERS))("%s", (user) => {
  it("converted, its pages are counted right", () => {
    expect(drift(used(user, COUNTS)).filter((count) => count !== 0)).toEqual([]);
  });

  it("missed, its page is counted as pinned for ever", () => {
    expect(Math.max(...drift(used(user, misses(user, COUNTS))))).toBeGreaterThan(0);
  });
});

describe("what is done with a count that is too high", () => {
  /** The page is clean and nobody has it any more; reclaim looks at it as often as it likes. */
  const reclaimed = (kernel: string): Box => {
    const box = sandboxOf({ pages: 1, kernel });
    box.rdma_reg(0, 1);
    box.rdma_dereg();
    box.writeback();
    settle(box);
    for (let times = 0; times < 5; times++) box.reclaim();
    return box;
  };
  const POLICY = "v4.20+hubbard-ttu-serialised-2018";

  it("hubbard-ttu-serialised-2018: reclaim never gets the page back", () => {
    expect(reclaimed(POLICY).world.k.page.mapping[0]).toBe(0);
    const { k } = reclaimed(misses("rdma", POLICY)).world;
    expect([k.page.mapping[0], k.page.pins[0]]).toEqual([1, 0]);
  });

  it("the next page of that frame is taken for pinned, although nobody ever pinned it", () => {
    const box = reclaimed(misses("rdma", COUNTS));
    expect([box.world.k.page.mapping[0], drift(box)[0]]).toEqual([0, 1]);
    box.load(0);
    settle(box);
    expect([box.world.k.page.mapping[0] > 0, box.world.k.page.pins[0], drift(box)[0]]).toEqual([true, 0, 1]);
  });
});

describe("Morton's assertion", () => {
  it.each(Object.keys(USERS))("%s: says nothing when it is converted, and warns when it is not", (user) => {
    expect(warned(used(user, ASSERTS))).toEqual([]);
    expect(warned(used(user, misses(user, ASSERTS)))).toHaveLength(1);
  });

  it("says nothing in any order of a machine whose users are all converted", () => {
    for (const workload of ["W2,holder=aio", "W2,holder=rdma", "W2,holder=pvmw", "W11", "W15", "W16"]) {
      const { complete, outcomes } = explore(workload, { kernel: ASSERTS });
      expect([workload, complete, outcomes.includes("WARN")]).toEqual([workload, true, false]);
    }
  });

  it("accuses somebody else where he holds a reference at the time: of i915 and amdgpu, the flusher", () => {
    for (const user of ["i915", "amdgpu"])
      expect(warned(used(user, misses(user, ASSERTS))).map(({ path }) => path)).toEqual([
        "mpage_prepare_extent_to_map",
      ]);
  });

  it("warns of every read of a pipe, whoever is converted: W2 with vmsplice", () => {
    const { shortest } = explore("W2,holder=vmsplice", { kernel: ASSERTS });
    expect(shortest.map(({ kind }) => kind)).toEqual(["WARN"]);
  });

  it("does not find a second pin that is put by put_page: the first put_user_page has cleared the bit", () => {
    const box = sandboxOf({ kernel: ASSERTS });
    const arrays = [box.gup(0, 1, "write", 0), box.gup(0, 1, "write", 1)];
    expect(arrays.every(({ result }) => result === 1)).toBe(true);
    box.unpin(0);
    box.put(1);
    settle(box);
    expect([warned(box), box.world.k.page.pins[0]]).toEqual([[], 0]);
    // The other way round it does.
    const found = sandboxOf({ kernel: ASSERTS });
    found.gup(0, 1, "write", 0);
    found.put(0);
    settle(found);
    expect(warned(found)).toHaveLength(1);
  });

  it("does not find pages that nobody puts: W14", () => {
    const { complete, outcomes } = explore("W14,how=forget", { kernel: ASSERTS });
    expect([complete, outcomes]).toEqual([true, ["LEAK"]]);
  });

  it("finds W14's driver that puts with put_page what it has pinned, in every order", () => {
    expect(explore("W14,how=put", { kernel: ASSERTS }).outcomes).toEqual(["WARN"]);
  });
});
