/**
 * Reclaim that does not unmap pinned pages, as it was posted in July 2018, as its comment promises, and as Jan Kara answered: what each leaves of the
 * article's crash.
 */
import { describe, expect, it } from "vitest";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { explore, type Verdict } from "../../../src/lab/explore.js";
import { disk, dma, flusher, old, read, reclaim, store } from "../../kernel/actors.js";
import { Hand, small } from "../../kernel/harness.js";

const search = (scenario: string, patches: string): Verdict =>
  explore(scenario, { kernel: `v4.20+${patches}`, maxStates: 5_000_000 });

/** Steps of the shortest way to a BUG, or null. */
const bug = ({ shortest }: Verdict): number | null =>
  shortest.find(({ kind }) => kind === "BUG")?.steps ?? null;

/** At which step of a witness a task makes the nth step of a name in a path, counted from 0; -1 where it does not. */
const at = ({ steps }: Verdict, task: string, path: string, step: string, nth = 1): number => {
  const all = steps.flatMap((each, nr) =>
    each.task === task && each.path === path && each.step === step ? [nr] : [],
  );
  return all[nth - 1] ?? -1;
};

describe("hubbard-ttu-2018 (patch 6/6 of 20180702005654.20369, as posted)", () => {
  const verdict = search("kara-2018", "hubbard-ttu-2018");

  it("crashes still: the pin comes between the question and the cleared PTE", () => {
    expect(bug(verdict)).toBe(73);
    const asked = at(verdict, "kswapd", "try_to_unmap", "PageDmaPinned");
    const pinned = verdict.steps.findLastIndex(
      ({ task, step }) => task === "reader" && step === "follow_page_pte",
    );
    const unmapped = at(verdict, "kswapd", "try_to_unmap", "ptep_clear_flush");
    expect(asked).toBeGreaterThan(0);
    expect(pinned).toBeGreaterThan(asked);
    expect(unmapped).toBeGreaterThan(pinned);
  });

  it("spares a page that was pinned before: its way to the crash is longer than v4.20's", () => {
    const without = explore("kara-2018", { kernel: "v4.20", maxStates: 5_000_000 });
    expect(bug(without)).toBeLessThan(73);
  });

  it("does nothing about an O_DIRECT write of the file, which strips pages without unmapping them by reclaim", () => {
    const stripped = search("W1,strip=diowrite", "hubbard-ttu-2018");
    expect(bug(stripped)).toBe(bug(explore("W1,strip=diowrite", { kernel: "v4.20" })));
  });

  it("asks before a driver that watches the PTEs is told: of a GPU's page in 600,000 states and 256 walks nothing crashes, where v4.20 does", () => {
    const met = (kernel: string) =>
      (explore("W1,holder=amdgpu", { kernel, maxStates: 600_000 }).met ?? []).map(({ kind }) => kind);
    expect(met("v4.20")).toContain("BUG");
    expect(met("v4.20+hubbard-ttu-2018")).not.toContain("BUG");
  });

  it("nor about writeback: fsync loses what a device wrote (W5), a sum does not match (W6)", () => {
    expect(search("W5", "hubbard-ttu-2018").outcomes).toEqual(["LOST"]);
    expect(search("W6", "hubbard-ttu-2018").outcomes).toEqual(["TORN"]);
  });
});

describe("hubbard-ttu-serialised-2018: the question and the cleared PTE are one", () => {
  it("crashes still, by pageout, which gives the page lock away: the page is pinned and cleaned there", () => {
    const verdict = search("kara-2018", "hubbard-ttu-serialised-2018");
    expect(bug(verdict)).toBe(107);
    // It was not pinned when it was unmapped.
    const unmapped = at(verdict, "kswapd", "try_to_unmap", "ptep_clear_flush");
    const away = at(verdict, "kswapd", "ext4_bio_write_page", "unlock_page");
    const pinned = verdict.steps.findLastIndex(
      ({ task, step }) => task === "reader" && step === "follow_page_pte",
    );
    const stripped = at(verdict, "kswapd", "ext4_releasepage", "try_to_free_buffers");
    expect(unmapped).toBeGreaterThan(0);
    expect(away).toBeGreaterThan(unmapped);
    expect(pinned).toBeGreaterThan(away);
    expect(stripped).toBeGreaterThan(pinned);
  });

  it("is safe where ext4 has no writepage for pageout: nothing else is left, the lockless fast walk neither", () => {
    expect(search("kara-2018", "hubbard-ttu-serialised-2018+ext4-no-writepage").verdict).toBe("safe");
  });

  it("which does not help the patch as posted", () => {
    expect(bug(search("kara-2018", "hubbard-ttu-2018+ext4-no-writepage"))).toBe(73);
  });
});

describe("kara-ttu-2018: unmap first, ask then (20180702101542.fi7ndfkg5fpzodey)", () => {
  it("crashes still: a pinned page that lost its PTEs at one meeting is asked about at no later one", () => {
    const verdict = search("kara-2018", "kara-ttu-2018+ext4-no-writepage");
    expect(bug(verdict)).toBe(78);
    const spared = at(verdict, "kswapd", "shrink_page_list", "PageDmaPinned");
    expect(spared).toBeGreaterThan(0);
    expect(at(verdict, "kswapd", "shrink_page_list", "PageDmaPinned", 2)).toBe(-1);
    expect(at(verdict, "kswapd", "ext4_releasepage", "try_to_free_buffers")).toBeGreaterThan(spared);
  });

  it.each(["nothing else", "truncate"] as const)(
    "spares a page that it has just unmapped, on a machine with: %s",
    (option) => {
      const kept = (kernel: string): boolean => {
        const h = new Hand(
          small(
            { kernel, geometry: { config: option === "nothing else" ? [] : [option] } },
            { store: store(), read: read(1), dma: dma(1), flusher, again: flusher, disk, reclaim: reclaim() },
          ),
        );
        h.go("store").go("flusher").go("disk").until("read", "dio_await_completion");
        // The pin has made it dirty: it is written again, and nobody has used the PTE since.
        h.go("again").go("disk").clear(["referenced", "active"]);
        old(h);
        lru_add_drain(h.k);
        h.go("reclaim");
        expect([h.pte(), h.k.page.pins[0]]).toEqual(["none", 1]);
        return h.has("private");
      };
      expect([kept("v4.20"), kept("v4.20+kara-ttu-2018")]).toEqual([false, true]);
    },
  );

  it("what was merged in v6.4 asks about every page, and it needs pageout to be gone as well", () => {
    const merged = "v5.14+keep-private-of-pinned";
    expect(bug(explore("W1,holder=pvmw", { kernel: merged }))).toBe(104);
    expect(explore("W1,holder=pvmw", { kernel: `${merged}+ext4-no-writepage` }).verdict).toBe("safe");
  });
});
