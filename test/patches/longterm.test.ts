/** Long-term pins, kernel by kernel: as a function, as a flag, by the fast walk. */
import { describe, expect, it } from "vitest";
import { ib_umem_get } from "../../src/kernel/drivers/infiniband.js";
import { io_sqe_buffer_register } from "../../src/kernel/drivers/io_uring.js";
import { vfio_dma_do_map } from "../../src/kernel/drivers/vfio.js";
import { ERRNO } from "../../src/kernel/errno.js";
import { dax_allocate_file } from "../../src/kernel/fs/dax.js";
import { FOLL, get_user_pages_longterm } from "../../src/kernel/mm/gup.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import type { AnyPath } from "../../src/machine/patch.js";
import { disk } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { FILE, Hand, type Small, small } from "../kernel/harness.js";

const SHARED = VM_SHARED | VM_WRITE;
const file = (fs: number, flags = SHARED): Small => ({
  pages: 6,
  filePages: 2,
  fs,
  geometry: { files: [{ pages: 2, fs }], vmas: [{ pages: 2, file: FILE, flags }] },
});
const dax: Small = {
  ...file(FS.ext4_dax),
  cached: false,
  geometry: { ...file(FS.ext4_dax).geometry, config: ["dax"] },
  prepare: (k) => dax_allocate_file(k, FILE),
};
const MEMORY: Readonly<Record<string, Small>> = {
  anonymous: {
    cached: false,
    pages: 6,
    geometry: { files: [], vmas: [{ pages: 2, flags: VM_WRITE }], dioPages: 2 },
  },
  "ext4, shared": file(FS.ext4),
  "ext4, private": file(FS.ext4, VM_WRITE),
  "ext4, read-only": file(FS.ext4, VM_SHARED),
  "tmpfs, shared": file(FS.tmpfs),
  "fsdax, shared": dax,
};

/** Who takes long-term pins, and what two pages are asked of it with. */
const USERS: Readonly<Record<string, readonly [AnyPath, readonly number[]]>> = {
  get_user_pages_longterm: [get_user_pages_longterm, [0, 2, FOLL.WRITE, 0]],
  "get_user_pages_longterm for reading": [get_user_pages_longterm, [0, 2, 0, 0]],
  ib_umem_get: [ib_umem_get, [0, 2, 1, 0]],
  "ib_umem_get of what the card only reads": [ib_umem_get, [0, 2, 0, 0]],
  vfio_dma_do_map: [vfio_dma_do_map, [0, 2, 1, 0]],
  io_sqe_buffer_register: [io_sqe_buffer_register, [0, 2, 0]],
};

/** A call that runs to its end: what it gave, its steps, and the state that it leaves. */
function called(kernel: string, memory: string, user: string) {
  const answers: number[] = [];
  const [path, args] = USERS[user];
  const h = new Hand(small({ ...MEMORY[memory], kernel }, { user: ask(path, args, answers), disk }));
  const steps = h.trace("user", () => h.go("user").go("disk").go("user"));
  return { h, answer: answers[0], steps, refs: [...h.k.page._refcount], flags: [...h.k.page.flags] };
}

describe("v5.2: FOLL_LONGTERM instead of get_user_pages_longterm (932f4a630a69)", () => {
  for (const memory of Object.keys(MEMORY))
    it.each(Object.keys(USERS))(`${memory}: %s does step by step what it did`, (user) => {
      const { h: _, ...older } = called("v4.20", memory, user);
      const { h: __, ...newer } = called("v5.2", memory, user);
      expect(newer).toEqual(older);
    });

  it.each(["W5", "W6,holder=rdma", "W9", "W11", "W7"])(
    "%s: the same outcomes after as many states",
    (name) => {
      const [older, newer] = ["v4.20", "v5.2"].map((kernel) => explore(name, { kernel, maxStates: 200_000 }));
      expect([newer.outcomes, newer.states, newer.transitions]).toEqual([
        older.outcomes,
        older.states,
        older.transitions,
      ]);
    },
  );

  it("kara-2018 runs alike, seed by seed", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const [older, newer] = ["v4.20", "v5.2"].map((kernel) => run("kara-2018", { kernel, seed }));
      expect([newer.outcomes, newer.replay.replace("v5.2", "v4.20")]).toEqual([older.outcomes, older.replay]);
    }
  });
});

describe("F35 LONGTERM of fsdax: -EOPNOTSUPP", () => {
  it.each(["v4.20", "v5.2", "v5.7", "v5.11", "v6.12"])("on %s, and nothing is held after it", (kernel) => {
    for (const user of ["get_user_pages_longterm", "ib_umem_get", "io_sqe_buffer_register"]) {
      const { answer, refs } = called(kernel, "fsdax, shared", user);
      expect(answer).toBe(-ERRNO.EOPNOTSUPP);
      expect(Math.max(...refs)).toBeLessThan(1024);
    }
  });
});
