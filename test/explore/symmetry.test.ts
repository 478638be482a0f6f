import { describe, expect, it } from "vitest";
import type { Explorable, Faces } from "../../src/explore/engine.js";
import { type SearchOptions, type SearchResult, search } from "../../src/explore/search.js";
import { type Renaming, rename } from "../../src/explore/symmetry.js";
import { explore } from "../../src/lab/explore.js";
import { scenarios } from "../../src/lab/scenarios.js";
import { open, type World } from "../../src/lab/world.js";
import { Random } from "../../src/machine/random.js";
import { watched } from "../../src/machine/watch.js";
import type { FaultKind } from "../../src/trace/recording.js";
import { counters } from "./counters.js";
import { naiveSearch } from "./naive.js";

const everything: SearchOptions = { maxStates: 1e9, progress: () => true };

const SWAPPED: Renaming = {
  tasks: [1, 0],
  cells: [
    { from: 0, to: 1, says: null },
    { from: 1, to: 0, says: null },
  ],
};

const alike =
  (faces: Faces): Faces =>
  (watch) => ({ ...faces(watch), renamings: () => [SWAPPED] });

/** Two counters and a flag: what a step of each task does to them, and what is wrong when. */
function flagged(
  steps: readonly ((cells: Uint32Array) => void)[],
  first: number,
  wrong: (cells: Uint32Array) => boolean = () => false,
): Faces {
  const bytes = new Uint32Array([0, 0, first]);
  const cells = [0, 1, 2].map((row) => ({ column: bytes, row }));
  return (watch) => {
    const live = watch === null ? bytes : watched(bytes, 0, watch);
    const machine: Explorable = {
      ...counters(1)(null),
      tasks: steps.length,
      state: bytes,
      cells,
      enabled: (task) => (task < 2 ? live[task] < 3 : live[2] === 1),
      step: (task) => {
        steps[task](live);
        return [];
      },
      questions: [() => (wrong(live) ? "LOST" : null)],
      renamings: () => [{ ...SWAPPED, tasks: [1, 0, ...steps.slice(2).map((_, at) => 2 + at)] }],
    };
    return machine;
  };
}

describe("a machine whose states can be counted by hand", () => {
  it("has (n + 1)(n + 2) / 2 states up to the exchange of its counters, which stand for all (n + 1)^2", () => {
    for (const top of [1, 2, 7, 30]) {
      const result = search(alike(counters(top)), { ...everything, symmetric: true, fingerprint: true });
      const plain = search(counters(top), { ...everything, fingerprint: true });
      expect(result).toMatchObject({
        complete: true,
        states: ((top + 1) * (top + 2)) / 2,
        depth: 2 * top,
        fingerprint: plain.fingerprint,
        symmetry: { alike: [[0, 1]], states: plain.states, transitions: plain.transitions },
        asymmetry: null,
      });
      expect(plain.symmetry).toBeNull();
    }
  });

  it("is searched as it is where nobody asks for symmetry, and where there is none", () => {
    expect(search(alike(counters(5)), everything)).toMatchObject({ states: 36, symmetry: null });
    expect(search(counters(5), { ...everything, symmetric: true })).toMatchObject({
      states: 36,
      symmetry: null,
      asymmetry: null,
    });
  });

  for (const where of ["step", "state"] as const) {
    it(`the witness of a fault of a ${where} is a run of the machine's own tasks`, () => {
      const result = search(alike(counters(5, where)), { ...everything, symmetric: true });
      const [{ schedule }] = result.witnesses;
      expect(schedule).toHaveLength(10);
      const replayed = counters(5, where)(null);
      let last: readonly (FaultKind | null)[] = [];
      for (const task of schedule) {
        expect(replayed.enabled(task)).toBe(true);
        last = [...replayed.step(task), ...replayed.questions.map((question) => question())];
      }
      expect(last.filter((kind) => kind !== null)).toEqual(["BUG"]);
    });
  }
});

describe("steps that see too much to be learned", () => {
  const wide = 200;

  it("are compared each time that they run, and the witness leads through them", () => {
    const result = search(alike(counters(wide)), { ...everything, symmetric: true });
    expect(result).toMatchObject({
      states: ((wide + 1) * (wide + 2)) / 2,
      symmetry: { states: (wide + 1) ** 2 },
    });
    const [{ schedule }] = result.witnesses;
    const replayed = counters(wide)(null);
    const faults = schedule.map((task) => (replayed.enabled(task) ? replayed.step(task) : ["it cannot"]));
    expect(faults.flat()).toEqual(["BUG"]);
  });

  it("are found out where they differ, however late", () => {
    const faces = alike(counters(wide));
    const late: Faces = (watch) => {
      const machine = faces(watch);
      const [{ column }] = machine.cells;
      const count = watch === null ? column : watched(column, 0, watch);
      return {
        ...machine,
        step: (task) => {
          const kinds = machine.step(task);
          return task === 1 && count[0] === wide - 1 && count[1] === wide - 1 ? ["WARN"] : kinds;
        },
      };
    };
    const { asymmetry, ...result } = search(late, { ...everything, symmetric: true });
    expect(asymmetry).toMatchObject({ tasks: [0, 1] });
    expect(result).toMatchObject({ states: (wide + 1) ** 2, symmetry: null });
  });
});

describe("a renaming that changes something", () => {
  const plus =
    (task: number, by: number, more: (cells: Uint32Array) => void = () => {}) =>
    (cells: Uint32Array): void => {
      cells[task] += by;
      more(cells);
    };
  const refused = (faces: Faces): SearchResult => {
    const result = search(faces, { ...everything, symmetric: true });
    const { asymmetry, ...plain } = result;
    const { asymmetry: none, ...without } = search(faces, everything);
    expect(none).toBeNull();
    expect(plain).toEqual(without);
    expect(asymmetry).not.toBeNull();
    return result;
  };

  it("is refused where one task's step does something else, and the search is the one without", () => {
    const { asymmetry } = refused(flagged([plus(0, 1), plus(1, 2)], 0));
    expect(asymmetry).toMatchObject({ tasks: [0, 1], task: 0 });
  });

  it("is refused where only one of them writes, also when it writes what was there at first sight", () => {
    const up = plus(0, 1, (cells) => {
      cells[2] = 1;
    });
    const clear = (cells: Uint32Array): void => {
      cells[2] = 0;
    };
    refused(flagged([up, plus(1, 1), clear], 1));
  });

  it("is refused where only one of them looks at something that is not so at first sight", () => {
    const up = plus(0, 1, (cells) => {
      if (cells[2] === 0) cells[0] = 3;
    });
    const clear = (cells: Uint32Array): void => {
      cells[2] = 0;
    };
    refused(flagged([up, plus(1, 1), clear], 1));
  });

  it("is refused where a question tells the tasks apart", () => {
    const { asymmetry, witnesses } = refused(flagged([plus(0, 1), plus(1, 1)], 0, ([count]) => count === 2));
    expect(asymmetry).toMatchObject({ task: -1 });
    expect(witnesses.map(({ kind }) => kind)).toEqual(["LOST"]);
  });
});

/** The scenarios in which holders can have the same pages, as two and three of them do. */
const SHARED = scenarios
  .filter(({ parameters }) => "buffer" in parameters && "drivers" in parameters)
  .map(({ name }) => name)
  // Its second driver is no task.
  .filter((name) => name !== "no-revoke");

const renamingsOf = (world: World): readonly Renaming[] => world.faces(null).renamings();

/** Walk at random; in each state and for each renaming: what renamed tasks do to the renamed state is what it becomes, renamed. Gives how often not. */
function broken(world: World, renamings: readonly Renaming[], steps: number, seed: number): number {
  const machine = world.faces(null);
  const { state, cells, tasks } = machine;
  const random = new Random(seed);
  let wrong = 0;
  const first = state.slice();
  for (let made = 0; made < steps; made++) {
    const here = state.slice();
    const able = Array.from({ length: tasks }, (_, task) => task).filter((task) => machine.enabled(task));
    if (able.length === 0) {
      state.set(first);
      continue;
    }
    for (const { tasks: names, cells: moved } of renamings) {
      for (let task = 0; task < tasks; task++) {
        state.set(here);
        const can = machine.enabled(task);
        const faults = can ? machine.step(task) : [];
        rename(moved, cells);
        const expected = state.slice();
        state.set(here);
        rename(moved, cells);
        if (machine.enabled(names[task]) !== can) {
          wrong++;
          continue;
        }
        const there = can ? machine.step(names[task]) : [];
        if (there.join() !== faults.join() || state.some((word, at) => word !== expected[at])) wrong++;
      }
    }
    state.set(here);
    machine.step(able[random.below(able.length)]);
  }
  state.set(first);
  return wrong;
}

describe("tasks of scenarios that are exchanged", () => {
  for (const name of SHARED)
    it(`${name}: whatever two or three holders of the same pages do, they do in each other's place`, () => {
      for (const drivers of [2, 3]) {
        const world = open(`${name},drivers=${drivers},buffer=shared`, { record: false });
        const renamings = renamingsOf(world);
        expect(renamings).toHaveLength(drivers === 2 ? 1 : 5);
        expect(broken(world, renamings, 120, drivers)).toBe(0);
      }
    });

  it("a renaming that forgets one of its cells is found out, whichever cell it is of those that matter", () => {
    const world = open("trunc-dax,drivers=2,buffer=shared", { record: false });
    const [whole] = renamingsOf(world);
    const memory = world.machine.memory.cells();
    const first = memory.map(({ column, row }) => column[row]);
    /** Cells that come to hold something else, and in whose place another one or another name has to be. */
    const matter = new Set<number>();
    world.explore({
      ...everything,
      visit: (_, { packing, current }) => {
        packing.unpack(current);
        for (const { from, to, says } of whole.cells) {
          const { column, row } = memory[from];
          const value = column[row];
          if (value !== first[from] && (from !== to || says?.(value) !== value)) matter.add(from);
        }
      },
    });
    const mattering = whole.cells.filter(({ from }) => matter.has(from));
    const forgotten = new Set(
      mattering.map(({ from }) => `${memory[from].struct.name} ${memory[from].field}`),
    );
    expect([...forgotten].sort()).toEqual([
      "kernel_stack word",
      "page locked_by",
      "task_struct pc",
      "user_page page",
      "user_pages nr",
      "user_pages state",
    ]);
    const faces =
      (left: Renaming): Faces =>
      (watch) => ({ ...world.faces(watch), renamings: () => [left] });
    for (const each of mattering) {
      const left = {
        ...whole,
        cells: whole.cells.filter((other) => other !== each && other.to !== each.from),
      };
      const { asymmetry } = search(faces(left), { ...everything, symmetric: true });
      const { struct, field, row } = memory[each.from];
      expect({ struct: struct.name, field, row, found: asymmetry !== null }).toMatchObject({ found: true });
    }
  });

  it("holders with pages of their own are not, nor is anybody in the middle of a run in which they differ", () => {
    expect(renamingsOf(open("kara-2018,drivers=2", { record: false }))).toEqual([]);
    const world = open("kara-2018,drivers=2,buffer=shared", { record: false });
    world.step(0);
    expect(renamingsOf(world)).toEqual([]);
  });
});

/** Small enough to be searched in full, with and without. */
const CONFIGURATIONS: readonly (readonly [scenario: string, kernel: string])[] = [
  ...[
    "kara-2018-tmpfs,drivers=3",
    "kara-2018-private,drivers=2",
    "kara-2018-quiet,drivers=2",
    "control,drivers=4",
    "control,drivers=2,pages=2",
    "control,drivers=2,holder=vfio",
    "trunc-dax,drivers=3",
    "trunc-dax,drivers=2,fs=xfs_dax",
    "trunc-dax,drivers=2,holder=vfio",
    "trunc-cache,drivers=2",
    "trunc-cache,drivers=2,holder=mem",
    "trunc-cache,drivers=2,holder=aio",
    "write-during-wb,drivers=2,holder=mem",
    "reg-dax,drivers=3",
    "dio-flusher,drivers=2,holder=mem",
  ].map((scenario) => [`${scenario},buffer=shared`, "v4.20"] as const),
  ...["kara-2018-private", "trunc-dax", "control", "hole-full"].map(
    (scenario) => [`${scenario},drivers=2,buffer=shared`, "v6.12"] as const,
  ),
];

describe("a search with symmetry", () => {
  for (const [scenario, kernel] of CONFIGURATIONS)
    it(`${scenario} on ${kernel}: finds what the one without finds, in as few steps, and stands for its states`, () => {
      const world = open(scenario, { kernel, record: false });
      const asked = { ...everything, fingerprint: true };
      const plain = world.explore(asked);
      const result = world.explore({ ...asked, symmetric: true });
      const kinds = ({ witnesses }: SearchResult): string[] =>
        witnesses.map(({ kind, schedule }) => `${kind} in ${schedule.length}`).sort();
      expect(kinds(result)).toEqual(kinds(plain));
      const { states, transitions } = result.symmetry ?? result;
      expect({ states, transitions }).toEqual({ states: plain.states, transitions: plain.transitions });
      expect(result.fingerprint).toBe(plain.fingerprint);
      expect(result.depth).toBe(plain.depth);
      expect(result.constant).toEqual(plain.constant);
      // Either it is much smaller, or it says why not.
      if (result.asymmetry === null) expect(result.states).toBeLessThan(0.6 * plain.states);
      else expect(result.states).toBe(plain.states);
      for (const { kind, schedule } of result.witnesses) {
        const replayed = open(scenario, { kernel, record: false });
        for (const task of schedule) replayed.step(task);
        const met = [...replayed.faults, ...replayed.verdictsAtEnd()].map((fault) => fault.kind);
        const pages =
          kind === "STALE" ? replayed.staleWrites() : kind === "LOST" ? replayed.lostWrites() : [];
        expect(met.includes(kind) || pages.length > 0).toBe(true);
      }
    });

  it("a naive search over strings finds as many states, and the faults in as many steps", () => {
    const scenario = "trunc-dax,drivers=2,buffer=shared";
    const { symmetry, shortest } = explore(scenario);
    const naive = naiveSearch(open(scenario, { record: false }));
    expect(symmetry).toMatchObject({ states: naive.states, transitions: naive.transitions });
    expect(Object.fromEntries(shortest.map(({ kind, steps }) => [kind, steps]))).toEqual(
      Object.fromEntries(naive.faults),
    );
  });

  it("is cut short like any other, and says so", () => {
    const { complete, states, symmetry } = open("kara-2018,drivers=2,buffer=shared", {
      record: false,
    }).explore({ ...everything, maxStates: 20_000, symmetric: true });
    expect(complete).toBe(false);
    expect(symmetry).not.toBeNull();
    expect(states).toBeLessThan(30_000);
  });
});
