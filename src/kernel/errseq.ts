/**
 * errseq_t: an error, and whether somebody has seen it, so that everybody who has not is told once.
 *
 * Source: lib/errseq.c in v4.20. The value holds the errno (not negative), a bit for "seen", and a counter that moves
 * only when an error follows one that was seen. Plain numbers here: the caller keeps them.
 */
const MAX_ERRNO = 0xff;
const ERRSEQ_SEEN = 0x100;
const ERRSEQ_CTR_INC = 0x200;
const WIDTH = 0xffff;

/** errseq_set: record a negative error; gives the new value. */
export function errseq_set(old: number, error: number): number {
  const set = (old & ~(MAX_ERRNO | ERRSEQ_SEEN)) | -error;
  return ((old & ERRSEQ_SEEN) !== 0 ? set + ERRSEQ_CTR_INC : set) & WIDTH;
}

/** errseq_sample: what an open file starts from; an error that nobody has seen is one that it is told. */
export const errseq_sample = (value: number): number => ((value & ERRSEQ_SEEN) !== 0 ? value : 0);

/** errseq_check_and_advance: the error since a sample, negative or 0, with the new value and the new sample. */
export function errseq_check_and_advance(
  value: number,
  since: number,
): { readonly value: number; readonly since: number; readonly error: number } {
  if (value === since) return { value, since, error: 0 };
  const seen = value | ERRSEQ_SEEN;
  // -0 is no error number.
  return { value: seen, since: seen, error: 0 - (seen & MAX_ERRNO) };
}

/** The errno in a value, as a negative error or 0. */
export const errseq_errno = (value: number): number => 0 - (value & MAX_ERRNO);
