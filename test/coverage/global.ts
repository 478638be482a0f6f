/**
 * Around a run of the tests: a folder for the workers' marks, and at the end what they come to.
 *
 * After the whole suite the steps that no test reaches are named and fail the run (unless the environment variable
 * GUPLAB_COVERAGE is "report"), and every step is written to `node_modules/.cache/guplab/steps.json`.
 * After a part of it nothing is said, except by `npm run coverage`, which always shows the table by file.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { byFile, merge, type StepCoverage, summary, unreached } from "./report.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the workers leave their marks. */
    marksFolder: string;
    /** Whether to show every file and path. */
    stepsByFile: boolean;
  }
}

/** Whether every test of the suite ran: nothing was asked for by file or name, nothing skipped. */
export async function isWhole(project: TestProject): Promise<boolean> {
  const { testFiles } = await project.globTestFiles();
  const modules = project.vitest.state.getTestModules();
  const ran = new Set(modules.map(({ moduleId }) => moduleId));
  return (
    !project.vitest.config.cliExclude?.length &&
    testFiles.every((file) => ran.has(file)) &&
    modules.every((module) => module.children.allTests("skipped").next().done === true)
  );
}

/** The marks that the workers left in the folder. */
export const marksIn = (folder: string): string[] =>
  readdirSync(folder).flatMap((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as string[]);

/** What to print at the end of a run (empty: nothing), and whether it fails the run. */
export function judge(
  steps: readonly StepCoverage[],
  how: { whole: boolean; byFile: boolean; reportOnly: boolean },
): { text: string; fails: boolean } {
  const fails = how.whole && !how.reportOnly && steps.some(({ reached }) => !reached);
  const tables = how.byFile ? [byFile(steps)] : [];
  if (how.whole) tables.push(unreached(steps));
  else if (how.byFile) tables.push(summary(steps));
  if (fails) tables.push("The run fails: every step must be reached by some test.");
  return { text: tables.join("\n\n"), fails };
}

async function conclude(project: TestProject, marks: readonly string[]): Promise<void> {
  const whole = await isWhole(project);
  const { stepsByFile } = project.getProvidedContext();
  if (!whole && !stepsByFile) return;
  const { kernelSteps } = await import("./kernel.js");
  const steps = merge(kernelSteps.steps, marks);
  if (whole) {
    const cache = join(project.config.root, "node_modules/.cache/guplab");
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, "steps.json"), `${JSON.stringify(steps, null, 1)}\n`);
  }
  const reportOnly = process.env.GUPLAB_COVERAGE === "report";
  const { text, fails } = judge(steps, { whole, byFile: stepsByFile, reportOnly });
  console.error(text);
  if (fails) process.exitCode = 1;
}

export default function setup(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "guplab-marks-"));
  project.provide("marksFolder", folder);
  return async () => {
    const marks = marksIn(folder);
    rmSync(folder, { recursive: true });
    await conclude(project, marks).catch((error) => {
      // vitest prints what is thrown here, but would exit with 0.
      process.exitCode = 1;
      throw error;
    });
  };
}
