/** tso-refuse-2022, lameter-refuse-longterm-2019: get_user_pages says no, to everybody or to who holds pages for long. */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { FOLL, get_user_pages_fast } from "../../../src/kernel/mm/gup.js";
import { explore } from "../../../src/lab/explore.js";
import { store } from "../../kernel/actors.js";
import { ask } from "../../kernel/drivers/ask.js";
import { Hand, small } from "../../kernel/harness.js";
import { outcomes } from "./asked.js";

describe("tso-refuse-2022: -EOPNOTSUPP for every get_user_pages for writing of a file's page (Ts'o, 25 February 2022)", () => {
  it.each([
    "W1",
    "W1,holder=pvmw",
    "W2,holder=vfio",
    "W3",
    "W4",
    "W5",
    "W5,holder=dio",
    "W6",
    "W13",
    "W7,fs=ext4",
  ])("%s on v4.20: refused, and nothing else can happen", (name) => {
    expect(outcomes(name, "v4.20+tso-refuse-2022")).toBe("REFUSED");
  });

  it("W3 is what is left of it on 2026, where process_vm_writev still loses its write without it", () => {
    expect([outcomes("W3", "2026"), outcomes("W3", "2026+tso-refuse-2022")]).toEqual(["LOST", "REFUSED"]);
  });

  it.each(["W18", "W18,memory=anon", "W1,holder=vmsplice"])("%s goes on as before", (name) => {
    expect(outcomes(name, "v4.20+tso-refuse-2022")).toBe(outcomes(name, "v4.20"));
  });

  it("W7 on tmpfs is no matter of dirty tracking: the truncated page is written all the same", () => {
    expect(outcomes("W7", "2026+tso-refuse-2022")).toBe("STALE+REFUSED");
  });

  it("a fast walk over a writable PTE gives the page back, and the slow one refuses", () => {
    const answers: number[] = [];
    const write = ask(get_user_pages_fast, [0, 1, FOLL.WRITE, 0], answers);
    const h = new Hand(small({ kernel: "v4.20+tso-refuse-2022" }, { store: store(), write }));
    h.go("store");
    expect(h.pte()).toContain("w");
    const steps = h.trace("write", () => h.go("write"));
    expect(steps.slice(0, 5)).toEqual([
      "pte_read",
      "page_cache_get_speculative",
      "pte_val(pte) == pte_val(*ptep)",
      "fast_write_allowed",
      "put_page",
    ]);
    expect([answers, h.k.page.pins[0]]).toEqual([[-ERRNO.EOPNOTSUPP], 0]);
  });
});

describe("lameter-refuse-longterm-2019: what v6.5 refuses, on v4.20 (Lameter, 7 February 2019)", () => {
  it.each(["W4", "W5", "W6,holder=rdma", "W7,fs=ext4", "W5,holder=vfio", "W5,holder=video"])(
    "%s: refused, and nothing else can happen",
    (name) => {
      expect(outcomes(name, "v4.20+lameter-refuse-longterm-2019")).toBe("REFUSED");
    },
  );

  it.each(["W1", "W3", "W5,holder=xdp"])(
    "%s: short pins, and long ones that do not say so, are as before",
    (name) => {
      const bound = name === "W1" ? 400_000 : 500_000;
      const of = (kernel: string) => explore(name, { kernel, maxStates: bound }).outcomes;
      expect(of("v4.20+lameter-refuse-longterm-2019")).toEqual(of("v4.20"));
    },
  );

  it("W9: fsdax is refused as before, after its pages were taken for a moment", () => {
    expect(outcomes("W9", "v4.20+lameter-refuse-longterm-2019")).toBe("REFUSED");
  });

  it("memory of tmpfs can be registered", () => {
    expect(outcomes("W18,holder=rdma", "v4.20+lameter-refuse-longterm-2019")).toBe("OK");
  });

  it.each(["v5.2", "v6.1", "v6.4"])("%s with it refuses W4 as v6.5 does", (kernel) => {
    expect(outcomes("W4", `${kernel}+lameter-refuse-longterm-2019`)).toBe(outcomes("W4", "v6.5"));
  });
});
