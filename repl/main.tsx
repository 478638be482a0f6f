/** The Ink program. */
import type { NodeHost } from "../src/cli/host.js";
export async function startInk(_host: NodeHost): Promise<number> {
  return 0;
}
