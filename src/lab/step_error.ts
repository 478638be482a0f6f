/** What a step threw, with the step: a fault of guplab's, or of a patch that somebody wrote. */

export class StepError extends Error {
  override readonly name = "StepError";
  /** What was said of it, without the place. */
  readonly says: string;

  /** @param place the step, under the names that the kernel has */
  constructor(
    readonly place: { readonly path: string; readonly step: string },
    cause: unknown,
  ) {
    const says = cause instanceof Error ? cause.message : String(cause);
    super(`${place.path}/${place.step}: ${says}`, { cause });
    this.says = says;
  }
}
