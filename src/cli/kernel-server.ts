/** The thread of a kernel that has its sockets. */
import { serve } from "../notebook/kernel/server.js";

void serve();
