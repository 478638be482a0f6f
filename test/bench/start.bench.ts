/**
 * How long a person waits: the command's help, the first frame of the REPL (bundled, in a pseudo-terminal made by
 * script(1)), and a notebook kernel, stock tslab beside guplab's, whose ratio is what counts. Run `npm run build` first; `npm run bench` does.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { bench, describe } from "vitest";
import { startKernel } from "../../src/notebook/kernel-client.js";

const root = new URL("../..", import.meta.url).pathname;
const main = `${root}dist/src/cli/main.js`;

/** Start a program, wait until it has printed a text, and end it with all that it started. */
const until = (command: string, args: string[], text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, TERM: "xterm-256color" };
    const child = spawn(command, args, { cwd: root, env, detached: true, stdio: ["pipe", "pipe", "ignore"] });
    let printed = "";
    let seen = false;
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
      if (seen || !printed.includes(text)) return;
      seen = true;
      process.kill(-(child.pid as number), "SIGKILL");
      resolve();
    });
    child.on("error", reject);
    child.on("exit", () => {
      if (!seen) reject(new Error(`${command} never printed ${text}`));
    });
  });

// A pseudo-terminal of script(1) has no size until somebody gives it one.
const repl = `stty cols 100 rows 30; exec "${process.execPath}" "${main}"`;

const few = { iterations: 5, time: 0, warmupIterations: 1, warmupTime: 0 };

describe("start", () => {
  bench("node, doing nothing", () => until(process.execPath, ["-p", "'ready'"], "ready"), few);
  bench("guplab --help", () => until(process.execPath, [main, "--help"], "Examples"), few);
  bench(
    "REPL, first frame",
    () => until("script", ["-qfec", repl, "/dev/null"], "help lists the verbs"),
    few,
  );
});

const require = createRequire(import.meta.url);
const tslab = join(dirname(require.resolve("tslab/package.json")), "bin", "tslab");
/** What each kernel is started by, and its first cell: stock tslab has to be told where the names come from. */
const kernels = {
  "stock tslab": {
    argv: [process.execPath, tslab, "kernel", "--config-path", "{connection_file}"],
    cell: 'import { lab } from "guplab";\nlab.run("kara-2018").outcomes',
  },
  guplab: { argv: undefined, cell: 'lab.run("kara-2018").outcomes' },
};

describe("notebook kernel, until it answers", () => {
  for (const [name, { argv }] of Object.entries(kernels))
    bench(
      name,
      async () => {
        const kernel = await startKernel(root, argv);
        kernel.close();
      },
      few,
    );
});

describe("notebook kernel, until its first cell is done", () => {
  for (const [name, { argv, cell }] of Object.entries(kernels))
    bench(
      name,
      async () => {
        const kernel = await startKernel(root, argv);
        const { failure } = await kernel.execute(cell, 120);
        kernel.close();
        if (failure) throw new Error(`${failure.ename}: ${failure.evalue}`);
      },
      few,
    );
});
