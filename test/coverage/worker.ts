/** In every test worker: leaves the marks of the steps that ran in the folder where the run collects them. */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, inject } from "vitest";
import { reached } from "./reached.js";

afterAll(() => {
  if (reached.size > 0)
    writeFileSync(join(inject("marksFolder"), `${randomUUID()}.json`), JSON.stringify([...reached]));
});
