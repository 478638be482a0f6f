/** What a process does with its memory: a CPU load, a CPU store. Each access faults until its PTE allows it. */
import { type Kernel, PTE } from "./kernel.js";
import {
  call,
  config,
  down_read,
  given,
  goto,
  label,
  leave,
  local,
  lockdep_assert_held,
  lockdep_assert_not_held,
  path,
  step,
  up_read,
} from "./language.js";
import { mmap_sem } from "./locks.js";
import {
  find_vma,
  handle_mm_fault,
  mm_of,
  pte_pfn,
  pte_present,
  pte_write,
  vm_normal_page,
} from "./mm/memory.js";
import { set_pte } from "./mm/rmap.js";
import { FAULT_FLAG, VM_FAULT } from "./operations.js";
import { VM_EXEC, VM_READ, VM_WRITE } from "./structs.js";
import { int, NONE, type Vpn, vpn } from "./types.js";

/** The access itself, as the CPU does it: sets young, for a store dirty too, and changes the bytes. */
function access(k: Kernel, at: Vpn, write: boolean): boolean {
  const entry = k.pte.entry[at];
  if (!pte_present(entry) || (write && !pte_write(entry))) return false;
  const page = pte_pfn(entry);
  set_pte(k, at, entry | PTE.young | (write ? PTE.dirty : 0), vm_normal_page(k, entry));
  if (write)
    for (let part = 0; part < k.geometry.parts; part++) k.content.version[page * k.geometry.parts + part]++;
  return true;
}

/** access_error: whether the VMA forbids what the CPU tried. On x86 a page that may be written may be read. */
function access_error(k: Kernel, vma: number, write: boolean): boolean {
  const wanted = write ? VM_WRITE : VM_READ | VM_EXEC | VM_WRITE;
  return (k.vma.vm_flags[vma] & wanted) === 0;
}

/** A fault in a process whose VMAs may change: look for the VMA under mmap_sem, and once more if the fault gave it back. */
export const do_user_addr_fault = path(
  "do_user_addr_fault",
  {
    source: "arch/x86/mm/fault.c v4.20",
    args: { at: vpn, write: int },
    locals: { flags: int, vma: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.flags = (f.write === 1 ? FAULT_FLAG.WRITE : 0) | FAULT_FLAG.ALLOW_RETRY;
    }),
    label("retry"),
    down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    local((k, f) => {
      f.vma = find_vma(k, f.at);
    }),
    given(
      (k, f) => f.vma === NONE || access_error(k, f.vma, f.write === 1),
      [up_read(mmap_sem, (k, f) => mm_of(k, f.at)), leave(() => VM_FAULT.SIGSEGV)],
    ),
    call(() => handle_mm_fault, { at: "at", flags: "flags" }, "ret"),
    given(
      (_, f) => (f.ret & VM_FAULT.RETRY) !== 0,
      [
        lockdep_assert_not_held(mmap_sem),
        local((_, f) => {
          f.flags = (f.flags & FAULT_FLAG.WRITE) | FAULT_FLAG.TRIED;
          f.ret = 0;
        }),
        goto("retry"),
      ],
    ),
    lockdep_assert_held(mmap_sem),
    up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
  ],
);

/** One access of a process to a virtual page. Gives VM_FAULT_ERROR bits when it may not: SIGSEGV, SIGBUS. */
export const cpu_access = path(
  "cpu_access",
  { source: "the CPU", args: { at: vpn, write: int }, locals: { done: int }, returns: int },
  [
    label("again"),
    step("access", (k, f) => {
      f.done = access(k, f.at, f.write === 1) ? 1 : 0;
    }),
    given((_, f) => f.done === 1, [leave(() => 0)]),
    config(
      "mmap",
      [call(() => do_user_addr_fault, { at: "at", write: "write" }, "ret")],
      [
        given((k, f) => access_error(k, find_vma(k, f.at), f.write === 1), [leave(() => VM_FAULT.SIGSEGV)]),
        down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
        call(() => handle_mm_fault, { at: "at", flags: "write" }, "ret"),
        up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
      ],
    ),
    given((_, f) => (f.ret & VM_FAULT.ERROR) !== 0, [leave()]),
    goto("again"),
  ],
);
