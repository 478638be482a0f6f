/** `guplab driver` as a program. */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
}, 120_000);

const guplab = (...args: readonly string[]) =>
  spawnSync(process.execPath, [join(root, "dist", "src", "cli", "main.js"), "driver", ...args], {
    encoding: "utf8",
  });
const CALLS = [
  "get_user_pages_fast",
  "dma_map_sg",
  "wait",
  "dma_unmap_sg",
  "set_page_dirty_lock",
  "put_page",
];

describe("guplab driver", () => {
  it("3 when something goes wrong on a kernel, with a line that guplab run takes", () => {
    const { status, stdout, stderr } = guplab(...CALLS, "-k", "v4.20", "v6.12", "-s", "W2", "W6");
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout).toMatch(/^v4\.20 to v6\.12 +OK +TORN$/m);
    const [, line] = /^ {2}(write-during-wb,\S+)$/m.exec(stdout) ?? [];
    const again = spawnSync(process.execPath, [join(root, "dist", "src", "cli", "main.js"), "run", line], {
      encoding: "utf8",
    });
    expect([again.status, again.stdout.split("\n")[0]]).toEqual([
      3,
      expect.stringContaining("on v4.20: TORN"),
    ]);
  });
  it("0 when nothing does; --json is one document", () => {
    const { status, stdout } = guplab(...CALLS, "-k", "2026", "-s", "W2", "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ driver: CALLS, cells: [{ kernel: "2026", workload: "W2" }] });
  });
  it("without calls it lists what there are", () => {
    expect(guplab().stdout).toMatch(/^put_page +lets go of references$/m);
    expect(Object.keys(JSON.parse(guplab("--json").stdout))).toContain("unpin_user_page");
  });
  it("1 and one sentence for what is no driver", () => {
    const { status, stdout, stderr } = guplab("put_page");
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toBe(
      "guplab: a driver that begins with put_page has no pages yet: get_user_pages_fast, get_user_pages_longterm or pin_user_pages_fast comes first\n",
    );
  });
});
