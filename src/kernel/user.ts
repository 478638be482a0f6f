/** What a process does with its memory: a CPU load, a CPU store. Each access faults until its PTE allows it. */
import { type Kernel, PTE } from "./kernel.js";
import { call, down_read, given, goto, label, leave, path, step, up_read } from "./language.js";
import { mmap_sem } from "./locks.js";
import { handle_mm_fault, mm_of, pte_pfn, pte_present, pte_write } from "./mm/memory.js";
import { set_pte } from "./mm/rmap.js";
import { VM_FAULT } from "./operations.js";
import { int, type Vpn, vpn } from "./types.js";

/** The access itself, as the CPU does it: sets young, for a store dirty too, and changes the bytes. */
function access(k: Kernel, at: Vpn, write: boolean): boolean {
  const entry = k.pte.entry[at];
  if (!pte_present(entry) || (write && !pte_write(entry))) return false;
  const page = pte_pfn(entry);
  set_pte(k, at, entry | PTE.young | (write ? PTE.dirty : 0), page);
  if (write)
    for (let part = 0; part < k.geometry.parts; part++) k.content.version[page * k.geometry.parts + part]++;
  return true;
}

/** One access of a process to a virtual page. Gives VM_FAULT_SIGBUS when it may not. */
export const cpu_access = path(
  "cpu_access",
  { source: "the CPU", args: { at: vpn, write: int }, locals: { done: int }, returns: int },
  [
    label("again"),
    step("access", (k, f) => {
      f.done = access(k, f.at, f.write === 1) ? 1 : 0;
    }),
    given((_, f) => f.done === 1, [leave(() => 0)]),
    down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    call(() => handle_mm_fault, { at: "at", write: "write" }, "ret"),
    up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    given((_, f) => (f.ret & VM_FAULT.SIGBUS) !== 0, [leave()]),
    goto("again"),
  ],
);
