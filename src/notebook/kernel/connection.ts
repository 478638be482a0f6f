/** The connection file: by which a Jupyter client tells a kernel where to listen, and with which key messages are signed. */
import { getHashes } from "node:crypto";
import { readFileSync } from "node:fs";
import { reason } from "../format.js";

export const CHANNELS = ["shell", "iopub", "stdin", "control", "hb"] as const;

export type Channel = (typeof CHANNELS)[number];

export interface Connection {
  readonly transport: string;
  readonly ip: string;
  readonly key: string;
  readonly signature_scheme: string;
  readonly ports: Readonly<Record<Channel, number>>;
}

/** The kernel cannot start, or a client cannot reach it: the reason in one sentence. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** Read a connection file. @throws ConnectionError when there is none, or something is missing in it */
export function readConnection(path: string): Connection {
  const bad = (fact: string) =>
    new ConnectionError(
      `${path} is no connection file: ${fact}; Jupyter writes one for each kernel it starts`,
    );
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConnectionError(`the connection file ${path} cannot be read: ${reason(error)}`);
  }
  let file: Record<string, unknown>;
  try {
    file = JSON.parse(text);
  } catch {
    throw bad("it is not whole JSON");
  }
  if (typeof file !== "object" || file === null) throw bad("it is not an object");
  const { transport = "tcp", ip = "127.0.0.1", key = "", signature_scheme = "hmac-sha256" } = file;
  if (transport !== "tcp" && transport !== "ipc") throw bad("its transport is neither tcp nor ipc");
  if (typeof ip !== "string" || typeof key !== "string") throw bad("its ip or its key is not text");
  const digest = /^hmac-(.+)$/.exec(String(signature_scheme))?.[1];
  if (digest === undefined || !getHashes().includes(digest))
    throw bad(`its signature_scheme ${signature_scheme} is none that Node knows`);
  const port = (channel: Channel): number => {
    const value = file[`${channel}_port`];
    if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > 65535)
      throw bad(`its ${channel}_port is not a port from 1 to 65535`);
    return Number(value);
  };
  const ports = Object.fromEntries(CHANNELS.map((channel) => [channel, port(channel)]));
  return {
    transport,
    ip,
    key,
    signature_scheme: String(signature_scheme),
    ports: ports as Record<Channel, number>,
  };
}

/** Where a channel is, for ZeroMQ. */
export function address({ transport, ip, ports }: Connection, channel: Channel): string {
  return transport === "ipc" ? `ipc://${ip}-${ports[channel]}` : `tcp://${ip}:${ports[channel]}`;
}
