/** The few ways in which the REPL stresses text; none where colour is unwanted (NO_COLOR). What is stressed also says so in words. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bad: (text: string) => string;
  /** The cursor: always shown. */
  readonly cursor: (text: string) => string;
}

const sgr =
  (on: number, off: number) =>
  (text: string): string =>
    text === "" ? "" : `\x1b[${on}m${text}\x1b[${off}m`;
const plain = (text: string): string => text;

export const styleOf = (color: boolean): Style => ({
  bold: color ? sgr(1, 22) : plain,
  dim: color ? sgr(2, 22) : plain,
  bad: color ? sgr(31, 39) : plain,
  cursor: sgr(7, 27),
});
