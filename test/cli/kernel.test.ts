/** `guplab kernel` and `guplab doctor`, as somebody types them; the built command. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../notebook/fixture.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());
const main = new URL("../../dist/src/cli/main.js", import.meta.url).pathname;
const script = new URL("../../dist/src/cli/kernel-main.js", import.meta.url).pathname;
const env = { ...process.env, JUPYTER_DATA_DIR: join(folder.path, "data"), JUPYTER_PATH: "" };

const guplab = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: folder.path,
    encoding: "utf8",
    env,
  });
  return { status, stdout, stderr };
};

describe("guplab kernel", () => {
  const at = join(folder.path, "data/kernels/guplab");

  test("installs, lists and removes", () => {
    const installed = guplab("kernel", "install");
    expect(installed.stdout).toMatch(`installed in ${at}\n`);
    expect(guplab("kernel", "list").stdout).toContain(`${at}\n  ${process.execPath} ${script}\n`);
    expect(JSON.parse(guplab("kernel", "list", "--json").stdout)).toContainEqual({
      folder: at,
      starts: [process.execPath, script],
      fault: null,
    });
    expect(JSON.parse(guplab("kernel", "remove", "--json").stdout)).toEqual({ folder: at });
    expect(guplab("kernel", "remove")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`in ${at};`),
    });
  });

  test("in a project says how Jupyter finds it", () => {
    const { stdout } = guplab("kernel", "install", "--project");
    expect(stdout).toContain(`JUPYTER_PATH=${join(folder.path, ".jupyter")} jupyter notebook finds it there`);
  });

  test("takes one place at a time", () => {
    const { status, stderr } = guplab("kernel", "install", "--user", "--prefix", "x");
    expect(status).toBe(1);
    expect(stderr).toContain("cannot be used with option");
  });
});

describe("a kernel that cannot start says so in a sentence, and ends", () => {
  test("without a connection file", () => {
    expect(guplab("kernel", "start", "--connection-file", "none.json")).toMatchObject({
      status: 1,
      stderr:
        "guplab kernel: the connection file none.json cannot be read: there is no such file or folder\n",
    });
    const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
    expect([status, stderr]).toEqual([
      1,
      "guplab kernel: start it with --connection-file FILE, which Jupyter writes\n",
    ]);
  });

  test("at a port that is taken", async () => {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const ports = { shell_port: port, iopub_port: 1, stdin_port: 1, control_port: 1, hb_port: 1 };
    const file = folder.file("busy.json", JSON.stringify({ ...ports, key: "k" }));
    const child = spawn(process.execPath, [script, "--connection-file", file], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    expect(await once(child, "close")).toEqual([1, null]);
    expect(said).toBe(
      `guplab kernel: the shell channel cannot listen at 127.0.0.1, port ${port}: another program does; start with other ports\n`,
    );
    server.close();
  });
});

describe("guplab doctor", () => {
  test("finds nothing amiss here, and says how long a kernel takes", () => {
    const { status, stdout } = guplab("doctor", "--json");
    const findings = JSON.parse(stdout) as { what: string; state: string; says: string }[];
    expect(findings.filter(({ state }) => state === "fault")).toEqual([]);
    expect(findings.map(({ what }) => what)).toEqual(
      expect.arrayContaining(["Node", "guplab", "ZeroMQ", "tslab", "kernelspec", "Jupyter", "kernel"]),
    );
    expect(findings.at(-1)?.says).toMatch(
      /^answers after \d+\.\d s, its first cell is done after \d+\.\d s$/,
    );
    expect(status).toBe(0);
  });

  test("names a kernelspec that leads nowhere, and tries no kernel then", () => {
    guplab("kernel", "install");
    folder.file("data/kernels/guplab/kernel.json", JSON.stringify({ argv: ["/gone/node", "/gone/script"] }));
    const { status, stdout } = guplab("doctor");
    expect(stdout).toMatch(
      /^fault {2}kernelspec {2}\/gone\/node, which it starts, is not there; guplab kernel install/m,
    );
    expect(stdout).toMatch(/^note {3}kernel {6}not tried/m);
    expect(status).toBe(3);
  });
});
