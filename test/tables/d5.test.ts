/**
 * D4 and D5 of the proposals' reference: the arithmetic of references and pins, and what page_maybe_dma_pinned answers. FOLL_PIN and
 * its bias are of v5.7: on v4.20 the rows about pins say what the same reference count would mean there, which is what the
 * page view prints.
 */
import { describe, expect, it } from "vitest";
import { FOLL } from "../../src/kernel/mm/gup.js";
import { get_page, page_count, page_ref_add } from "../../src/kernel/mm/page.js";
import { page_maybe_dma_pinned } from "../../src/trace/words.js";
import { disk, dma, read } from "../kernel/actors.js";
import { Hand, small } from "../kernel/harness.js";

const BIAS = 1024;

/** Plain references, pins, the count, the answer, the truth. */
const SMALL: readonly (readonly [plain: number, pins: number, count: number, answer: boolean])[] = [
  [1, 0, 1, false],
  [3, 0, 3, false],
  [1023, 0, 1023, false],
  [1024, 0, 1024, true],
  [1, 1, 1025, true],
  [0, 1, 1024, true],
  [5000, 0, 5000, true],
  [1, 2097151, 2147482625, true],
  [1024, 2097151, 2147483648, true],
  [0, 2097152, 2147483648, true],
  [2, -1, -1022, true],
];

/** Rows that guplab's v4.20 cannot express, and why. */
const LATER: readonly (readonly [row: string, reason: string])[] = [
  ["large folio, p=0, r=5000", "pincount of large folios came with v5.7"],
  ["large folio, p=1", "the same"],
  ["grab at r <= 0 gives -ENOMEM", "v4.20's get_page does not look; the check came with v5.1"],
  ["P2PDMA without its flag gives -EREMOTEIO", "v6.2"],
  ["PIN and unpin of small, large and zero pages", "v5.6, v5.7, v6.5"],
  ["folio_add_pin", "v6.5"],
];

describe("D5: page_maybe_dma_pinned of a small page", () => {
  for (const [plain, pins, count, answer] of SMALL)
    it(`${plain} plain, ${pins} pins: ${count} references, ${answer ? "yes" : "no"}`, () => {
      expect(plain + pins * BIAS).toBe(count);
      expect(page_maybe_dma_pinned(count)).toBe(answer);
      // Wrong answers: "yes" without a pin is possible, "no" with one is not.
      if (pins > 0) expect(answer).toBe(true);
    });
});

describe("D4 on v4.20", () => {
  it("GET n: n references more, and put gives them back", () => {
    const h = new Hand(small({ pages: 1 }, { read: read(0), dma: dma(0), disk }));
    const before = page_count(h.k, 0);
    for (let n = 0; n < 5; n++) get_page(h.k, 0);
    expect(page_count(h.k, 0)).toBe(before + 5);
    page_ref_add(h.k, 0, -5);
    expect(page_count(h.k, 0)).toBe(before);
  });

  it("a driver's reference is one like any other: nothing of it is in the count", () => {
    const h = new Hand(small({ pages: 1 }, { read: read(0), dma: dma(0), disk }));
    h.past("read", "submit_bio");
    // cache, buffers, PTE, gup
    expect([h.refs(), page_maybe_dma_pinned(h.refs())]).toEqual([4, false]);
  });

  it("the other rows are of later kernels: v4.20 has no FOLL_PIN", () => {
    expect(Object.keys(FOLL)).not.toContain("PIN");
    expect(LATER.map(([, reason]) => /v[56]\.\d|the same/.test(reason))).toEqual(LATER.map(() => true));
  });
});
