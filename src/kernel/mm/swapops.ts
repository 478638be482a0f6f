/**
 * PTEs that are not present and not none: entries that say where the page has gone.
 *
 * Source: include/linux/swapops.h in v4.20. A swap entry is the offset of a page of the swap area, of which there is one; 0 is none. A migration entry names a page that is being moved; whoever faults on it waits for the
 * page lock of the mover. The bits of a PTE that is not present are free: young marks a migration entry, write one whose PTE
 * was writable. An entry of swap has young clear.
 */
import { PFN_SHIFT, PTE } from "../kernel.js";
import type { Pfn, SwpEntry } from "../types.js";

/** Whether a PTE is an entry for something that is not in memory at this address: neither none nor present. */
export const is_swap_pte = (entry: number): boolean => entry !== 0 && (entry & PTE.present) === 0;

/** swp_entry_to_pte: what stands in a PTE whose page is in swap. */
export const swp_entry_to_pte = (entry: SwpEntry): number => entry << PFN_SHIFT;

/** Whether a PTE says that its page is in swap: !non_swap_entry. */
export const is_swap_entry = (entry: number): boolean => is_swap_pte(entry) && (entry & PTE.young) === 0;

/** The swap entry of such a PTE. */
export const pte_to_swp_entry = (entry: number): SwpEntry => entry >>> PFN_SHIFT;

export const make_migration_entry = (page: Pfn, write: boolean): number =>
  (page << PFN_SHIFT) | PTE.young | (write ? PTE.write : 0);

export const is_migration_entry = (entry: number): boolean => is_swap_pte(entry) && (entry & PTE.young) !== 0;

export const is_write_migration_entry = (entry: number): boolean =>
  is_migration_entry(entry) && (entry & PTE.write) !== 0;

/** The page that a migration entry stands for: the old one. */
export const migration_entry_to_page = (entry: number): Pfn => entry >>> PFN_SHIFT;
