/** `guplab article` as a program. */
import { execFileSync, type SpawnSyncReturns, spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { claims } from "../../src/lab/article.js";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "dist", "src", "cli", "main.js");

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
}, 120_000);

const guplab = (...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [main, "article", ...args], { encoding: "utf8" });

describe("guplab article", () => {
  it("lists the claims, computing nothing; --json as one document", () => {
    const { status, stdout } = guplab();
    expect(status).toBe(0);
    expect(stdout).toMatch(/^1\. LWN: "multiple parts of the kernel think they have responsibility"$/m);
    expect(JSON.parse(guplab("--json").stdout)).toHaveLength(claims.length);
  });

  it("0 for a claim that holds, with the line that shows it", () => {
    const { status, stdout } = guplab("36");
    expect(status).toBe(0);
    expect(stdout).toContain(
      "It holds.\n  W14,how=early on v4.20, finds UAF: so it is: UAF, INFOLEAK (every interleaving, ",
    );
    expect(stdout).toMatch(/replay: misuse,how=early@v4\.20:/);
  });

  it("3 for one that does not hold, or in part", () => {
    const { status, stdout } = guplab("33");
    expect(status).toBe(3);
    expect(stdout).toContain("It holds in part.");
    expect(JSON.parse(guplab("33", "--json").stdout)).toMatchObject({ nr: 33, holds: false });
  });

  it("1 for what is no claim", () => {
    expect([guplab("99").status, guplab("99").stderr]).toEqual([
      1,
      `guplab: the article has claims 1 to ${claims.length}, and no 99\n`,
    ]);
    expect(guplab("x").status).toBe(1);
  });
});
