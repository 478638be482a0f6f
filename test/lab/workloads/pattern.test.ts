/** Pin patterns: what each call does, on machines small enough to be explored to the end. */
import { describe, expect, it } from "vitest";
import { explore } from "../../../src/lab/explore.js";
import { run } from "../../../src/lab/run.js";
import { driverCalls, overputs, whyNoPattern } from "../../../src/lab/workloads/pattern.js";
import { open } from "../../../src/lab/world.js";

const DIRTIES = "get_user_pages_fast+dma_map_sg+wait+dma_unmap_sg+set_page_dirty_lock+put_page";
const outcomes = (scenario: string, pattern: string, kernel = "v4.20") => {
  const verdict = explore(`${scenario},holder=${pattern}`, { kernel });
  expect(verdict.complete).toBe(true);
  return verdict.outcomes;
};

describe("a pattern is what the driver is from which it is taken", () => {
  const same = (holder: string, pattern: string, kernel: string, scenarios: readonly string[]) => {
    for (const scenario of scenarios)
      expect([scenario, outcomes(scenario, pattern, kernel)]).toEqual([
        scenario,
        outcomes(scenario, holder, kernel),
      ]);
  };
  it("video capture: set_page_dirty_lock and put_page", () => {
    same("video", DIRTIES, "v4.20", ["W2", "W5", "W6"]);
  });
  it("VFIO: long-term pages and SetPageDirty, which no flusher finds", () => {
    const vfio = "get_user_pages_longterm+dma_map_sg+wait+dma_unmap_sg+SetPageDirty+put_page";
    same("vfio", vfio, "v4.20", ["W2", "W5", "W6"]);
    expect(outcomes("W2", vfio)).toEqual(["LOST"]);
  });
  it("RDMA of v6.12: long-term pins by the fast walk, refused for a file that tracks dirty pages (v6.5)", () => {
    const rdma =
      "pin_user_pages_fast(FOLL_WRITE|FOLL_LONGTERM)+dma_map_sg+wait+dma_unmap_sg+unpin_user_pages_dirty_lock";
    same("rdma", rdma, "v6.12", ["W1", "W2", "W5", "W6"]);
    expect(outcomes("W1", rdma, "v6.12")).toEqual(["REFUSED"]);
    expect(outcomes("W9", rdma, "v6.12")).toEqual(["REFUSED"]);
  });
});

describe("what a driver leaves out shows", () => {
  it("who marks nothing dirty loses what the device wrote after the flusher had cleaned the page", () => {
    expect(outcomes("W2", DIRTIES)).toEqual(["OK"]);
    expect(outcomes("W2", DIRTIES.replace("+set_page_dirty_lock", ""))).toEqual(["LOST"]);
  });
  it("who takes pages for reading and lets the device write can have a page that page_mkwrite never saw", () => {
    expect(outcomes("W2", DIRTIES.replace("fast+", "fast()+"))).toContain("WARN");
  });
  it("who does not let go leaks the page", () => {
    expect(outcomes("W2", "get_user_pages_fast+dma_map_sg+wait+dma_unmap_sg")).toContain("LEAK");
  });
  it("who lets go while the device still writes has it write into a page that was freed", () => {
    expect(outcomes("W2", "get_user_pages_fast+dma_map_sg+put_page+wait+dma_unmap_sg")).toContain("UAF");
  });
  it("put_page of a pin leaves 1,023 references since v5.7, and did not matter before", () => {
    const mixed = "pin_user_pages_fast+dma_map_sg+wait+dma_unmap_sg+put_page";
    expect(outcomes("W2", mixed, "v5.6")).not.toContain("LEAK");
    expect(outcomes("W2", mixed, "v5.7")).toContain("LEAK");
  });
  it("the CPU's copy through the kernel's mapping is lost like a device's", () => {
    expect(outcomes("W2", "get_user_pages_fast+wait+memcpy_to_page+put_page")).toEqual(["LOST"]);
    expect(outcomes("W2", "get_user_pages_fast+wait+memcpy_to_page+set_page_dirty_lock+put_page")).toEqual([
      "OK",
    ]);
  });
  it("set_page_dirty without the page lock races with truncation, and the kernel warns (F9)", () => {
    const unlocked = DIRTIES.replace("set_page_dirty_lock", "set_page_dirty");
    expect(outcomes("W7,fs=ext4", unlocked)).toEqual(["STALE", "WARN", "REFUSED"]);
    expect(outcomes("W7,fs=ext4", DIRTIES)).toEqual(["STALE", "REFUSED"]);
  });
  it("unpin_user_page says nothing of dirt, unpin_user_pages_dirty_lock does", () => {
    const pins = "pin_user_pages_fast+dma_map_sg+wait+dma_unmap_sg";
    expect(outcomes("W2", `${pins}+unpin_user_page`, "v6.12")).toEqual(["LOST"]);
    expect(outcomes("W2", `${pins}+unpin_user_pages_dirty_lock`, "v6.12")).toEqual(["OK"]);
  });
});

describe("a pattern in a line", () => {
  it("is the whole driver: its replay line runs anywhere", () => {
    const { shortest } = explore(`W6,holder=${DIRTIES}`);
    const [{ kind, replay }] = shortest;
    expect(kind).toBe("TORN");
    expect(replay).toContain(`holder=${DIRTIES}@v4.20:`);
    expect(run(replay).outcomes).toEqual(["TORN"]);
  });
  it("that is none is told with what would be right", () => {
    expect(() => open("W1,holder=get_user_pages_fasty+put_page")).toThrow(
      'holder of scenario dio-reclaim: there is no call "get_user_pages_fasty" for a driver; known: get_user_pages_fast,',
    );
    expect(() => open("W1,holder=dioo")).toThrow(
      /is one of dio, aio, .*, a driver's calls with \+ between them, not dioo$/,
    );
    expect(whyNoPattern("put_page+put_page")).toBe(
      "a driver that begins with put_page has no pages yet: get_user_pages_fast, get_user_pages_longterm or pin_user_pages_fast comes first",
    );
    expect(whyNoPattern("get_user_pages_fast(FOLL_PIN)")).toBe(
      "get_user_pages_fast knows no flag FOLL_PIN: it is get_user_pages_fast(FOLL_WRITE), or get_user_pages_fast() to read only",
    );
    expect(whyNoPattern("get_user_pages_fast+wait(1)")).toBe("wait takes no flags");
    expect(whyNoPattern("get_user_pages_fast+pin_user_pages_fast")).toBe(
      "a driver has one list of pages, and takes them once: pin_user_pages_fast comes too late",
    );
  });
  it("every call that is listed is one", () => {
    for (const call of Object.keys(driverCalls()))
      expect(whyNoPattern(call.includes("(") ? call : `get_user_pages_fast+${call}`)).toBe(null);
  });
  it("overputs: twice, or as what it is not", () => {
    expect(overputs(DIRTIES)).toBe(false);
    expect(overputs(`${DIRTIES}+put_page`)).toBe(true);
    expect(overputs("get_user_pages_fast+unpin_user_page")).toBe(true);
    expect(overputs("pin_user_pages_fast+unpin_user_page")).toBe(false);
  });
});
