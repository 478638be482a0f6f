/** `guplab log`, `guplab diff` and `guplab bisect`. */
import { bisect, kernelDiff, patchesOf, patchLog } from "../lab/kernels.js";

interface JsonFlag {
  readonly json?: true;
}

const print = (json: JsonFlag["json"], value: unknown, text: string): void => {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

/** Print the patches of a kernel. @throws Error with one sentence */
export function logCommand(kernel: string, { json }: JsonFlag): void {
  print(json, patchesOf(kernel), patchLog(kernel));
}

/** Print where the paths of two kernels differ. @throws Error with one sentence */
export function diffCommand(from: string, to: string, path: string | undefined, { json }: JsonFlag): void {
  const diff = kernelDiff(from, to, path);
  const same = `${from} and ${to} have the same ${path === undefined ? "paths" : path}`;
  print(json, { from, to, path: path ?? null, diff }, diff === "" ? same : diff.trimEnd());
}

interface BisectFlags extends JsonFlag {
  readonly maxStates?: number;
  readonly runs?: number;
}

/** Print the patch that changes a scenario's outcome. @throws Error with one sentence */
export function bisectCommand(scenario: string, good: string, bad: string, flags: BisectFlags): void {
  const { isTTY } = process.stderr;
  const clear = () => isTTY && process.stderr.write("\r\x1b[K");
  const found = bisect(scenario, good, bad, {
    maxStates: flags.maxStates,
    runs: flags.runs,
    searching: (kernel) => {
      clear();
      if (isTTY) process.stderr.write(`searching ${kernel}`);
    },
  });
  clear();
  print(flags.json, found.toJSON(), `${found}`);
}
