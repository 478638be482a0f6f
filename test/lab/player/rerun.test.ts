import { describe, expect, test } from "vitest";
import {
  choiceOf,
  kernelOfChoice,
  kernelOptions,
  proposalOptions,
  refusals,
  rerun,
} from "../../../src/lab/player/rerun.js";
import { run } from "../../../src/lab/run.js";
import { kernels } from "../../../src/patches/kernels.js";
import { proposals } from "../../../src/patches/proposals/index.js";

/** Seed 4 of the article's crash. */
const RECORDED = "kara-2018@v4.20:r15f12d4k20f1k19f1k8m3r7k9f4k17r6";

describe("what can be chosen", () => {
  test("every kernel and every proposal, with what it is", () => {
    expect(kernelOptions).toEqual(kernels.map(({ name, help }) => ({ name, help })));
    expect(proposalOptions.map(({ name }) => name)).toEqual(proposals.map(({ name }) => name));
  });

  test("what a replay line has chosen", () => {
    expect(choiceOf(RECORDED)).toEqual({ kernel: "v4.20", added: "", seed: null });
    const two = choiceOf("W1@v4.20+hubbard-lru-2018+kara-keep-mapped-2018:p1");
    expect(two).toEqual({ kernel: "v4.20", added: "hubbard-lru-2018+kara-keep-mapped-2018", seed: null });
    expect(kernelOfChoice(two)).toBe("v4.20+hubbard-lru-2018+kara-keep-mapped-2018");
  });

  test("every proposal runs on v4.20 where the article's crash is", () => {
    for (const { name } of proposals) {
      const { run: made, order } = rerun(RECORDED, { kernel: "v4.20", added: name, seed: null });
      expect(made.world.kernel.name).toBe(`v4.20+${name}`);
      expect(order).toMatch(/^(In the recorded order|The recorded order does not fit)/);
    }
  });
});

describe("a run once more", () => {
  test("as recorded it is the same", () => {
    const { run: made, order } = rerun(RECORDED, choiceOf(RECORDED));
    expect(made.replay).toBe(RECORDED);
    expect(order).toBe("In the recorded order.");
  });

  test("a kernel in which nothing of it has changed takes the order", () => {
    const { run: made, order } = rerun(RECORDED, { kernel: "v5.2", added: "", seed: null });
    expect(made.outcomes).toEqual(["BUG", "HANG", "WARN"]);
    expect(order).toBe("In the recorded order, which fits.");
  });

  test("a kernel whose steps are others is run by a seed, and the sentence says at which step the order failed", () => {
    const { run: made, order } = rerun(RECORDED, { kernel: "v6.4", added: "", seed: null });
    expect(made.outcomes).toEqual(["OK"]);
    expect(made.replay).toBe(run("kara-2018", { kernel: "v6.4", seed: 4 }).replay);
    expect(order).toBe(
      "The recorded order does not fit v6.4 (at step 81, dma cannot move: it waits in dma_iomap, step blk_peek_request): this is the order of seed 4.",
    );
  });

  test("an order that ends before the run does goes on by a seed", () => {
    const { run: made, order } = rerun("kara-2018@v4.20:r13", { kernel: "v5.2", added: "", seed: null });
    expect(made.finished).toBe(true);
    expect(order).toBe(`In the recorded order, which fits; ${made.steps - 13} more steps by seed 4.`);
    expect(made.world.schedule.slice(0, 13)).toEqual(Array(13).fill(0));
  });

  test("a seed is a run of that seed, on whatever kernel", () => {
    const { run: made, order } = rerun(RECORDED, { kernel: "v5.18", added: "", seed: 7 });
    expect(made.replay).toBe(run("kara-2018", { kernel: "v5.18", seed: 7 }).replay);
    expect(order).toBe("In the order of seed 7.");
  });

  test("what does not apply is known beforehand: nothing on v4.20, and what needs its steps on v6.4", () => {
    expect(refusals("kara-2018", "v4.20")).toEqual([]);
    const refused = refusals("kara-2018", "v6.4");
    expect(refused).toContain("hubbard-lru-2018");
    expect(refused.length).toBeLessThan(proposals.length);
  });

  test("what does not apply is said in a sentence", () => {
    expect(() => rerun(RECORDED, { kernel: "v6.4", added: "hubbard-lru-2018", seed: null })).toThrow(
      /hubbard-lru-2018 does not apply/,
    );
  });
});
