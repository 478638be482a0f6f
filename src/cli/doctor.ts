/** `guplab doctor`: what keeps notebooks or the kernel from working here, and what helps. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../notebook/kernel/root.js";
import { installedSpecs, kernelScript } from "../notebook/kernel/spec.js";

/** What was looked at. */
export interface Finding {
  readonly what: string;
  /** fault: something does not work until it is mended; note: something else does without. */
  readonly state: "ok" | "note" | "fault";
  /** What was found, and what helps. */
  readonly says: string;
}

const require = createRequire(import.meta.url);

/** Look at everything, in the order in which it is needed. */
export async function examine(): Promise<Finding[]> {
  const wanted = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as {
    engines: { node: string };
    dependencies: Record<string, string>;
  };
  const findings = [
    nodeVersion(wanted.engines.node),
    built(),
    await zeromq(),
    tslab(wanted.dependencies.tslab),
    ...kernelspecs(),
    jupyter(),
  ];
  findings.push(
    findings.some(({ state }) => state === "fault")
      ? { what: "kernel", state: "note", says: "not tried: it cannot start before the above is mended" }
      : await kernel(),
  );
  return findings;
}

function nodeVersion(range: string): Finding {
  const what = "Node";
  const least = range.replace(/^>=\s*/, "");
  const [have, need] = [process.versions.node, least].map((text) => text.split(".").map(Number));
  const older = have[0] < need[0] || (have[0] === need[0] && have[1] < (need[1] ?? 0));
  if (older)
    return { what, state: "fault", says: `${process.version} is too old; install Node ${least} or later` };
  return { what, state: "ok", says: `${process.version} at ${process.execPath}` };
}

function built(): Finding {
  const what = "guplab";
  for (const file of [kernelScript(), join(packageRoot(), "dist", "src", "index.d.ts")])
    if (!existsSync(file))
      return { what, state: "fault", says: `${file} is missing; npm run build makes it` };
  return { what, state: "ok", says: packageRoot() };
}

async function zeromq(): Promise<Finding> {
  const what = "ZeroMQ";
  try {
    const { version } = await import("zeromq");
    return { what, state: "ok", says: `libzmq ${version} loads` };
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    const says = `its binary for ${process.platform} ${process.arch} does not load: ${reason}; npm rebuild zeromq makes one`;
    return { what, state: "fault", says };
  }
}

function tslab(wanted: string): Finding {
  const what = "tslab";
  try {
    const { version } = require("tslab/package.json") as { version: string };
    if (version !== wanted)
      return {
        what,
        state: "fault",
        says: `${version} is installed, the kernel needs ${wanted}; npm ci installs it`,
      };
    const inside = createRequire(require.resolve("tslab/package.json"));
    const typescript = inside("@tslab/typescript-for-tslab/package.json") as { version: string };
    return { what, state: "ok", says: `${version}, TypeScript ${typescript.version} in cells` };
  } catch {
    return { what, state: "fault", says: `it is not installed; npm ci installs ${wanted}` };
  }
}

function kernelspecs(): Finding[] {
  const what = "kernelspec";
  const found = installedSpecs();
  if (found.length === 0)
    return [
      { what, state: "note", says: "Jupyter does not know the kernel; guplab kernel install tells it" },
    ];
  return found.map(({ folder, starts, fault }): Finding => {
    if (fault !== undefined) return { what, state: "fault", says: fault };
    if (starts[1] !== kernelScript())
      return { what, state: "note", says: `${folder} starts another guplab: ${starts[1]}` };
    return { what, state: "ok", says: folder };
  });
}

function jupyter(): Finding {
  const what = "Jupyter";
  try {
    const said = execFileSync("jupyter", ["--version"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const versions = [...said.matchAll(/^(notebook|jupyterlab|jupyter_client)\s*: (\d\S*)$/gm)];
    const list = versions.map(([, name, version]) => `${name} ${version}`).join(", ");
    return { what, state: "ok", says: list || said.split("\n")[0] };
  } catch {
    const says =
      "there is no command jupyter; guplab nb does without it, apt install jupyter-notebook or pip install jupyterlab brings it";
    return { what, state: "note", says };
  }
}

async function kernel(): Promise<Finding> {
  const what = "kernel";
  const { KernelError, startKernel } = await import("../notebook/kernel-client.js");
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  try {
    const running = await startKernel(tmpdir());
    try {
      const answered = seconds();
      const { outputs, failure } = await running.execute('lab.run("kara-2018").outcomes', 60);
      if (failure)
        return { what, state: "fault", says: `its first cell failed: ${failure.ename}: ${failure.evalue}` };
      if (outputs.length === 0) return { what, state: "fault", says: "its first cell gave no output" };
      return {
        what,
        state: "ok",
        says: `answers after ${answered} s, its first cell is done after ${seconds()} s`,
      };
    } finally {
      running.close();
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { what, state: "fault", says: error.message };
  }
}

/** Print what was found. Exit code 3 when something has to be mended. */
export async function doctorCommand({ json }: { json?: true }): Promise<void> {
  const findings = await examine();
  const width = Math.max(...findings.map(({ what }) => what.length));
  const lines = findings.map(({ what, state, says }) => `${state.padEnd(5)}  ${what.padEnd(width)}  ${says}`);
  process.stdout.write(json ? `${JSON.stringify(findings, null, 2)}\n` : `${lines.join("\n")}\n`);
  if (findings.some(({ state }) => state === "fault")) process.exitCode = 3;
}
