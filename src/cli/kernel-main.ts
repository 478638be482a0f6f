/** What a kernelspec starts: `node kernel-main.js --connection-file FILE`. Nothing is loaded that a kernel does not need. */
import { ConnectionError } from "../notebook/kernel/connection.js";
import { startKernelProcess } from "../notebook/kernel/start.js";

const [flag, file, ...rest] = process.argv.slice(2);
if (flag !== "--connection-file" || file === undefined || rest.length > 0) {
  process.stderr.write("guplab kernel: start it with --connection-file FILE, which Jupyter writes\n");
  process.exitCode = 1;
} else {
  try {
    await startKernelProcess(file, new URL("./kernel-server.js", import.meta.url));
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    process.stderr.write(`guplab kernel: ${error.message}\n`);
    process.exitCode = 1;
  }
}
