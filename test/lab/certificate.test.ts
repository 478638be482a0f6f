import { describe, expect, it } from "vitest";
import { type Certificate, check } from "../../src/lab/certificate.js";
import { explore } from "../../src/lab/explore.js";

const certificateFor = (scenario: string, kernel: string): Certificate => {
  const { certificate } = explore(scenario, { kernel, certificate: true });
  if (!certificate) throw new Error("no certificate");
  return certificate;
};

describe("a certificate", () => {
  it("is confirmed by the check, of a fault and of a safe verdict", () => {
    const faulty = check(JSON.stringify(certificateFor("W7", "v4.20")));
    expect(faulty).toMatchObject({ confirmed: true, differences: [] });
    expect(String(faulty)).toMatch(
      /^trunc-cache on v4\.20: confirmed: \d+ states.*STALE in \d+ steps, REFUSED in \d+ steps$/,
    );
    const safe = check(JSON.stringify(certificateFor("kara-2018-quiet", "v6.4")));
    expect(String(safe)).toContain("nothing goes wrong");
  });

  it("that claims what is not so is refused, each difference named", () => {
    const true_ = certificateFor("W7", "v4.20");
    const claims: Certificate = {
      ...true_,
      states: true_.states - 1,
      fingerprint: "0000000000000000",
      faults: { BUG: 3 },
    };
    const { confirmed, differences } = check(JSON.stringify(claims));
    expect(confirmed).toBe(false);
    expect(differences).toEqual([
      { what: "states", claimed: true_.states - 1, found: true_.states },
      { what: "fingerprint", claimed: "0000000000000000", found: true_.fingerprint },
      { what: "steps to BUG", claimed: 3, found: null },
      { what: "steps to STALE", claimed: null, found: true_.faults.STALE },
      { what: "steps to REFUSED", claimed: null, found: true_.faults.REFUSED },
    ]);
    // The same scenario on another kernel has other states.
    expect(check(JSON.stringify({ ...true_, kernel: "v6.4" })).confirmed).toBe(false);
  });

  it("of a search that left states out by symmetry claims them all, and is confirmed without symmetry", () => {
    const scenario = "trunc-dax,drivers=2,buffer=shared";
    const made = certificateFor(scenario, "v4.20");
    const { certificate, symmetry, states } = explore(scenario, { certificate: true });
    expect(symmetry?.states).toBe(made.states);
    expect(states).toBeLessThan(made.states);
    expect(certificate).toEqual(explore(scenario, { certificate: true, symmetry: false }).certificate);
    expect(check(JSON.stringify(made)).confirmed).toBe(true);
  });

  it("of a search that was cut short there is none", () => {
    expect(explore("kara-2018", { maxStates: 1000, certificate: true }).certificate).toBeNull();
    expect(explore("W7")).not.toHaveProperty("certificate");
  });

  it.each([
    [
      "{",
      /^this is no certificate: it is not whole JSON; guplab explore SCENARIO --certificate FILE writes one$/,
    ],
    ["null", /^this is no certificate: it lacks "guplab": "certificate"/],
    ['{"guplab":"certificate"}', /^this is no certificate: its states is no whole number/],
  ])("what is none is refused in one sentence: %s", (text, sentence) => {
    expect(() => check(text)).toThrow(sentence);
  });

  it("of a kernel or scenario that is not known is refused", () => {
    const true_ = certificateFor("W8", "v4.20");
    expect(() => check(JSON.stringify({ ...true_, kernel: "v9" }))).toThrow(/^there is no kernel "v9"/);
    expect(() => check(JSON.stringify({ ...true_, scenario: "nope" }))).toThrow(
      /^there is no scenario "nope"/,
    );
    expect(() => check(JSON.stringify(true_), () => false)).toThrow("was interrupted");
  });
});
