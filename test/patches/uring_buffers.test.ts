/**
 * io_uring's registration of buffers, kernel by kernel and memory by memory: what it gives, and how many pins it took and dropped. The recording
 * e-matrix-6.1 of a real 6.1.192 has the same table for 64 pages; here a buffer has two.
 */
import { describe, expect, it } from "vitest";
import { io_sqe_buffer_register } from "../../src/kernel/drivers/io_uring.js";
import { ERRNO } from "../../src/kernel/errno.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { countersOf } from "../../src/lab/run.js";
import { disk } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { FILE, Hand, type Small, small } from "../kernel/harness.js";

const SHARED = VM_SHARED | VM_WRITE;
const mapping = (fs: number, flags: number): Small => ({
  pages: 6,
  filePages: 2,
  fs,
  geometry: { files: [{ pages: 2, fs }], vmas: [{ pages: 2, file: FILE, flags }] },
});

const MEMORY: Readonly<Record<string, Small>> = {
  "anon-private": {
    cached: false,
    pages: 6,
    geometry: { files: [], vmas: [{ pages: 2, flags: VM_WRITE }], dioPages: 2 },
  },
  "memfd-shared": mapping(FS.tmpfs, SHARED),
  "memfd-private": mapping(FS.tmpfs, VM_WRITE),
  "ext4-shared-rw": mapping(FS.ext4, SHARED),
  "xfs-shared-rw": mapping(FS.xfs, SHARED),
  "btrfs-shared-rw": mapping(FS.btrfs, SHARED),
  "ext4-private-rw": mapping(FS.ext4, VM_WRITE),
  "ext4-shared-ro": mapping(FS.ext4, VM_SHARED),
};

/** Register two pages of memory: what it gives, the pins taken and dropped where the kernel counts them, and those that are left. */
function register(kernel: string, memory: string) {
  const answers: number[] = [];
  const actors = { register: ask(io_sqe_buffer_register, [0, 2, 0], answers), disk };
  const h = new Hand(small({ ...MEMORY[memory], kernel }, actors)).go("register").go("disk").go("register");
  const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(h.world);
  const held = h.k.page.pins.reduce((sum, nr) => sum + nr, 0);
  return { answer: answers[0], vmstat: [nr_foll_pin_acquired, nr_foll_pin_released], held };
}

const { EFAULT, EINVAL, EOPNOTSUPP } = ERRNO;
/** The error number of v4.20 with v5.1's io_uring, v5.14, 6.1.192 (which was recorded) and v6.5. */
const ROWS: readonly (readonly [string, number, number, number, number])[] = [
  ["anon-private", 0, 0, 0, 0],
  ["memfd-shared", EOPNOTSUPP, 0, 0, 0],
  ["memfd-private", EOPNOTSUPP, 0, 0, 0],
  ["ext4-shared-rw", EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EFAULT],
  ["xfs-shared-rw", EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EFAULT],
  ["btrfs-shared-rw", EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EFAULT],
  ["ext4-private-rw", EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, 0],
  ["ext4-shared-ro", EFAULT, EFAULT, EFAULT, EFAULT],
];

describe.each(ROWS)("IORING_REGISTER_BUFFERS of %s", (memory, ...errors) => {
  it.each(["v4.20", "v5.14", "v6.1.192", "v6.5"].map((kernel, at) => [kernel, errors[at]] as const))(
    "on %s: errno %i, and nothing is held after an error",
    (kernel, errno) => {
      const { answer, held } = register(kernel, memory);
      expect([answer, held]).toEqual([0 - errno, errno === 0 ? 2 : 0]);
    },
  );

  it("v5.11 decides as v5.1 did, v6.4 as v5.14, v6.12 as v6.5", () => {
    for (const [older, newer] of [
      ["v4.20", "v5.11"],
      ["v5.14", "v6.4"],
      ["v6.5", "v6.12"],
    ])
      expect(register(newer, memory).answer).toBe(register(older, memory).answer);
  });
});

describe("a buffer of two areas", () => {
  /** A page of one area and one of the next: files by their filesystems, or anonymous memory. */
  const two = (kernel: string, first: number, second: number) => {
    const answers: number[] = [];
    const files = [first, second].filter((fs) => fs !== FS.none).map((fs) => ({ pages: 1, fs }));
    const vma = (fs: number, nr: number) =>
      fs === FS.none ? { pages: 1, flags: VM_WRITE } : { pages: 1, file: nr, flags: SHARED };
    const h = new Hand(
      small(
        {
          kernel,
          pages: 6,
          cached: false,
          geometry: { files, vmas: [vma(first, 1), vma(second, files.length)], dioPages: 2 },
        },
        { register: ask(io_sqe_buffer_register, [0, 2, 0], answers), disk },
      ),
    );
    h.go("register").go("disk").go("register").go("disk").go("register");
    return [answers[0], h.k.page.pins.reduce((sum, nr) => sum + nr, 0)];
  };

  it.each([
    ["two files of tmpfs", FS.tmpfs, FS.tmpfs, 0, -EINVAL, -EINVAL, 0],
    ["tmpfs and anonymous memory", FS.tmpfs, FS.none, 0, -EINVAL, -EINVAL, 0],
    ["anonymous memory and tmpfs", FS.none, FS.tmpfs, 0, -EINVAL, -EINVAL, 0],
    ["tmpfs and ext4", FS.tmpfs, FS.ext4, -EOPNOTSUPP, -EINVAL, -EINVAL, -EFAULT],
    [
      "ext4 and tmpfs: the first page comes first",
      FS.ext4,
      FS.tmpfs,
      -EOPNOTSUPP,
      -EOPNOTSUPP,
      -EOPNOTSUPP,
      -EFAULT,
    ],
  ])("%s: v6.2, v6.1.192, v6.4 and v6.5", (_, first, second, ...errors) => {
    expect(["v6.2", "v6.1.192", "v6.4", "v6.5"].map((kernel) => two(kernel, first, second))).toEqual(
      errors.map((error) => [error, error === 0 ? 2 : 0]),
    );
  });
});

describe("pins of a buffer that is refused", () => {
  it.each([
    ["ext4-shared-rw", "v6.1.192", [2, 2]],
    ["ext4-private-rw", "v6.1.192", [2, 2]],
    ["ext4-shared-ro", "v6.1.192", [0, 0]],
    ["ext4-shared-rw", "v6.5", [0, 0]],
  ])("%s on %s: acquired and released %j", (memory, kernel, counted) => {
    expect(register(kernel, memory).vmstat).toEqual(counted);
  });

  it("F36 v6.5 refuses before the first pin; v6.4 pinned a file that tracks dirty pages for a moment", () => {
    expect(register("v6.4", "xfs-shared-rw").vmstat).toEqual([2, 2]);
    expect(register("v6.5", "xfs-shared-rw").vmstat).toEqual([0, 0]);
  });
});
