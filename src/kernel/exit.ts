/**
 * exit: a process gives back its memory, whoever else uses its pages.
 *
 * Source: kernel/exit.c, mm/mmap.c (exit_mmap) in v4.20. Every PTE goes, and with it the reference that it held. A device that
 * writes into a page at this moment is not waited for: the page survives by the device's own reference, and a page of a file has
 * been told what its PTE knew before the last bytes arrived. So what a driver does not mark dirty itself is lost.
 *
 * Whoever calls this is the last user of the mm: no fault, no get_user_pages and no fork of that process can run; a driver that faults in a page
 * of it is waited for (in v4.20 the exit is left to it). Left out: exit_aio, which waits for the process's asynchronous reads before
 * its PTEs go (here such a read is a device like any other), the oom reaper, signals, what else a task gives back (files are
 * closed by the tasks that hold them).
 */
import { call, config, held, local, path, step, wait } from "./language.js";
import { MM_GONE, mm_struct, munlock_range, next_vma, unmap_region } from "./mm/mmap.js";
import { mmu_notifier_release, no_driver_faults } from "./mm/mmu_notifier.js";
import { VM_DETACHED } from "./structs.js";
import { int, NONE, vpn } from "./types.js";

/** Tear down a whole address space. */
export const exit_mmap = path(
  "exit_mmap",
  { source: "mm/mmap.c v4.20", args: { mm: int }, locals: { end: vpn } },
  [
    local((k, f) => {
      f.end = k.geometry.virtualPages;
    }),
    config("notifier", [call(() => mmu_notifier_release, { mm: "mm" })]),
    config("mlock", [call(() => munlock_range, { mm: "mm", start: 0, end: "end" })]),
    // Nobody else can look for a VMA of this mm.
    held(
      step("mm->mmap", (k, f) => {
        for (let vma = next_vma(k, f.mm, 0); vma !== NONE; vma = next_vma(k, f.mm, 0))
          k.vma.vm_flags[vma] |= VM_DETACHED;
      }),
    ),
    call(() => unmap_region, { mm: "mm", start: 0, end: "end" }),
  ],
);

/** exit(2) of a process's last thread. */
export const do_exit = path("do_exit", { source: "kernel/exit.c v4.20", args: { mm: int } }, [
  config("notifier", [wait("exit_mm", (k, f) => no_driver_faults(k, f.mm))], [step("exit_mm", () => {})]),
  call(() => exit_mmap, { mm: "mm" }),
  step("exit_notify", (k, f) => {
    k.of(mm_struct).life[f.mm] = MM_GONE;
  }),
]);

/** wait4(2): sleep until a child has gone. */
export const wait4 = path("wait4", { source: "kernel/exit.c v4.20", args: { mm: int } }, [
  wait("wait4", (k, f) => k.of(mm_struct).life[f.mm] === MM_GONE),
]);
