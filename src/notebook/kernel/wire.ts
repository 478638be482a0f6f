/**
 * Jupyter messages as ZeroMQ frames: routing identities, a delimiter, a signature, and four JSON objects (messaging
 * protocol 5.3, "The wire protocol"). Kernel and client both read and write them here.
 */
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import type { Json } from "../format.js";

/** What the messages here follow. */
export const PROTOCOL = "5.3";

const DELIMITER = "<IDS|MSG>";

export type Content = Readonly<Record<string, Json | undefined>>;

export interface Header {
  readonly msg_id: string;
  readonly msg_type: string;
  /** Of the program that sent it: a client's, or the kernel's own. */
  readonly session: string;
  readonly username: string;
  readonly version: string;
  /** ISO 8601. */
  readonly date: string;
}

/** A message that arrived. */
export interface Message {
  /** Whom an answer is for. */
  readonly identities: readonly Buffer[];
  readonly header: Header;
  /** Of the request that it answers; empty when it answers none. */
  readonly parent: Header | Record<string, never>;
  readonly metadata: Content;
  readonly content: Content;
}

/** A message to be sent. */
export interface Outgoing {
  readonly type: string;
  readonly content: object;
  readonly parent?: Header | Record<string, never>;
  readonly metadata?: object;
  /** Routing, or on the output socket the topic. */
  readonly identities?: readonly (Buffer | string)[];
}

/** Makes and reads the messages of one sender. */
export class Wire {
  /** Names this sender, in each header. */
  readonly session = randomUUID();
  private sent = 0;

  /**
   * @param key of the connection file; with an empty one nothing is signed
   * @param scheme hmac- and the name of a digest
   */
  constructor(
    private readonly key: string,
    private readonly scheme = "hmac-sha256",
  ) {}

  header(msg_type: string): Header {
    const msg_id = `${this.session}_${++this.sent}`;
    return {
      msg_id,
      msg_type,
      session: this.session,
      username: "guplab",
      version: PROTOCOL,
      date: new Date().toISOString(),
    };
  }

  /** The frames of a message; its header may have been made before. */
  frames(message: Outgoing, header = this.header(message.type)): (Buffer | string)[] {
    const parts = [header, message.parent ?? {}, message.metadata ?? {}, message.content].map((part) =>
      JSON.stringify(part),
    );
    return [...(message.identities ?? []), DELIMITER, this.sign(parts), ...parts];
  }

  /** A message from its frames; undefined when it is none, or not signed with the key. */
  read(frames: readonly Buffer[]): Message | undefined {
    const at = frames.findIndex((frame) => frame.toString() === DELIMITER);
    const [signature, ...rest] = frames.slice(at + 1);
    const parts = rest.slice(0, 4);
    if (at < 0 || parts.length < 4) return undefined;
    const wanted = Buffer.from(this.sign(parts));
    if (signature.length !== wanted.length || !timingSafeEqual(signature, wanted)) return undefined;
    try {
      const [header, parent, metadata, content] = parts.map((part) => JSON.parse(part.toString()));
      return { identities: frames.slice(0, at), header, parent, metadata, content };
    } catch {
      return undefined;
    }
  }

  private sign(parts: readonly (string | Buffer)[]): string {
    if (this.key === "") return "";
    const hmac = createHmac(this.scheme.replace(/^hmac-/, ""), this.key);
    for (const part of parts) hmac.update(part);
    return hmac.digest("hex");
  }
}
