/**
 * D5 of the proposals' reference: what page_maybe_dma_pinned answers, by the numbers of plain references and pins. v4.20 has plain references only, and
 * nobody asks: there the same count is what the page view prints. From v5.7 on the question is the kernel's: each row is asked on every kernel that
 * has it, of a page with that count.
 */
import { describe, expect, it } from "vitest";
import { ib_umem_get, ib_umem_release } from "../../src/kernel/drivers/infiniband.js";
import { get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { get_page } from "../../src/kernel/mm/page.js";
import { FS } from "../../src/kernel/operations.js";
import { countersOf } from "../../src/lab/run.js";
import { pageView } from "../../src/lab/views.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import {
  page_maybe_dma_pinned as asked,
  compound_pincount,
  unpin,
} from "../../src/patches/track_foll_pin.js";
import { GUP_PIN_COUNTING_BIAS, refs_maybe_dma_pinned } from "../../src/trace/words.js";
import { store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { Hand, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

const BIAS = GUP_PIN_COUNTING_BIAS;
const INT_MAX = 2 ** 31 - 1;

/** Plain references, pins, the count, the answer, the class. */
const SMALL: readonly (readonly [
  row: string,
  plain: number,
  pins: number,
  count: number,
  answer: boolean,
  what: string,
])[] = [
  ["1 plain", 1, 0, 1, false, "true negative"],
  ["3 plain", 3, 0, 3, false, "true negative"],
  ["1023 plain", 1023, 0, 1023, false, "true negative, the last"],
  ["1024 plain", 1024, 0, 1024, true, "false positive"],
  ["1 plain, 1 pin", 1, 1, 1025, true, "true positive"],
  ["1 pin", 0, 1, 1024, true, "true positive: the last pin holds the page"],
  ["5000 plain", 5000, 0, 5000, true, "false positive: looks like four pins"],
  ["1 plain, 2097151 pins", 1, 2097151, 2147482625, true, "true positive, below the sign"],
  ["1024 plain, 2097151 pins", 1024, 2097151, 2147483648, true, "true positive: the comparison is unsigned"],
  ["2097152 pins", 0, 2097152, 2147483648, true, "true positive: one pin too many without plain ones"],
  [
    "put_page of a pin",
    1 - 1,
    1,
    1024,
    true,
    "false positive for ever: a plain reference was put for the pin",
  ],
  ["unpin of a get", 2, -1, -1022, true, "false positive: the count is below zero"],
];

const LISTED: Listed = {
  "32 bit: order 1 has the bias":
    "guplab's pages are those of a 64-bit kernel; there order 1 has the bias up to v5.17: see D4",
};

/** The kernels in which a pin can be told from a reference. */
const asking = kernels
  .map(({ name }) => name)
  .filter((kernel) => findKernel(kernel).patches.some(({ name }) => name === "track-foll-pin"));

/** A region of a whole compound page of four page frames, which nobody has pinned yet. */
const large = (kernel: string): Hand =>
  new Hand(
    small(
      {
        kernel,
        cached: false,
        pages: 4,
        fs: FS.hugetlbfs,
        filePages: 4,
        geometry: { hugePages: 1, hugeOrder: 2, config: ["compound"], dioPages: 4 },
      },
      { store: store(0), pin: ask(ib_umem_get, [0, 4, 1, 0]), unpin: ask(ib_umem_release, [0, 4, 1, 0]) },
    ),
  ).go("store");

describe("D5: page_maybe_dma_pinned of a small page", () => {
  for (const [row, plain, pins, count, answer, what] of SMALL)
    it(`${row}: ${count} references, ${answer ? "yes" : "no"} (${what})`, () => {
      expect(plain + pins * BIAS).toBe(count);
      expect(refs_maybe_dma_pinned(count)).toBe(answer);
      // Wrong answers: "yes" without a pin is possible, "no" with one is not.
      if (pins > 0) expect(answer).toBe(true);
      expect(what.startsWith(`${answer === pins > 0} ${answer ? "positive" : "negative"}`)).toBe(
        row !== "put_page of a pin",
      );
    });

  it("v4.20's pages have the plain counts of the table, and nothing in them says pin", () => {
    for (const [, plain, pins, count, answer] of SMALL) {
      if (pins !== 0) continue;
      const { k } = small({ pages: 1 }, { store: store() });
      while (k.page._refcount[0] < plain) get_page(k, 0);
      expect([k.page._refcount[0], k.page.pins[0]]).toEqual([count, 0]);
      expect(refs_maybe_dma_pinned(k.page._refcount[0])).toBe(answer);
      expect(k.faults).toEqual([]);
    }
  });

  it("false negative: only by releasing one pin twice while there is another", () => {
    const two = 1 + 2 * BIAS;
    expect(refs_maybe_dma_pinned(two - BIAS)).toBe(true);
    expect(refs_maybe_dma_pinned(two - 2 * BIAS)).toBe(false);
  });

  it("threshold: 1024 plain references are needed for a wrong yes", () => {
    const wrong = Array.from({ length: 2000 }, (_, plain) => plain).filter(refs_maybe_dma_pinned);
    expect(wrong[0]).toBe(1024);
  });

  it("most pins of a small page: 2097151, for up to 1023 plain references", () => {
    const most = (plain: number) => Math.floor((INT_MAX - plain) / BIAS);
    expect([0, 1, 1023, 1024].map(most)).toEqual([2097151, 2097151, 2097151, 2097150]);
  });

  it("before there was an exact count: 4095 full pins of 2 MiB fit, 7 of 1 GiB; with it 8191", () => {
    const full = (pages: number, each: number) => Math.floor(INT_MAX / (pages * each));
    const gib = 2 ** 18;
    expect([full(512, BIAS), full(gib, BIAS), full(gib, 1)]).toEqual([4095, 7, 8191]);
  });

  it.each(asking)(
    "the rows on %s: a page with that count is asked, and the next one who comes is refused past 2^31",
    (kernel) => {
      for (const [row, , , count, answer] of SMALL) {
        const answers: number[] = [];
        const h = new Hand(
          small(
            { kernel, pages: 1 },
            { store: store(), get: ask(get_user_pages_fast, [0, 1, 1, 0], answers) },
          ),
        ).go("store");
        h.k.page._refcount[0] = count;
        expect([row, asked(h.k, 0)]).toEqual([row, answer]);
        h.go("get");
        const overflown = count < 0 || count > INT_MAX;
        expect([row, answers[0] > 0]).toEqual([row, !overflown]);
        expect([row, h.faults().length]).toEqual([row, overflown ? 1 : 0]);
      }
    },
  );

  it.each(asking)("false negative on %s: one pin released twice while there is another", (kernel) => {
    const { k } = small({ kernel, pages: 1 }, { store: store() });
    k.page._refcount[0] = 1 + 2 * BIAS;
    unpin(k, 0);
    expect(asked(k, 0)).toBe(true);
    unpin(k, 0);
    expect(asked(k, 0)).toBe(false);
  });

  it.each(asking)(
    "large on %s: 5000 plain references are no pin, one pin is, whatever the references",
    (kernel) => {
      const { k } = large(kernel).world;
      k.page._refcount[0] = 5000;
      expect([0, 1, 3].map((page) => asked(k, page))).toEqual([false, false, false]);
      k.of(compound_pincount).compound_pincount[0] = 1;
      expect([0, 1, 3].map((page) => asked(k, page))).toEqual([true, true, true]);
    },
  );

  it.each(asking)(
    "vmstat on %s: at rest as many are released as acquired, each page frame of a compound page for itself",
    (kernel) => {
      const h = large(kernel);
      const counts = () => {
        const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(h.world);
        return [nr_foll_pin_acquired, nr_foll_pin_released];
      };
      h.go("pin");
      expect([counts(), asked(h.k, 0)]).toEqual([[4, 0], true]);
      h.go("unpin");
      expect([counts(), asked(h.k, 0)]).toEqual([[4, 4], false]);
    },
  );

  it("large: the page view says what the kernel says, and before v5.7 what the count would say", () => {
    const shown = (kernel: string, pins: number) => {
      const { world } = large(kernel);
      world.k.page._refcount[0] = 5000;
      if (pins > 0) world.k.of(compound_pincount).compound_pincount[0] = pins;
      return pageView(world, 0).maybe_dma_pinned;
    };
    expect([shown("v5.6", 0), shown("v5.7", 0), shown("v5.7", 1)]).toEqual([true, false, true]);
  });

  const formulas = ["false negative", "threshold", "most pins", "2 MiB and 1 GiB before the exact count"];
  whole(
    "D5",
    [
      "1 plain",
      "3 plain",
      "1023 plain",
      "1024 plain",
      "1 plain, 1 pin",
      "1 pin",
      "5000 plain",
      "1 plain, 2097151 pins",
      "1024 plain, 2097151 pins",
      "2097152 pins",
      "put_page of a pin",
      "unpin of a get",
      "large, 5000 plain",
      "large, 1 pin",
      "false negative",
      "threshold",
      "most pins",
      "2 MiB and 1 GiB before the exact count",
      "vmstat: acquired and released",
      "32 bit: order 1 has the bias",
    ],
    [
      ...SMALL.map(([row]) => row),
      "large, 5000 plain",
      "large, 1 pin",
      "vmstat: acquired and released",
      ...formulas,
    ],
    LISTED,
  );
});
