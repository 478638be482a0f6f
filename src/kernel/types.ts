/** Numbers by what they number. No bare `number` crosses a module's border where one of these is meant. */
import { kind } from "../machine/path.js";

/** Page frame number: row of struct page. */
export type Pfn = number & { readonly pfn?: never };
/** A virtual page number: row of the page table. */
export type Vpn = number & { readonly vpn?: never };
/** Inode number: row of struct inode; 0 is no inode (page->mapping == NULL). */
export type InodeNr = number & { readonly inode?: never };
/** A slot of mapping->i_pages: row of struct xa_slot. */
export type Slot = number & { readonly slot?: never };
/** A block device: row of struct gendisk. */
export type DiskNr = number & { readonly disk?: never };
/** swp_entry_t: an offset in the swap area, which begins with its header; 0 is none. */
export type SwpEntry = number & { readonly swp_entry?: never };
/** An array of pages that a caller of get_user_pages owns: row of struct user_pages. */
export type PagesNr = number & { readonly pages?: never };
/** A direct I/O: it is the owner of the array of the same number. */
export type DioNr = PagesNr;

export const pfn = kind<Pfn>("pfn", -1);
export const vpn = kind<Vpn>("vpn");
export const inode = kind<InodeNr>("inode");
export const slot = kind<Slot>("slot");
export const disk = kind<DiskNr>("disk");
export const pages_nr = kind<PagesNr>("pages");
export const dio_nr = kind<DioNr>("dio");
/** A count, an index, a flag word, a return value. */
export const int = kind<number>("int");

/** No page. A local of kind pfn holds this until a page is assigned to it. */
export const NONE = -1;
