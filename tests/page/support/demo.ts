/** A demo that runs: `emberway demo` on free ports, with traffic that goes on. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";

/** Longest wait for the acts to be over; a debug build on a busy machine needs half a minute. */
const STARTED_WITHIN_MS = 120_000;

/** What the demo's environment file tells. */
export interface Places {
  /** The gateway's base URL, for applications. */
  readonly gateway: string;
  /** The key that it takes. */
  readonly key: string;
  /** The admin listener's base URL, where the page is. */
  readonly admin: string;
  /** The simulator's control listener. */
  readonly control: string;
}

/** A demo, and how to end it. */
export interface Demo {
  readonly places: Places;
  stop(): Promise<void>;
}

/** Reads `export NAME=value` lines. */
export function places(text: string): Places {
  const value = (name: string): string => {
    const line = text.split("\n").find((line) => line.startsWith(`export ${name}=`));
    if (line === undefined) {
      throw new Error(`the demo's file has no ${name}`);
    }
    return line.slice(`export ${name}=`.length);
  };
  return {
    gateway: value("GATEWAY_URL"),
    key: value("GATEWAY_KEY"),
    admin: value("ADMIN_URL"),
    control: value("SIMULATOR_URL"),
  };
}

/** Starts a demo in a folder and waits until its acts are over and it stays up. */
export async function start(program: string, folder: string): Promise<Demo> {
  const file = path.join(folder, "demo.env");
  const child = spawn(program, ["demo", "--free-ports", "--seconds", "8", "--env-file", file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await staysUp(child);
  return {
    places: places(await readFile(file, "utf8")),
    stop: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function staysUp(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let told = "";
    const ended = (code: number | null): void => reject(new Error(`the demo ended with ${code}; it told:\n${told}`));
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the demo did not come to its end in time; it told:\n${told}`));
    }, STARTED_WITHIN_MS);
    child.once("error", reject);
    child.once("exit", ended);
    child.stdout?.on("data", (part: Buffer) => {
      told += part.toString();
      if (told.includes("It stays up until Ctrl-C")) {
        clearTimeout(late);
        // Only this one: more is told at the end, when `stop` waits for the same event.
        child.off("exit", ended);
        resolve();
      }
    });
  });
}
