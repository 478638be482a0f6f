/** Starts the Ink program on a terminal, for the guplab command. */
import { render } from "ink";
import type { NodeHost } from "../src/cli/host.js";
import { Desk } from "../src/lab/desk.js";
import { App } from "./app.js";
import { appendHistory, historyFile, readHistory } from "./history.js";

const PASTE_ON = "\x1b[?2004h";
const PASTE_OFF = "\x1b[?2004l";

/** Run the REPL until it is left; gives the exit code. */
export async function startInk(host: NodeHost): Promise<number> {
  const desk = new Desk(host);
  const file = historyFile();
  let progress = "";
  host.progress = (seen) => {
    progress = seen;
  };
  process.stdout.write(PASTE_ON);
  try {
    const ink = render(
      <App
        desk={desk}
        history={readHistory(file)}
        remember={(line) => appendHistory(file, line)}
        interrupt={() => host.interrupt()}
        progress={() => progress}
      />,
      // Not incrementalRendering: after a resize it leaves rows of the old frame (Ink 6.8).
      { exitOnCtrlC: false },
    );
    await ink.waitUntilExit();
  } finally {
    process.stdout.write(PASTE_OFF);
  }
  if (desk.tick > 0) process.stdout.write(`replay: ${desk.world.replay}\n`);
  return 0;
}
