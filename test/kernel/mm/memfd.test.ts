/** Seals of files in memory: what each forbids, and F_SEAL_WRITE, which asks whether somebody holds a page. */
import { describe, expect, it } from "vitest";
import { release_udmabuf, udmabuf_create } from "../../../src/kernel/drivers/udmabuf.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { vfs_write } from "../../../src/kernel/fs/read_write.js";
import { shmem_punch_hole, shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { F_SEAL, memfd_add_seals, memfd_get_seals, writable_denied } from "../../../src/kernel/mm/memfd.js";
import { mmap, munmap } from "../../../src/kernel/mm/mmap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { load, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const PAGES = 2;

/** A memfd of two cached pages that a process has mapped, or not. */
function file(actors: Readonly<Record<string, Actor>>, mapped = true, fs: number = FS.tmpfs) {
  const vmas = [{ pages: PAGES, file: FILE, flags: VM_SHARED | VM_WRITE, mapped }];
  return new Hand(
    small(
      {
        filePages: PAGES,
        pages: 6,
        fs,
        geometry: { vmas, dioPages: PAGES, config: ["memfd", "mmap", "truncate"] },
      },
      actors,
    ),
  );
}

const seal = (seals: number, answers: number[] = []) => ask(memfd_add_seals, [FILE, seals], answers);
const resize = (size: number, answers: number[]) => ask(shmem_setattr, [FILE, size], answers);

describe("a sealed file", () => {
  it("F_SEAL_SHRINK: ftruncate makes it no shorter, and longer all the same", () => {
    const answers: number[] = [];
    const h = file({ seal: seal(F_SEAL.SHRINK), shorter: resize(1, answers), same: resize(2, answers) });
    h.go("seal").go("shorter").go("same");
    expect([answers, h.k.inode.i_size[FILE]]).toEqual([[-ERRNO.EPERM, 0], PAGES]);
    expect(h.faults()).toEqual(["REFUSED ftruncate: -EPERM"]);
  });

  it("F_SEAL_SHRINK does not keep a hole from being punched; F_SEAL_WRITE does", () => {
    for (const [seals, answer, page] of [
      [F_SEAL.SHRINK, 0, 0],
      [F_SEAL.WRITE, -ERRNO.EPERM, 1],
    ]) {
      const answers: number[] = [];
      const h = file({ seal: seal(seals), punch: ask(shmem_punch_hole, [FILE, 0, 1], answers) }, false);
      h.go("seal").go("punch");
      expect([answers, h.k.xa_slot.page[0]]).toEqual([[answer], page]);
    }
  });

  it("F_SEAL_GROW: neither ftruncate nor write(2) makes it longer; a write inside is made", () => {
    const answers: number[] = [];
    const h = file({
      shorter: resize(1, answers),
      seal: seal(F_SEAL.GROW, answers),
      longer: resize(2, answers),
      append: ask(vfs_write, [FILE, 1, 1], answers),
      write: ask(vfs_write, [FILE, 0, 1], answers),
    });
    h.go("shorter").go("seal").go("longer").go("append").go("write");
    expect(answers).toEqual([0, 0, -ERRNO.EPERM, -ERRNO.EPERM, 1]);
  });

  it("F_SEAL_SEAL: no more seals", () => {
    const answers: number[] = [];
    const h = file({ seal: seal(F_SEAL.SEAL, answers), more: seal(F_SEAL.SHRINK, answers) });
    h.go("seal").go("more");
    expect([answers, memfd_get_seals(h.k, FILE)]).toEqual([[0, -ERRNO.EPERM], F_SEAL.SEAL]);
  });

  it("a file on a disk has none: -EINVAL", () => {
    const answers: number[] = [];
    file({ seal: seal(F_SEAL.SHRINK, answers) }, true, FS.ext4).go("seal");
    expect(answers).toEqual([-ERRNO.EINVAL]);
  });
});

describe("F_SEAL_WRITE", () => {
  it("is refused while a process has the file mapped shared; from then on nobody can map it so, or write it", () => {
    const answers: number[] = [];
    const h = file({
      early: seal(F_SEAL.WRITE, answers),
      munmap: ask(munmap, [0, PAGES]),
      seal: seal(F_SEAL.WRITE, answers),
      mmap: ask(mmap, [0], answers),
      write: ask(vfs_write, [FILE, 0, 1], answers),
    });
    h.go("early").go("munmap").go("seal").go("mmap").go("write");
    expect(answers).toEqual([-ERRNO.EBUSY, 0, -ERRNO.EPERM, -ERRNO.EPERM]);
    expect(h.k.vma.vm_pages[0]).toBe(0);
  });

  const held = (answers: number[]) =>
    file(
      {
        shrink: seal(F_SEAL.SHRINK),
        create: ask(udmabuf_create, [FILE, 0, PAGES, 0]),
        seal: seal(F_SEAL.WRITE, answers),
        free: ask(release_udmabuf, [0]),
      },
      false,
    );

  it("waits for a page that somebody holds, looks five times, and gives -EBUSY: nothing is left of it", () => {
    const answers: number[] = [];
    const h = held(answers).go("shrink").go("create");
    const steps = h.trace("seal", () => h.go("seal"));
    expect(steps.filter((step) => step === "page_count")).toHaveLength(5);
    expect([answers, memfd_get_seals(h.k, FILE), writable_denied(h.k, FILE)]).toEqual([
      [-ERRNO.EBUSY],
      F_SEAL.SHRINK,
      false,
    ]);
    expect([h.tags(0), h.tags(1)]).toEqual(["", ""]);
  });

  it("is set when the holder lets go in time", () => {
    const answers: number[] = [];
    const h = held(answers).go("shrink").go("create");
    h.past("seal", "page_count").past("seal", "page_count").go("free").go("seal");
    expect([answers, memfd_get_seals(h.k, FILE)]).toEqual([[0], F_SEAL.SHRINK | F_SEAL.WRITE]);
  });

  it("a reference of a PTE is none of a holder's", () => {
    const answers: number[] = [];
    const h = new Hand(
      small(
        {
          filePages: 1,
          pages: 4,
          fs: FS.tmpfs,
          // Private: not counted as a writer.
          geometry: { vmas: [{ pages: 1, file: FILE, flags: VM_WRITE }], config: ["memfd"] },
        },
        { load: load(0), store: store(0), seal: seal(F_SEAL.WRITE, answers) },
      ),
    );
    h.go("load");
    expect(h.refs()).toBe(2);
    h.go("seal");
    expect(answers).toEqual([0]);
    h.go("store");
    expect(h.finished("store")).toBe(true);
  });
});
