/** The danger along the runs of real scenarios: the point of no return is one, and the end of danger is one. */
import { describe, expect, it } from "vitest";
import { danger } from "../../src/lab/danger.js";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import { parseReplay } from "../../src/lab/world.js";
import { toSvg, toTerminal } from "../../src/plot/index.js";

describe("danger", () => {
  it("dio-write-race: once the bytes change while the device reads them, the write is torn", () => {
    const told = danger("dio-write-race@v4.20:w10t1m2");
    expect(told).toMatchObject({ kind: "TORN", complete: true, certainFrom: 11, happenedAt: 13 });
    expect(told.start).toEqual({ status: "possible", stepsToFault: 13 });
    expect(told.steps.map(({ stepsToFault }) => stepsToFault)).toEqual([
      12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    ]);
    expect(String(told)).toContain("The point of no return is step 11 (toucher, cpu_access: access)");
  });

  it("misuse: who forgets to put leaks whatever the others do", () => {
    const told = danger("misuse@v4.20:p15v12");
    expect(told).toMatchObject({ kind: "LEAK", certainFrom: 0, happenedAt: 27 });
    expect(String(told)).toContain("LEAK is certain from the start: no way avoids it.");
  });

  it("a run past the device's read is out of danger", () => {
    const told = danger("dio-write-race@v4.20:w10m2");
    expect(told.impossibleFrom).toBe(12);
    expect(String(told)).toContain("no way leads to TORN");
  });

  it.each(["fork-write", "trunc-cache", "fsync-pinned"])(
    "%s: the danger of the shortest way is possible, then certain, then there",
    (scenario) => {
      const { shortest } = explore(scenario);
      const { replay, kind } = shortest[0];
      const told = danger(replay);
      expect(told.kind).toBe(kind);
      expect(told.happenedAt).toBe(told.steps.length);
      const at = told.certainFrom ?? told.steps.length;
      expect(at).toBeGreaterThan(0);
      expect(told.steps.slice(0, at - 1).every(({ status }) => status === "possible")).toBe(true);
      expect(told.steps.slice(at - 1, -1).every(({ status }) => status === "certain")).toBe(true);
    },
  );

  it("as a figure: each step in the colour of what is so after it, and the point of no return", () => {
    const figure = danger("dio-write-race@v4.20:w10t1m2").figure();
    const named = (name: string) => figure.data.find((trace) => trace.name === name)?.x;
    expect(named("TORN can be reached and avoided")).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(named("no way avoids TORN")).toEqual([11, 12]);
    expect(named("TORN has happened")).toEqual([13]);
    expect(named("fewest steps to it")).toHaveLength(14);
    expect(figure.caption).toContain(
      "The point of no return is step 11, access: after it no way avoids TORN.",
    );
    expect(figure.caption).toContain("Replay: dio-write-race@v4.20:w10t1m2");
    expect(figure.layout.annotations.map(({ text }) => text)).toContain(
      "point of no return: step 11, access",
    );
    expect(toSvg(figure)).toContain("point of no return: step 11, access");
    expect(toTerminal(figure, { columns: 80, rows: 24, color: false })).toContain("The danger of TORN");
  });

  it("as a figure of a run that has no point of no return, and of one that has made no step", () => {
    const avoided = danger("misuse@v4.20:p1v1").figure();
    expect(avoided.layout.annotations.some(({ text }) => text.startsWith("point of no return"))).toBe(false);
    expect(toSvg(avoided)).not.toContain("NaN");
    expect(() => danger("misuse@v4.20:").figure()).toThrow("this run has no step: there is nothing to draw");
  });

  it("says in one sentence what does not fit", () => {
    expect(() => danger("nonsense")).toThrow(/is no replay line/);
    expect(() => danger("control@v4.20:")).toThrow("no fault was found here: there is no danger to tell of");
    expect(() => danger("dio-write-race@v4.20:", { kind: "BUG" })).toThrow(
      "no BUG was found here; found: TORN",
    );
    expect(() => danger("sandbox@v4.20:")).toThrow(/takes orders/);
  });

  it("of a search that was cut short only what is sure is said", () => {
    const told = danger("fsync-pinned@v4.20:", { kind: "LOST", maxStates: 4097 });
    expect(told.complete).toBe(false);
    expect(["possible", "unknown"]).toContain(told.start.status);
    expect(String(told)).toContain("cut short");
  });

  it("its run is the run of the replay line", () => {
    const line = "dio-write-race@v4.20:w10t1m2";
    const told = danger(line);
    expect(told.replay).toBe(line);
    expect(parseReplay(told.replay).scenario).toBe(run(line).recording.info.title.split(" ")[0]);
  });
});
