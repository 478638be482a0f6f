/**
 * D1 of the proposals' reference: the five cases of pin_user_pages.rst, and which call is for whom. FOLL_PIN is of v5.6: on v4.20
 * every case takes a plain reference, and only longterm users have a call of their own. What each user calls is read from its linked
 * code.
 */
import { describe, expect, it } from "vitest";
import { vmsplice_to_pipe } from "../../src/kernel/fs/splice.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { explore } from "../../src/lab/explore.js";
import { HOLDERS, type StandardHolder } from "../../src/lab/workloads/holders.js";
import { read, store } from "../kernel/actors.js";
import { Hand, type Small, small } from "../kernel/harness.js";
import { anonymous, mlock, munlock } from "../kernel/processes.js";
import { type Listed, whole } from "./rows.js";

/** The outermost get_user_pages function that a holder's program calls. */
function acquires(name: StandardHolder): string[] {
  const { program, config, notifier } = HOLDERS[name];
  const notifiers = [{ driver: notifier, start: 0, nr: 1, pages: 0 }];
  const options: Small = { geometry: { dios: 2, notifiers, config: [...config, "rlimit"] } };
  const world = small(options, { holder: { path: program, args: [0, 1, 0], ends: true } });
  const found = new Set<string>();
  for (const { stack } of world.machine.code) {
    const call = stack.find((path) => path.startsWith("get_user_pages"));
    if (call) found.add(call);
  }
  return [...found];
}

/** What decides the call in v5.6 and later: whether the data is touched, how long, whether a notifier tells when to let go. */
interface User {
  readonly data: 0 | 1;
  readonly long: 0 | 1;
  readonly notifier: 0 | 1;
}

/** pin_user_pages.rst, as its test vectors have it. */
function callOf({ data, long, notifier }: User): string {
  if (data === 0) return "FOLL_GET";
  if (notifier === 1) return "neither";
  return long === 1 ? "FOLL_PIN, FOLL_LONGTERM" : "FOLL_PIN";
}

const user = (data: 0 | 1, long: 0 | 1 = 0, notifier: 0 | 1 = 0): User => ({ data, long, notifier });

/** Case of the document, user, what it is, what it asks for in v5.6 and later, and v4.20's call. */
const ROWS: readonly (readonly [number, StandardHolder, User, string, string])[] = [
  [1, "dio", user(1), "FOLL_PIN", "get_user_pages_fast"],
  [1, "aio", user(1), "FOLL_PIN", "get_user_pages_fast"],
  [1, "iomap", user(1), "FOLL_PIN", "get_user_pages_fast"],
  [2, "rdma", user(1, 1), "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_longterm"],
  [2, "vfio", user(1, 1), "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_longterm"],
  [2, "uring", user(1, 1), "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_longterm"],
  [2, "video", user(1, 1), "FOLL_PIN, FOLL_LONGTERM", "get_user_pages_locked"],
  [2, "xdp", user(1, 1), "FOLL_PIN, FOLL_LONGTERM", "get_user_pages"],
  [3, "amdgpu", user(1, 1, 1), "neither", "get_user_pages"],
  [5, "pvmw", user(1), "FOLL_PIN", "get_user_pages_locked"],
  [5, "mem", user(1), "FOLL_PIN", "get_user_pages"],
];

/** The calls of v4.20 that the users of some kind make. */
const callsOf = (of: (user: User) => boolean): string[] => [
  ...new Set(ROWS.filter(([, , each]) => of(each)).flatMap(([, name]) => acquires(name))),
];

const LISTED: Listed = {
  "ladder: GET for metadata":
    "FOLL_GET and FOLL_PIN exclude each other from v5.6 on; the vectors say the same",
  "ladder: PIN for data": "the same",
  "ladder: LONGTERM is stricter": "the same",
  "limit: false positives, no false negatives": "an aim of FOLL_PIN, v5.6; D5 has the numbers",
  "limit: struct page may not grow": "the same: v4.20 keeps nothing in it",
  "limit: a count per page": "the same",
  "limit: the caller opts in": "the same",
};

describe("D1: which call for whom", () => {
  for (const [number, name, is, later, now] of ROWS)
    it(`case ${number}, ${name}: ${later} in v5.6 and later; in v4.20 ${now}`, () => {
      expect(callOf(is)).toBe(later);
      expect(acquires(name)).toEqual([now]);
    });

  it("case 4, munlock: follow_page takes a plain reference, the flags of the page change, and it is put", () => {
    const options = anonymous(1, { config: ["mlock"] });
    const h = new Hand(small(options, { store: store(), mlock: mlock(0), munlock: munlock(0) }));
    h.go("store").go("mlock");
    lru_add_drain(h.k);
    const before = h.refs();
    const data = [...h.k.content.version];
    const found = new Set<string>();
    h.world.machine.watch = (_, at) => {
      for (const name of h.world.machine.code[at].stack)
        if (name.startsWith("get_user_pages")) found.add(name);
    };
    h.until("munlock", "follow_page").step("munlock");
    expect(h.refs()).toBe(before + 1);
    h.go("munlock");
    lru_add_drain(h.k);
    expect([h.refs(), h.has("mlocked"), [...h.k.content.version]]).toEqual([before, false, data]);
    expect([...found]).toEqual([]);
  });

  it("vmsplice keeps pages for any time and never pins them, then and now", () => {
    expect(acquires("vmsplice")).toEqual(["get_user_pages_fast"]);
  });

  it("vectors: v4.20 decides by nothing but time, and not always by that", () => {
    // (0,*,*): see case 4.
    expect(callOf(user(0))).toBe("FOLL_GET");
    const short = callsOf(({ data, long, notifier }) => data === 1 && long === 0 && notifier === 0);
    const long = callsOf(({ data, long, notifier }) => data === 1 && long === 1 && notifier === 0);
    const told = callsOf(({ data, notifier }) => data === 1 && notifier === 1);
    expect(short).toEqual(["get_user_pages_fast", "get_user_pages_locked", "get_user_pages"]);
    expect(long).toEqual(["get_user_pages_longterm", "get_user_pages_locked", "get_user_pages"]);
    expect(told).toEqual(["get_user_pages"]);
  });

  it("PIN by one and GET by another at once: two references like any other in v4.20", () => {
    const h = new Hand(
      small(
        { pages: 1, geometry: { dios: 4 } },
        {
          store: store(),
          read: read(0),
          splice: { path: vmsplice_to_pipe, args: [0, 1, 1, 2], ends: true },
        },
      ),
    );
    h.go("store");
    const before = h.refs();
    h.until("read", "submit_bio").go("splice");
    expect([h.refs() - before, h.k.page.pins[0]]).toEqual([2, 2]);
  });

  it("DAX and case 2: refused, but for AF_XDP, which asks get_user_pages and gets it", () => {
    const outcomes = (name: StandardHolder) => explore(`W9,holder=${name}`, { maxStates: 100_000 }).outcomes;
    const longterm = ROWS.filter(([number]) => number === 2).map(([, name]) => name);
    expect(longterm.map((name) => [name, outcomes(name).join()])).toEqual([
      ["rdma", "REFUSED"],
      ["vfio", "REFUSED"],
      ["uring", "REFUSED"],
      ["video", "REFUSED"],
      ["xdp", "OK"],
    ]);
  });

  whole(
    "D1",
    [
      ...[1, 2, 3, 4, 5].map((number) => `case ${number}`),
      ...Object.keys(LISTED),
      "PIN and GET at once",
      "DAX and case 2",
      "vector (0,*,*,*)",
      "vector (1,0,0,*)",
      "vector (1,1,0,*)",
      "vector (1,*,1,*)",
    ],
    [
      ...ROWS.map(([number]) => `case ${number}`),
      "case 4",
      "PIN and GET at once",
      "DAX and case 2",
      "vector (0,*,*,*)",
      "vector (1,0,0,*)",
      "vector (1,1,0,*)",
      "vector (1,*,1,*)",
    ],
    LISTED,
  );
});
