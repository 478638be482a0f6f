#!/usr/bin/env node
/**
 * The guplab command. Everything but the parser is imported when it is needed, so that --help is fast.
 *
 * Exit codes: 0 all is well; 1 a usage or input error, one sentence on standard error; 3 a run or search found a fault.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

const EXIT_CODES = `
Exit codes: 0 all is well, 1 a usage or input error, 3 a run or search found a fault.`;

/** A whole number from `least` on. */
const whole =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= 1e9) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least} to 1000000000.`);
  };

const kernelOption = (): Option =>
  new Option("-k, --kernel <name>", "kernel to run; default v4.20 (guplab kernels lists them)");
const maxStatesOption = (): Option =>
  new Option(
    "--max-states <n>",
    "give up after so many states, and walk at random instead; default as many as fit into 4 GiB",
  ).argParser(whole(1));
const jsonOption = (): Option => new Option("--json", "print one JSON document and nothing else");

function command(): Command {
  const program = new Command("guplab")
    .description(
      "A laboratory for get_user_pages(), DMA and the page cache: crash a simulated kernel, step it, search every interleaving.",
    )
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "guplab: ")) })
    .addHelpText(
      "after",
      `
Without a command: the REPL on a terminal; on a pipe the commands on standard input, or with none the guided crash.

Examples:
  guplab                                    the REPL
  guplab run kara-2018                      crash the kernel, once
  guplab explore kara-2018                  every interleaving, and the shortest way to the crash
  guplab repl -e 'until buffers-gone; page 0'
${EXIT_CODES}`,
    )
    .action((_options, { args }: Command) => {
      if (args.length > 0) throw new Error(`there is no command "${args[0]}"; guplab --help lists them`);
      return startRepl(undefined, {});
    });

  program
    .command("run")
    .description("run a scenario once, by seed or by schedule")
    .argument("<scenario>", "name or number, with parameters after commas: kara-2018,pages=2")
    .addOption(kernelOption())
    .addOption(
      new Option("-s, --seed <n>", "seed of the scheduler; default the scenario's").argParser(whole(0)),
    )
    .addOption(
      new Option("--schedule <line>", "a replay line, or its schedule alone, instead of a seed").conflicts([
        "seed",
        "steps",
      ]),
    )
    .addOption(new Option("--steps <n>", "stop after so many steps; default 100000").argParser(whole(1)))
    .option("--plot <folder>", "write the figures there: figures.html, and an SVG picture of each")
    .option("--png", "with --plot: a PNG picture of each as well")
    .option("--beside <run>", "with --plot: also this run beside another: a replay line, or scenario@kernel")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
guplab scenarios lists what can be run, guplab repl -e 'scenario W13' what one is about and which parameters it takes.

Examples:
  guplab run kara-2018 --seed 7
  guplab run kara-2018 --schedule r12k6r2k6f11d4k7m3r6f2
  guplab run kara-2018,pages=4,drivers=2 --json
  guplab run kara-2018 --plot figures
  guplab run kara-2018 --plot figures --beside kara-2018@v6.4
${EXIT_CODES}`,
    )
    .action(async (scenario: string, options) => (await import("./run.js")).runCommand(scenario, options));

  program
    .command("explore")
    .description("visit every interleaving of a scenario, and print the shortest way to a fault")
    .argument("<scenario>", "name or number, with parameters after commas: W13,fs=btrfs")
    .addOption(kernelOption())
    .addOption(new Option("--pages <n>", "pages of each read").argParser(whole(1)))
    .addOption(new Option("--drivers <n>", "processes that read").argParser(whole(1)))
    .option("--power-cut", "the power can go at any step: the same as power-cut=yes after the scenario")
    .addOption(maxStatesOption())
    .addOption(
      new Option(
        "--max-memory <MiB>",
        "give up when the states take so much, and walk at random instead; default 4096",
      ).argParser(whole(1)),
    )
    .addOption(
      new Option(
        "--max-seconds <n>",
        "give up after so long, and walk at random instead; default never",
      ).argParser(whole(1)),
    )
    .addOption(
      new Option(
        "--fewest <what>",
        "switches: also the way with the fewest context switches, which takes as long again; default steps",
      ).choices(["steps", "switches"]),
    )
    .option("--timing", "add the processor time that the search took, in seconds")
    .option("--certificate <file>", "write what a complete search claims there, for guplab check")
    .option("--no-symmetry", "count states that are the same but for the names of tasks one by one")
    .addOption(
      new Option(
        "--emit-promela <file>",
        "search, and write the steps there as a model for Spin; no verdict",
      ).conflicts(["certificate", "timing", "json", "fewest", "maxMemory", "maxSeconds"]),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
The verdict is a fault, with the shortest schedule that leads to it; safe, when every interleaving was visited and none
has a fault; or incomplete. Ctrl-C ends a search early and prints how far it came.
guplab scenarios lists what can be searched, guplab repl -e 'scenario W13' what one is about and which parameters it takes.

Examples:
  guplab explore kara-2018-quiet
  guplab explore kara-2018 --json --timing
  guplab explore dio-write-race --fewest switches
  guplab explore W5,fs=xfs --power-cut
  guplab explore kara-2018 --drivers 2 --max-seconds 30
  guplab explore W7,drivers=3,buffer=shared
${EXIT_CODES}`,
    )
    .action(async (scenario: string, options) =>
      (await import("./run.js")).exploreCommand(scenario, options),
    );

  program
    .command("check")
    .description(
      "check the certificate of a search, by another search that shares no code of searching with it",
    )
    .argument("<file>", "what guplab explore --certificate wrote")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Every state is visited again, and it takes some times as long as the search did. Confirmed are the numbers of states and
transitions, a fingerprint of all states, and the steps of the shortest way to each kind of fault. Ctrl-C ends it.

Examples:
  guplab explore W5 -k v6.4 --certificate w5.json
  guplab check w5.json

Exit codes: 0 it is confirmed, 1 a usage or input error, 3 something that it claims is not so.`,
    )
    .action(async (file: string, options) => (await import("./run.js")).checkCommand(file, options));

  program
    .command("walk")
    .description("walk through a scenario at random, many times: how often each strategy meets what")
    .argument("<scenario>", "name or number, with parameters after commas: kara-2018,pages=2,drivers=2")
    .addOption(kernelOption())
    .addOption(
      new Option("--strategy <name>", "how to choose who moves; default each in turn").choices([
        "pct",
        "sticky",
        "uniform",
      ]),
    )
    .addOption(new Option("--walks <n>", "walks of each strategy; default 2000").argParser(whole(1)))
    .addOption(new Option("-s, --seed <n>", "default 1").argParser(whole(0)))
    .addOption(
      new Option(
        "--depth <n>",
        "for pct: one more than the steps at which priorities change; default 5",
      ).argParser(whole(1)),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
For machines with too many states for explore. sticky goes on with the same task nine times out of ten, pct has
priorities that change at a few random steps, uniform takes any task that can move. Ctrl-C ends it, and what was
counted so far is printed. A walk that meets nothing proves nothing.

Examples:
  guplab walk kara-2018
  guplab walk kara-2018,pages=2,drivers=2 --strategy sticky --walks 10000
${EXIT_CODES}`,
    )
    .action(async (scenario: string, options) => (await import("./run.js")).walkCommand(scenario, options));

  program
    .command("danger")
    .description("tell of each step of a run whether a fault can still be reached, or avoided")
    .argument("<replay>", "the replay line of a run")
    .option(
      "--kind <kind>",
      "which fault, such as BUG; default the run's worst, or the worst that can be reached",
    )
    .addOption(maxStatesOption())
    .option("--html <file>", "write its figure there, as a page that needs nothing else")
    .option("--svg <file>", "write a picture of it there")
    .option("--png <file>", "write a picture in pixels there")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Every interleaving is searched first. Then each step of the run is told with the number of steps that lead to the fault
from there at least; the step after which no way avoids it is the point of no return.

Examples:
  guplab danger dio-write-race@v4.20:w10t1m2
  guplab danger misuse@v4.20:p15v12 --json
  guplab danger dio-write-race@v4.20:w10t1m2 --svg danger.svg
${EXIT_CODES}`,
    )
    .action(async (replay: string, options) => (await import("./run.js")).dangerCommand(replay, options));

  program
    .command("orderings")
    .description("tell which orderings between tasks the worst fault of a scenario needs")
    .argument("<scenario>", "name or number, with parameters after commas")
    .addOption(kernelOption())
    .addOption(maxStatesOption())
    .option("--html <file>", "write its figure there, as a page that needs nothing else")
    .option("--svg <file>", "write a picture of it there")
    .option("--png <file>", "write a picture in pixels there")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
The orderings are those of the shortest way to the fault, between steps of different tasks that touch the same thing.
NECESSARY: no way to the fault is without it. optional: another way is, and its replay line is the proof.

Examples:
  guplab orderings cve-2020-29374
  guplab orderings trunc-cache --json
  guplab orderings kara-2018 --svg before.svg
${EXIT_CODES}`,
    )
    .action(async (scenario: string, options) =>
      (await import("./run.js")).orderingsCommand(scenario, options),
    );

  program
    .command("liveness")
    .description("tell what may go on for ever in a scenario: livelock, endless waits, starvation")
    .argument("<scenario>", "name or number, with parameters after commas")
    .addOption(kernelOption())
    .addOption(maxStatesOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
A run that never ends counts when it is weakly fair: a task that can move from some moment on does move.
LIVELOCK: a process makes steps for ever and does not come to its end. WAITS: it can never move again, while others go on.
STARVATION: it can move again and again, and another is always first; no fault, for the locks here have no queues.
Each comes with a replay line that leads there, and with the round that is made for ever from there.

Examples:
  guplab liveness kara-2018-quiet
  guplab liveness pressure -k 2026

Exit codes: 0 nothing goes on for ever for certain, 1 a usage or input error, 3 something does: no way leads out of it.`,
    )
    .action(async (scenario: string, options) =>
      (await import("./run.js")).questionCommand("liveness", scenario, options),
    );

  program
    .command("safety")
    .description(
      "tell what a safe verdict rests on: which tests were made, which never, and the nearest miss",
    )
    .argument("<scenario>", "name or number, with parameters after commas")
    .addOption(kernelOption())
    .addOption(maxStatesOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Each test on which a fault depends is counted: in how many states it was made, in how many of them on a pinned page.
VACUOUS is said where nobody ever pinned a page, or no test was made. The nearest miss is the test that would have failed
had it been made a few steps earlier; its line leads to that moment. Every step is made again: some ten times a search.

Examples:
  guplab safety kara-2018-private
  guplab safety W5 -k 2026
${EXIT_CODES}`,
    )
    .action(async (scenario: string, options) =>
      (await import("./run.js")).questionCommand("safety", scenario, options),
    );

  program
    .command("rate")
    .description(
      "tell how long it takes until a scenario meets a fault, from every interleaving and times that you give",
    )
    .argument("<scenario>", "name or number, with parameters after commas")
    .addOption(kernelOption())
    .option("--step <time>", "an ordinary step of a processor; default 1us")
    .option("--dma <time>", "a device's transfer; default 1ms")
    .option("--disk <time>", "the disk's latency; default 1ms")
    .option(
      "--kswapd <time>",
      "from one look of kswapd at the pages until the next: memory pressure; default 1s",
    )
    .option("--flusher <time>", "from one writeback until the next; default 5s, dirty_writeback_interval")
    .option("--commit <time>", "from one commit of the journal until the next; default 5s")
    .option("--timeout <time>", "sleeps of the kernel that are a part of a second; default 100ms")
    .option("--io-timeout <time>", "until NVMe gives a request up; default 30s")
    .option("--think <time>", "what a process does in between, and between two runs; default 10ms")
    .addOption(
      new Option(
        "--pinned <n>",
        "pages that are pinned at every moment, on average, by runs side by side; default: one run after the other",
      ).argParser(whole(1)),
    )
    .option("--kind <kind>", "which fault, such as BUG; default the worst that can be reached")
    .addOption(
      new Option(
        "--method <name>",
        "exact: from the equations; brute: runs by lot, counted; sampling: runs by a lot that prefers what leads to the fault, weighed; all",
      ).choices(["exact", "brute", "sampling", "all"]),
    )
    .addOption(new Option("--cycles <n>", "runs by lot; default 100000").argParser(whole(1)))
    .addOption(new Option("-s, --seed <n>", "of the lot; default 1").argParser(whole(0)))
    .addOption(maxStatesOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Every interleaving is searched first; then each step takes a time, exponentially distributed around its mean, and the mean time
to the fault follows from the graph. Nobody measured these times: every rate that is printed is synthetic, and stands beside the
times it was made of. A time is a number and ns, us, ms, s, min, h or d. Only what the scenario waits for can be given.

A run begins at the scenario's start and ends when every process is gone and all is written; the next one begins after the
think time. With --pinned runs go on side by side, independent of each other, as many as it takes for so many pages to be
pinned at every moment. Told are also the likeliest way, and with which power of each time the mean time goes.

Examples:
  guplab rate dio-write-race --dma 10ms --think 1s
  guplab rate kara-2018 --dma 10ms --kswapd 100ms --pinned 64
  guplab rate dio-write-race --method all --json
${EXIT_CODES}`,
    )
    .action(async (scenario: string, { ioTimeout, ...options }) =>
      (await import("./run.js")).rateCommand(scenario, {
        ...options,
        ...(ioTimeout === undefined ? {} : { io_timeout: ioTimeout }),
      }),
    );

  program
    .command("nb")
    .description("run, check or render notebooks, with Node alone")
    .argument(
      "<action>",
      "run: execute and keep the outputs; check: are the outputs those of a run; render: to HTML",
    )
    .argument("[notebooks...]", "files; default all of the folder notebooks")
    .option("--out <path>", "for render: a folder, or an .html file for a single notebook")
    .addOption(new Option("--timeout <seconds>", "what one cell may take").argParser(whole(1)).default(60))
    .addHelpText(
      "after",
      `
A cell with the tag raises-exception may fail: its error is its output, and the run goes on.

Examples:
  guplab nb run
  guplab nb check notebooks/01-the-crash.ipynb
  guplab nb render --out pages
${EXIT_CODES}`,
    )
    .action(async (action: string, notebooks: string[], options: { out?: string; timeout: number }) => {
      if (action !== "run" && action !== "render" && action !== "check")
        throw new Error(`guplab nb does run, check or render, not "${action}"`);
      const { nb } = await import("../notebook/cli.js");
      process.exitCode = await nb({ action, notebooks, out: options.out, timeout_s: options.timeout });
    });

  const places = (command: Command): Command =>
    command
      .addOption(new Option("--user", "for this user; the default").conflicts(["prefix", "project"]))
      .addOption(
        new Option(
          "--prefix <folder>",
          "below share/jupyter there: /usr/local, or a virtual environment",
        ).conflicts("project"),
      )
      .option("--project [folder]", "in the folder .jupyter there, or here; JUPYTER_PATH then names it")
      .addOption(jsonOption());
  const kernel = program
    .command("kernel")
    .description("the Jupyter kernel TypeScript (guplab): install it, list where it is, remove it, start it")
    .addHelpText(
      "after",
      `
Jupyter, VS Code and others find a kernel by a kernelspec, a small file that says how to start it. guplab writes it itself: no
Python is needed. Its paths are absolute: install again after guplab or Node has moved.

Cells have guplab's names without an import, and display(), clearOutput() and input(). Node's types come with the first cell that
uses a module of Node, which takes a second then; GUPLAB_TYPES=node in the kernel's environment has them from the start.

Examples:
  guplab kernel install
  guplab kernel install --project && JUPYTER_PATH=$PWD/.jupyter jupyter notebook
  guplab kernel list
  guplab doctor
${EXIT_CODES}`,
    );
  places(
    kernel.command("install").description("write the kernelspec, so that Jupyter finds the kernel"),
  ).action(async (options) => (await import("./kernel.js")).installCommand(options));
  places(kernel.command("remove").description("remove the kernelspec")).action(async (options) =>
    (await import("./kernel.js")).removeCommand(options),
  );
  kernel
    .command("list")
    .description("list where the kernel is installed, and what is wrong with it there")
    .addOption(jsonOption())
    .action(async (options) => (await import("./kernel.js")).listCommand(options));
  kernel
    .command("start")
    .description("be a kernel, until a client ends it; by what its kernelspec starts")
    .requiredOption("--connection-file <file>", "what Jupyter writes for each kernel: ports and a key")
    .action(async (options) => (await import("./kernel.js")).startCommand(options));

  program
    .command("doctor")
    .description("find out what keeps the notebooks or the kernel from working here, and say what helps")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Looked at are Node's version, the ZeroMQ library, tslab's version, the kernelspecs, whether Jupyter is here (guplab nb does without),
and whether a kernel starts and answers, with how long it takes.

Exit codes: 0 all is well, 1 a usage or input error, 3 something has to be mended.`,
    )
    .action(async (options) => (await import("./doctor.js")).doctorCommand(options));

  program
    .command("scenarios")
    .description("list the scenarios")
    .addOption(jsonOption())
    .action((options: { json?: true }) => oneVerb("scenarios", options));

  program
    .command("kernels")
    .description("list the kernels")
    .addOption(jsonOption())
    .action((options: { json?: true }) => oneVerb("kernels", options));

  program
    .command("proposals")
    .description("list what was proposed and not merged, or tell of one proposal who said what of it")
    .argument("[name]", "one of them")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Each is a patch: -k v4.20+NAME runs it, guplab diff v4.20 v4.20+NAME shows its steps, guplab matrix --cell NAME W1 what can
happen with it.

Examples:
  guplab proposals
  guplab proposals hubbard-ttu-2018
${EXIT_CODES}`,
    )
    .action((name: string | undefined, options: { json?: true }) =>
      oneVerb(name === undefined ? "proposals" : `proposals ${name}`, options),
    );

  program
    .command("log")
    .description("list the patches of a kernel, the oldest first")
    .argument("<kernel>", "its name; with patches added: v5.18+keep-private-of-pinned")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Examples:
  guplab log v6.5
${EXIT_CODES}`,
    )
    .action(async (kernel: string, options) => (await import("./kernels.js")).logCommand(kernel, options));

  program
    .command("diff")
    .description("show where the paths of two kernels differ")
    .argument("<from>", "a kernel")
    .argument("<to>", "another")
    .argument("[path]", "only this path")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Examples:
  guplab diff v4.20 v6.4 shrink_page_list
  guplab diff v6.3 v6.5
${EXIT_CODES}`,
    )
    .action(async (from: string, to: string, path: string | undefined, options) =>
      (await import("./kernels.js")).diffCommand(from, to, path, options),
    );

  program
    .command("bisect")
    .description("find the patch that changes the outcome of a scenario")
    .argument("<scenario>", "name or number, with parameters after commas")
    .argument("<good>", "a kernel")
    .argument("<bad>", "another, with all of its patches and more, or fewer")
    .addOption(
      new Option("--max-states <n>", "give up each search after this many states").argParser(whole(1)),
    )
    .addOption(
      new Option("--runs <n>", "no search: this many seeded runs on each kernel").argParser(whole(1)),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Each kernel on the way is searched, every interleaving where the bound allows it: the bound is printed with each outcome. For a machine
that is too big for that, --runs judges each kernel by seeded runs.

Examples:
  guplab bisect W11 v4.20 v6.1
  guplab bisect W1 v5.18 v6.4 --runs 100
${EXIT_CODES}`,
    )
    .action(async (scenario: string, good: string, bad: string, options) =>
      (await import("./kernels.js")).bisectCommand(scenario, good, bad, options),
    );

  program
    .command("matrix")
    .description(
      "every kernel and every proposal against the standard workloads: what can happen, each with its witness",
    )
    .option("--cell <row-and-column...>", "one cell: a kernel or a proposal, and W1 to W18")
    .option("--rows <names...>", "only these kernels and proposals")
    .option("--columns <workloads...>", "only these: W1 W6")
    .addOption(
      new Option(
        "--max-states <n>",
        "end the search of a cell after so many states, and walk at random instead; default 3000000",
      ).argParser(whole(1)),
    )
    .addOption(new Option("-j, --jobs <n>", "cells at a time; default one a processor").argParser(whole(1)))
    .option("--html <file>", "write a page there in which each cell opens its witnesses as lanes")
    .option("--svg <file>", "write a picture of the cells there")
    .option("--png <file>", "write a picture in pixels there")
    .addOption(
      new Option(
        "--plan [folder]",
        "print commands that compute one cell each, into files of that folder; default cells",
      ).conflicts(["cell", "merge", "html", "svg", "png", "json"]),
    )
    .addOption(
      new Option("--merge <folder>", "compute nothing: put the results of that folder together").conflicts([
        "cell",
        "rows",
        "columns",
      ]),
    )
    .option("--result <file>", "with --cell: write the result there, for --merge")
    .option("--cache <folder>", "where cells are kept; default guplab/matrix in the user's cache folder")
    .option("--fresh", "compute cells anew that are kept")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
A cell is the set of outcomes that can happen to a workload on a kernel, under every interleaving within the bound, each with
a replay line; OK is a seeded run in which nothing went wrong. A proposal's row is on v4.20, or on the oldest kernel to which it
applies, and once more on 2026 where it applies there. Cells are kept as they are computed, so that the same command goes on
where Ctrl-C, or anything else, ended it. They are computed anew when guplab's code has changed.

Examples:
  guplab matrix --html matrix.html
  guplab matrix --cell hubbard-ttu-2018 W1
  guplab matrix --rows v4.20 v5.18 v6.4 2026 --columns W1 W2 W5
  guplab matrix --plan cells | parallel && guplab matrix --merge cells --html matrix.html
${EXIT_CODES}`,
    )
    .action(async (options) => (await import("./matrix.js")).matrixCommand(options));

  program
    .command("fix")
    .description("try a patch of your own on the standard workloads, beside the kernel without it")
    .argument("<file>", "a module of JavaScript (.mjs, .js) whose default export is the patch")
    .addOption(kernelOption())
    .option("-w, --workloads <names...>", "scenarios, with parameters after commas; default W1 to W18")
    .addOption(
      new Option(
        "--max-states <n>",
        "give up each search after so many states, and walk at random instead; default 5000000",
      ).argParser(whole(1)),
    )
    .addOption(
      new Option("--replay <line>", "no search: do a run again that was found with the patch").conflicts([
        "kernel",
        "workloads",
        "maxStates",
      ]),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
The file, for example fix.mjs:
  import { before, goto, page_count, page_has_private, when } from "guplab";
  export default {
    name: "skip-referenced",
    help: "reclaim leaves a page alone that somebody else refers to",
    edits: [
      before("shrink_page_list", "PageDirty#1", [
        when("page_count", (k, f) => page_count(k, f.page) > 2 + (page_has_private(k, f.page) ? 1 : 0), [goto("keep_locked")]),
      ]),
    ],
  };
A step is named as in Linux; guplab repl -e 'scenario W1; paths shrink_page_list' prints a path with its steps. Edits are before,
after, replace, remove, around, recall and becomes; what stands in them are the words in which src/kernel is written. An edit that
does not apply is told with what would. Ctrl-C ends it, and prints what has been found.

Examples:
  guplab fix fix.mjs
  guplab fix fix.mjs -k v6.3 --workloads W1 W1,holder=rdma W7
  guplab fix fix.mjs --replay 'dio-reclaim@v4.20+skip-referenced:p13k16'
${EXIT_CODES}`,
    )
    .action(async (file: string, options) => (await import("./fix.js")).fixCommand(file, options));

  program
    .command("driver")
    .description("try a driver of your own on every kernel: the calls that it makes, one after the other")
    .argument(
      "[calls...]",
      "such as get_user_pages_fast dma_map_sg wait dma_unmap_sg put_page; none: what there are",
    )
    .option("-k, --kernels <names...>", "kernels; default all that were released")
    .option(
      "-s, --scenarios <names...>",
      "scenarios that ask who holds the pages, with parameters after commas; default nine",
    )
    .addOption(
      new Option(
        "--max-states <n>",
        "give up each search after so many states, and walk at random instead; default 300000",
      ).argParser(whole(1)),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
A call is named as in Linux: "pin_user_pages_fast(FOLL_WRITE|FOLL_LONGTERM)", with quotes where the shell wants them; without brackets
FOLL_WRITE is meant. Between dma_map_sg and dma_unmap_sg a device writes into the pages, twice, when it likes. A kernel that is the same
machine for a scenario as one further up is not searched again.

In every scenario that has holder= the calls can be said with + between them, and so they stand in replay lines:
  guplab run 'W1,holder=get_user_pages_fast+dma_map_sg+wait+dma_unmap_sg+put_page'

Examples:
  guplab driver
  guplab driver get_user_pages_fast dma_map_sg wait dma_unmap_sg set_page_dirty_lock put_page
  guplab driver pin_user_pages_fast dma_map_sg wait dma_unmap_sg unpin_user_pages_dirty_lock -k v6.1 2026 -s W1 W5
${EXIT_CODES}`,
    )
    .action(async (calls: readonly string[], options) =>
      (await import("./run.js")).driverCommand(calls, options),
    );

  program
    .command("article")
    .description("the article's claims; or one, with what shows or refutes it computed now")
    .argument("[number]", "of a claim", whole(1))
    .addOption(maxStatesOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
The article is "DMA and get_user_pages()", LWN, 12 December 2018, with its comments. A claim comes with searches, and what each must
come to for the claim to hold.

Examples:
  guplab article
  guplab article 11

Exit codes: 0 told, 1 a usage or input error, 3 the claim does not hold, or only in part.`,
    )
    .action(async (nr: number | undefined, options) =>
      (await import("./run.js")).articleCommand(nr, options),
    );

  program
    .command("compare")
    .description("hold recordings of real kernels against guplab")
    .argument("<folders...>", "a folder with outcome.json and trace.txt.gz each")
    .option("-k, --kernel <kernel>", "another kernel than the recording's own")
    .option(
      "--script",
      "print the orders that were given, and a statement of the REPL that does it all again",
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
The workload is read from outcome.json and done again on the same kernel. Compared are its outcome, error numbers,
counters of /proc/vmstat, and what became of each page of its file, in order. Workloads:
  strip HOLDER HOW FILE PAGES     hold pages, clean them, take their buffers away, let go
  trunc HOLDER HOW FILE PAGES     hold pages, cut them out of the file, let go
  race HOLDER HOW FILE PAGES      strip with nobody waiting for anybody
  reflink HOLDER FILE PAGES       hold pages, share the file's blocks, let go
  fork, vmsplice, matrix, mmapwrite
Holders: dio, pvmw, mem, xdp, uring, vmsplice. Ways to strip: pageout, reclaim, hog, dropcaches; to cut: truncate,
punch, diowrite.

Examples:
  guplab compare recordings/b-dio-pageout-6.1
  guplab compare recordings/b-dio-pageout-6.1 --kernel v6.4
${EXIT_CODES.replace("a run or search found a fault", "they differ")}`,
    )
    .action(async (folders: string[], options) =>
      (await import("./compare.js")).compareCommand(folders, options),
    );

  program
    .command("repl")
    .description("the REPL: at the terminal, or for the commands of a pipe, a file or -e")
    .argument("[file]", "a script: one command a line, # begins a comment")
    .option("-e, --execute <commands>", "do these, separated by ; , and leave")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Examples:
  guplab repl
  guplab repl -e 'until buffers-gone; back; page 0'
  guplab repl script.txt --json
  echo 'help' | guplab repl
${EXIT_CODES}`,
    )
    .action(startRepl);
  // After the commands, which would inherit it: an unknown command is the program's excess argument.
  return program.allowExcessArguments();
}

interface ReplOptions {
  readonly execute?: string;
  readonly json?: true;
}

async function oneVerb(line: string, { json }: { json?: true }): Promise<void> {
  const [{ Desk }, { NodeHost }, { runLine }] = await Promise.all([
    import("../lab/desk.js"),
    import("./host.js"),
    import("./shell.js"),
  ]);
  const result = await runLine(new Desk(new NodeHost()), line);
  process.stdout.write(json ? `${JSON.stringify(result.json, null, 2)}\n` : `${result.text}\n`);
}

async function startRepl(file: string | undefined, { execute, json }: ReplOptions): Promise<void> {
  const { NodeHost } = await import("./host.js");
  const host = new NodeHost();
  if (file !== undefined && execute !== undefined)
    throw new Error("guplab repl takes commands from a file or from -e, not from both");
  const given = execute ?? (file === undefined ? undefined : host.read(file));
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (given === undefined && terminal && !json) {
    // Ink draws nothing where it believes to be in a build; this is a terminal, whatever the environment says.
    process.env.CI = "false";
    const { startInk } = await import("../../repl/main.js");
    process.exitCode = await startInk(host);
    return;
  }
  const [{ Desk }, { runPlain, standardInput }] = await Promise.all([
    import("../lab/desk.js"),
    import("../../repl/plain.js"),
  ]);
  const lines = given === undefined ? (process.stdin.isTTY ? [] : standardInput()) : [given];
  process.once("SIGINT", () => host.interrupt() || process.exit(130));
  process.exitCode = await runPlain(new Desk(host), lines, {
    json: json === true,
    print: (text) => process.stdout.write(text),
    complain: (sentence) => process.stderr.write(`guplab: ${sentence}\n`),
  });
}

// A reader that has seen enough (guplab ... | head) is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

try {
  await command().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 1;
  } else if (error instanceof Error && error.name === "Error") {
    process.stderr.write(`guplab: ${error.message}\n`);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
