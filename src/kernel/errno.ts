/** Error numbers that kernel functions give, as Linux has them on x86. A function gives the negative number. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ETXTBSY: 26,
  ENOSPC: 28,
  EDEADLK: 35,
  EBADFD: 77,
  EDQUOT: 122,
  EOPNOTSUPP: 95,
  ENOBUFS: 105,
  EHWPOISON: 133,
  ERESTARTSYS: 512,
} as const;

/**
 * The name of a negative error number, for reports.
 *
 * @example errnoName(-14) === "-EFAULT"
 */
export function errnoName(error: number): string {
  const found = Object.entries(ERRNO).find(([, number]) => number === -error);
  return found ? `-${found[0]}` : String(error);
}
