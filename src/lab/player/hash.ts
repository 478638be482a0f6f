/** The hash of a machine's memory: what two machines that have run the same steps have in common, in one word. */
import type { Memory } from "../../machine/memory.js";

const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

/**
 * FNV-1a of 64 bits (Fowler, Noll, Vo) over every byte of a memory: state, fixed part and statistics. Equal memories have
 * equal hashes; it is made to tell accidents apart, and not to withstand anybody who wants two to be equal.
 *
 * @returns sixteen hexadecimal digits
 * @example memoryHash(run("kara-2018").world.k.memory).length // 16
 */
export function memoryHash({ buffer }: Memory): string {
  let hash = OFFSET;
  for (const byte of new Uint8Array(buffer)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  return hash.toString(16).padStart(16, "0");
}
