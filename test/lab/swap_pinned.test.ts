/** swap-pinned on v4.20: what a search over every interleaving says of a pinned page of anonymous memory that reclaim wants to swap out. */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { HOLDERS } from "../../src/lab/workloads/holders.js";
import { applySchedule, open, parseReplay } from "../../src/lab/world.js";

const outcomes = (scenario: string) => explore(scenario, { maxStates: 600_000 }).outcomes;

describe("a page that was taken for writing", () => {
  for (const holder of Object.keys(HOLDERS))
    it(`${holder}: nothing is lost and nothing is parted, whether it dirties or not: only pageout cleans, and it does not write what is held`, () => {
      // A graphics job looks for its pages ten times, and kswapd can take them ten times (amdgpu_cs_parser_bos: -EDEADLK). udmabuf has files only.
      const refused = ["amdgpu", "udmabuf"].includes(holder);
      expect(outcomes(`swap-pinned,holder=${holder}`)).toEqual([refused ? "REFUSED" : "OK"]);
    });

  it("nor is anything torn for good: a device that writes while the page is being written leaves a dirty page", () => {
    expect(outcomes("swap-pinned,holder=uring,parts=2,slots=1")).toEqual(["OK"]);
  });

  it("a store of the process meanwhile does not part them either: it is the only one whose PTE shows the page", () => {
    // Refused: the two faults at one entry, below.
    expect(outcomes("swap-pinned,touch=writes,slots=1")).toEqual(["REFUSED"]);
  });

  it("a fork alone does not (W11 is a fork and a store)", () => {
    expect(outcomes("swap-pinned,fork=yes,slots=1")).toEqual(["OK"]);
  });
});

describe("a page that was taken for reading, and is written", () => {
  it("it was swapped out before, is clean in the swap cache, and its bytes go with it", () => {
    expect(outcomes("swap-pinned,holder=reader")).toEqual(["LOST"]);
  });

  it("set_page_dirty before the reference is dropped is what keeps them", () => {
    expect(outcomes("swap-pinned,holder=reader_dirties")).toEqual(["OK"]);
  });

  it("a swap area that is more than half used keeps them too: who faults the page back takes its place away, and makes it dirty (vm_swap_full)", () => {
    expect(outcomes("swap-pinned,holder=reader,slots=1")).toEqual(["OK"]);
  });
});

describe("a page that was taken for reading, and is stored into by its process", () => {
  it("the store goes into the page that the reader has: reuse_swap_page counts PTEs and entries", () => {
    expect(outcomes("swap-pinned,holder=vmsplice,touch=writes,slots=1")).toEqual(["REFUSED"]);
  });

  it("on a disk that needs stable pages a store during the swap-out copies it, and the reader has the old one", () => {
    expect(outcomes("swap-pinned,holder=vmsplice,touch=writes,swap=stable,slots=1")).toEqual([
      "STALE",
      "REFUSED",
    ]);
  });
});

describe("two faults at one swap entry", () => {
  it("get_user_pages gives -ENOMEM with memory to spare: the entry was free when it looked, and was the page's again when it compared the PTE", () => {
    const { shortest } = explore("swap-pinned,holder=rdma,touch=reads,slots=1", { maxStates: 600_000 });
    const { scenario, schedule } = parseReplay(shortest[0].replay);
    const world = open(scenario, { record: false });
    applySchedule(world, schedule);
    expect(world.k.faults.map(({ message }) => message)).toEqual(["ib_umem_get: -ENOMEM"]);
    expect(world.k.pgdat.free[0]).not.toBe(0);
  });
});
