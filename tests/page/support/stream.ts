/**
 * Servers in front of the admin listener that pass all on but the live stream: one makes a day of it up within seconds, one cuts it.
 * (A browser that is set offline keeps the answers that it is reading already.)
 */
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { demo } from "./world.ts";

/** A tick as the gateway sends it; only its time is changed. */
type Tick = { at_ms: number } & Record<string, unknown>;

/** How far apart ticks are, as the gateway sends them. */
export const TICK_MS = 2_000;
/** Ticks that are written before the event loop gets its turn. */
const BATCH = 50;

/** A server that plays ticks. */
export interface Player {
  /** Where the page is to be opened. */
  readonly url: string;
  /** Plays so many ticks to whoever listens; resolves when the last is written. */
  play(ticks: number): Promise<void>;
  close(): Promise<void>;
}

/** The first tick of the real stream. */
async function firstTick(): Promise<Tick> {
  const answer = await fetch(`${demo().admin}/api/v1/live`);
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) {
    throw new Error("the live stream has no body");
  }
  let told = "";
  for (;;) {
    const { done, value } = await reader.read();
    told += value ?? "";
    const tick = /event: ?tick\n(?:id:.*\n)?data: ?(.*)\n/.exec(told)?.[1];
    if (tick !== undefined) {
      await reader.cancel();
      return JSON.parse(tick) as Tick;
    }
    if (done) {
      throw new Error(`the live stream ended without a tick: ${told}`);
    }
  }
}

function passOn(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const admin = new URL(demo().admin);
  const upstream = ask(
    { host: admin.hostname, port: admin.port, path: incoming.url, method: incoming.method, headers: { ...incoming.headers, host: admin.host } },
    (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    },
  );
  upstream.on("error", () => outgoing.destroy());
  // A stream that nobody reads any more must not keep one of the gateway's places.
  outgoing.on("close", () => upstream.destroy());
  incoming.pipe(upstream);
}

/** Starts a server on a free port that passes all on but the stream, which `live` answers. */
async function inFront(live: (incoming: IncomingMessage, outgoing: ServerResponse) => void): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    (incoming.url?.startsWith("/api/v1/live") === true ? live : passOn)(incoming, outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Starts a server that plays ticks. */
export async function player(): Promise<Player> {
  const tick = await firstTick();
  const listeners = new Set<ServerResponse>();
  const server = await inFront((_, outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    outgoing.write(": hello\n\n");
    listeners.add(outgoing);
    outgoing.on("close", () => listeners.delete(outgoing));
  });
  let at = tick.at_ms;
  return {
    ...server,
    play: async (ticks) => {
      for (let sent = 0; sent < ticks; sent += BATCH) {
        let text = "";
        for (let index = sent; index < Math.min(sent + BATCH, ticks); index += 1) {
          at += TICK_MS;
          text += `event: tick\ndata: ${JSON.stringify({ ...tick, at_ms: at })}\n\n`;
        }
        const written = [...listeners].map(
          (listener) => new Promise<void>((resolve) => listener.write(text, () => resolve())),
        );
        await Promise.all(written);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

/** A server whose stream can be cut. */
export interface Cutter {
  /** Where the page is to be opened. */
  readonly url: string;
  /** Breaks the streams that run, and every one that is asked for, until `mend`. */
  cut(): void;
  mend(): void;
  /** How often a stream was asked for in vain since `cut`. */
  refused(): number;
  /** The id after which the newest stream was asked to go on. */
  resumedAfter(): string | undefined;
  close(): Promise<void>;
}

/** Starts a server that passes the real stream on until it is cut. */
export async function cutter(): Promise<Cutter> {
  const running = new Set<ServerResponse>();
  let isCut = false;
  let refused = 0;
  let resumedAfter: string | undefined;
  const server = await inFront((incoming, outgoing) => {
    if (isCut) {
      refused += 1;
      outgoing.destroy();
      return;
    }
    resumedAfter = incoming.headers["last-event-id"]?.toString();
    running.add(outgoing);
    outgoing.on("close", () => running.delete(outgoing));
    passOn(incoming, outgoing);
  });
  return {
    ...server,
    cut: () => {
      isCut = true;
      refused = 0;
      running.forEach((outgoing) => outgoing.destroy());
    },
    mend: () => {
      isCut = false;
    },
    refused: () => refused,
    resumedAfter: () => resumedAfter,
  };
}
