import { describe, expect, test } from "vitest";
import { Film } from "../../../src/lab/player/film.js";
import { memoryHash } from "../../../src/lab/player/hash.js";
import { hasBuffers, momentAt } from "../../../src/lab/player/moment.js";
import { run } from "../../../src/lab/run.js";
import { open } from "../../../src/lab/world.js";

/** The shortest way to the article's crash. */
const SHORTEST = "kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4";
const shortest = run(SHORTEST);

describe("a film of a run", () => {
  test("stands at the end of its run, with the same memory", () => {
    const film = new Film(shortest);
    expect(film.tick).toBe(63);
    expect(film.length).toBe(63);
    expect(memoryHash(film.world.k.memory)).toBe(memoryHash(shortest.world.k.memory));
  });

  test("every moment is the one that a machine comes to which makes as many steps, whichever way it is come to", () => {
    const film = new Film(shortest);
    const world = open("kara-2018", { kernel: "v4.20" });
    const hashes = [memoryHash(world.k.memory)];
    for (const task of shortest.world.schedule) {
      world.step(task);
      hashes.push(memoryHash(world.k.memory));
    }
    for (const tick of [0, 63, 31, 32, 30, 5, 62, 1]) {
      film.goTo(tick);
      expect(memoryHash(film.world.k.memory)).toBe(hashes[tick]);
    }
  });

  test("beyond an end is at it", () => {
    const film = new Film(shortest);
    film.goTo(-3);
    expect(film.tick).toBe(0);
    film.goTo(1000);
    expect(film.tick).toBe(63);
  });

  test("a step of one's own takes the place of what the run did from there", () => {
    const film = new Film(shortest);
    film.goTo(20);
    const flusher = film.world.letters.indexOf("f");
    film.take(flusher);
    expect(film.length).toBe(21);
    expect(film.world.replay).toBe("kara-2018@v4.20:r13k6r1f1");
    expect(memoryHash(run(film.world.replay).world.k.memory)).toBe(memoryHash(film.world.k.memory));
  });

  test("a task goes on until it cannot, or sleeps, or something goes wrong", () => {
    const film = new Film(shortest);
    film.goTo(0);
    const reader = film.world.letters.indexOf("r");
    film.takeOn(reader);
    expect(film.world.enabled(reader) && !film.world.machine.paused(reader)).toBe(false);
    expect(film.world.replay).toBe("kara-2018@v4.20:r15");
    film.goTo(0);
    for (const task of shortest.world.schedule.slice(0, 59)) film.take(task);
    film.takeOn(film.world.letters.indexOf("f"));
    expect(film.world.faults.map(({ kind }) => kind)).toEqual(["WARN", "BUG"]);
    expect(film.world.replay).toBe(SHORTEST);
  });

  test("a step that cannot be made changes nothing", () => {
    const film = new Film(shortest);
    film.goTo(20);
    expect(() => film.take(film.world.letters.indexOf("d"))).toThrow(/disk cannot move/);
    expect(film.tick).toBe(20);
    expect(film.length).toBe(63);
  });

  test("a run in which somebody says something is one", () => {
    const said = run("sandbox@v4.20:[A store 0]A5");
    const film = new Film(said);
    film.goTo(0);
    film.goTo(6);
    expect(memoryHash(film.world.k.memory)).toBe(memoryHash(said.world.k.memory));
  });

  test("a run of a seed and many steps is one", () => {
    const long = run("kara-2018@v4.20:seed=4,steps=100");
    expect(memoryHash(new Film(long).world.k.memory)).toBe(memoryHash(long.world.k.memory));
  });
});

describe("the hash of a memory", () => {
  test('is FNV-1a of 64 bits: the empty text, and "foobar" (the authors\' test vectors)', () => {
    const of = (text: string) => memoryHash({ buffer: new TextEncoder().encode(text).buffer } as never);
    expect(of("")).toBe("cbf29ce484222325");
    expect(of("foobar")).toBe("85944171f73967e8");
  });

  test("differs after every step of the crash", () => {
    const film = new Film(shortest);
    const hashes = new Set<string>();
    for (let tick = 0; tick <= film.length; tick++) {
      film.goTo(tick);
      hashes.add(memoryHash(film.world.k.memory));
    }
    expect(hashes.size).toBe(64);
  });
});

describe("a moment", () => {
  const film = new Film(shortest);
  const at = (tick: number) => momentAt(film, tick, true);

  test("before the first step nobody has moved, and nothing has changed", () => {
    const { made, pages, tasks, faults } = at(0);
    expect(made).toBeNull();
    expect(faults).toEqual([]);
    expect(pages.map(({ pfn, changed }) => [pfn, changed])).toEqual([[0, []]]);
    expect(tasks.map(({ name }) => name)).toEqual(["reader", "kswapd", "flusher", "disk", "dma"]);
  });

  test("after the last step the flusher is dead, of a page that is dirty without buffers", () => {
    const { made, pages, tasks, faults } = at(63);
    expect(made?.task).toBe("flusher");
    expect(made?.faults.map(({ kind }) => kind)).toEqual(["BUG"]);
    expect(tasks[2].state).toBe("dead");
    expect(pages[0].dirty.id).toBe("no_buffers");
    expect(faults.map(({ kind }) => kind)).toEqual(["WARN", "BUG"]);
  });

  test("who holds the page adds up to its reference count, in every one", () => {
    for (let tick = 0; tick <= film.length; tick++)
      for (const { refcount, holders } of at(tick).pages)
        expect(holders.reduce((sum, { references }) => sum + references, 0)).toBe(refcount);
  });

  test("what has changed is what is not as it was a step earlier", () => {
    const stripped = Array.from({ length: 63 }, (_, tick) => at(tick + 1)).find(({ made }) =>
      made?.step.includes("try_to_free_buffers"),
    );
    expect(stripped?.pages[0].changed).toEqual(
      expect.arrayContaining(["refcount", "holders", "flags", "buffers", "words"]),
    );
    expect(stripped?.pages[0].changed).not.toContain("pte");
    expect(stripped?.pages[0].words[5].owned).toBe(false);
  });

  test("what is lost, or in the wrong place, is told besides the faults, from the step on that makes it so", () => {
    const stale = new Film(run("trunc-cache,fs=ext4@v4.20+gunthorpe-fail-truncate-2018:p20t1p2t15m1t8"));
    const losses = (tick: number) => momentAt(stale, tick, true).losses;
    expect(losses(46)).toEqual([]);
    expect(losses(47).map(({ kind }) => kind)).toEqual(["STALE"]);
    expect(losses(47)[0].says).toMatch(/^pfn 0 was written after/);
  });

  test("who waits for ever is told at the end, and not in a film that somebody has cut short", () => {
    const hang = run("half-page,holder=dio@v4.20+hubbard-mkclean-2018:p11f3a2p4m3p1f1a2");
    const film = new Film(hang);
    expect(momentAt(film, film.length, true).losses.map(({ kind }) => kind)).toEqual(["HANG", "HANG"]);
    expect(film.report().outcomes).toEqual(hang.outcomes);
    film.goTo(20);
    film.cut();
    expect(momentAt(film, 20, true).losses).toEqual([]);
  });

  test("of a file in memory the lack of buffers is no alarm", () => {
    const tmpfs = run("kara-2018-tmpfs", { seed: 1 });
    expect(hasBuffers(tmpfs.recording)).toBe(false);
    expect(hasBuffers(shortest.recording)).toBe(true);
    const quiet = new Film(tmpfs);
    for (let tick = 0; tick <= quiet.length; tick += 5)
      for (const { dirty } of momentAt(quiet, tick, false).pages) expect(dirty.id).not.toBe("no_buffers");
  });
});
