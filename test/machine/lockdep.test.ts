/** lockdep: which lock orders the code has, and the reports. */
import { describe, expect, it } from "vitest";
import { lockClass } from "../../src/machine/lock.js";
import { lockdep, lockReportText } from "../../src/machine/lockdep.js";
import type { Running } from "../../src/machine/machine.js";
import { kind, pathLanguage } from "../../src/machine/path.js";
import { link } from "../../src/machine/program.js";

const a = lockClass("a", "sleeping");
const b = lockClass("b", "sleeping");
const page = lockClass("page", "sleeping", true);
const spin = lockClass("spin", "spin");

const words = pathLanguage<Running>();
const { path, step, wait, when, given, call, label, goto, leave, local } = words;
const { down_write, up_write, under, takes, tries, gives, awaits, lockdep_assert_not_held } = words;

const int = kind<number>("int");
const work = step<object>("work", () => {});
const lock = (which: typeof a) => down_write<object>(which, () => 0);
const unlock = (which: typeof a) => up_write<object>(which, () => 0);
const lock_page = takes(
  page,
  wait<object>("lock_page", () => true),
);
const trylock_page = (nodes: ReturnType<typeof step<object>>[]) =>
  tries(
    page,
    when<object>("trylock_page", () => true, nodes),
  );
const unlock_page = gives(
  page,
  step<object>("unlock_page", () => {}),
);

const order = (...roots: Parameters<typeof link>[0]) => {
  const { edges, reports } = lockdep(link(roots));
  return {
    edges: edges.map(({ held, taken }) => `${held.name} ${taken.name}`).sort(),
    reports: reports.map(lockReportText),
  };
};

describe("orders", () => {
  it("are those of nested acquisitions", () => {
    const p = path("p", { source: "a test" }, [lock(a), lock(b), work, unlock(b), unlock(a)]);
    expect(order(p)).toEqual({ edges: ["a b"], reports: [] });
  });

  it("two tasks that take two locks in both orders are reported with both stacks, though no run has hung", () => {
    const inner = path("inner", { source: "a test" }, [lock(a), unlock(a)]);
    const p = path("p", { source: "a test" }, [lock(a), lock(b), work, unlock(b), unlock(a)]);
    const q = path("q", { source: "a test" }, [lock(b), call(() => inner, {}), unlock(b)]);
    expect(order(p, q).reports).toEqual([
      [
        "possible circular locking dependency: a -> b -> a",
        "  b is taken at p, step down_read(b)",
        "    while a is held since p, step down_read(a)",
        "  a is taken at q > inner, step down_read(a)",
        "    while b is held since q, step down_read(b)",
      ]
        .join("\n")
        .replaceAll("down_read", "down_write"),
    ]);
  });

  it("a trylock is taken last without an order, but what is taken under it has one", () => {
    const p = path("p", { source: "a test" }, [
      lock(a),
      trylock_page([lock(b), unlock(b), unlock_page]),
      unlock(a),
    ]);
    expect(order(p).edges).toEqual(["a b", "page b"]);
  });

  it("waiting for what somebody must do first counts as an acquisition", () => {
    const p = path("p", { source: "a test" }, [
      lock_page,
      awaits(
        b,
        wait("wait", () => true),
      ),
      unlock_page,
    ]);
    const q = path("q", { source: "a test" }, [lock(b), lock_page, unlock_page, unlock(b)]);
    expect(order(p, q).reports).toHaveLength(1);
  });

  it("who takes a lock that somebody else gives back sleeps for it, and does not hold it (down_read_non_owner)", () => {
    const { down_read_non_owner, up_read_non_owner } = words;
    const start = path("start", { source: "a test" }, [
      lock(b),
      down_read_non_owner<object>(a, () => 0),
      unlock(b),
    ]);
    const end = path("end", { source: "a test" }, [up_read_non_owner<object>(a, () => 0)]);
    const p = path("p", { source: "a test" }, [
      call(() => start, {}),
      lock(b),
      unlock(b),
      call(() => end, {}),
      lock(a),
      unlock(a),
    ]);
    expect(order(p)).toEqual({ edges: ["b a"], reports: [] });
  });

  it("several locks of a nesting class are no report, twice the same of another is", () => {
    const pages = path("pages", { source: "a test" }, [lock_page, lock_page, unlock_page, unlock_page]);
    expect(order(pages).reports).toEqual([]);
    const twice = path("twice", { source: "a test" }, [lock(a), lock(a), unlock(a), unlock(a)]);
    expect(order(twice).reports).toHaveLength(1);
  });
});

describe("sleeping where one must not", () => {
  it("a wait under a spinlock is reported, also inside a call", () => {
    const sleeper = path("sleeper", { source: "a test" }, [lock_page, unlock_page]);
    const p = path("p", { source: "a test" }, [work, under(spin, [work, call(() => sleeper, {})])]);
    expect(order(p).reports).toEqual([
      "sleeping function called from invalid context: may sleep under spin\n  p > sleeper, step lock_page",
    ]);
  });

  it("a trylock is allowed there", () => {
    const p = path("p", { source: "a test" }, [under(spin, [trylock_page([unlock_page])])]);
    expect(order(p).reports).toEqual([]);
  });
});

describe("ways that no run takes", () => {
  it("a lock taken and given back under the same condition is balanced", () => {
    const p = path("p", { source: "a test", locals: { locked: int } }, [
      local((_, f) => {
        f.locked = 1;
      }),
      given((_, f) => f.locked === 1, [lock_page as never]),
      lock(a),
      unlock(a),
      given((_, f) => f.locked === 1, [unlock_page as never]),
      lock(b),
      unlock(b),
    ]);
    expect(order(p).edges).toEqual(["page a"]);
  });

  it("a path that returns locked or not needs an assertion where the caller tells them apart", () => {
    const maybe = path("maybe", { source: "a test", returns: int }, [
      lock_page,
      when("gone", () => false, [unlock_page, leave(() => 1)]),
    ]);
    const caller = (asserted: boolean) =>
      path("caller", { source: "a test", locals: { gone: int } }, [
        label("again"),
        lock(a),
        call(() => maybe, {}, "gone"),
        given(
          (_, f) => f.gone === 1,
          [...(asserted ? [lockdep_assert_not_held<{ gone: number }>(page)] : []), unlock(a), goto("again")],
        ),
        unlock_page,
        unlock(a),
      ]);
    expect(order(caller(false)).edges).toContain("page a");
    expect(order(caller(true)).edges).toEqual(["a page"]);
  });
});
