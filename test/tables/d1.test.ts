/**
 * D1 of the proposals' reference: the five cases of pin_user_pages.rst, and which call is for whom. FOLL_PIN is of v5.6: on v4.20
 * every case takes a plain reference, and only longterm users have a call of their own. What each user calls is read from its linked
 * code.
 */
import { describe, expect, it } from "vitest";
import { HOLDERS, type HolderName } from "../../src/lab/workloads/holders.js";
import { type Small, small } from "../kernel/harness.js";

/** The outermost get_user_pages function that a holder's program calls. */
function acquires(name: HolderName): string[] {
  const { program, config } = HOLDERS[name];
  const options: Small = { geometry: { dios: 2, config: [...config, "rlimit"] } };
  const world = small(options, { holder: { path: program, args: [0, 1, 0], ends: true } });
  const found = new Set<string>();
  for (const { stack } of world.machine.code) {
    const call = stack.find((path) => path.startsWith("get_user_pages"));
    if (call) found.add(call);
  }
  return [...found];
}

/** Case of the document, user, what it asks for in v5.6 and later, and v4.20's call. */
const ROWS: readonly (readonly [number, HolderName, string, string])[] = [
  [1, "dio", "FOLL_PIN", "get_user_pages_fast"],
  [1, "aio", "FOLL_PIN", "get_user_pages_fast"],
  [1, "iomap", "FOLL_PIN", "get_user_pages_fast"],
  [2, "rdma", "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_longterm"],
  [2, "vfio", "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_longterm"],
  [2, "uring", "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_longterm"],
  [2, "video", "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_locked"],
  [2, "xdp", "FOLL_PIN, FOLL_LONGTERM", "get_user_pages"],
  [3, "amdgpu", "neither", "get_user_pages"],
  [5, "pvmw", "FOLL_PIN", "get_user_pages_locked"],
  [5, "mem", "FOLL_PIN", "get_user_pages"],
];

/** Rows that nothing here stands for. */
const WITHOUT: Readonly<Record<number, string>> = {
  4: "users that only look at struct page (futex, uprobes): they neither write nor keep pages, and guplab has none",
};

describe("D1: which call for whom", () => {
  for (const [number, name, later, call] of ROWS)
    it(`case ${number}, ${name}: ${later} in v5.6 and later; in v4.20 ${call}`, () => {
      expect(acquires(name)).toEqual([call]);
    });

  it("vmsplice keeps pages for any time and never pins them, then and now", () => {
    expect(acquires("vmsplice")).toEqual(["get_user_pages_fast"]);
  });

  it("every case has a row, or a reason", () => {
    const cases = new Set([...ROWS.map(([number]) => number), ...Object.keys(WITHOUT).map(Number)]);
    expect([...cases].sort()).toEqual([1, 2, 3, 4, 5]);
  });
});
