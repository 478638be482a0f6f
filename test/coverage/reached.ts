/** The keys of the steps that have run in this process. */
export const reached = new Set<string>();
