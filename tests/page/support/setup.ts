/** Starts the demo before the first test and ends it after the last one. `EMBERWAY` names the program. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { start } from "./demo.ts";

export default async function setup(): Promise<() => Promise<void>> {
  const program = process.env["EMBERWAY"];
  if (program === undefined) {
    throw new Error("EMBERWAY is not set: name the program, such as EMBERWAY=../../target/debug/emberway");
  }
  const folder = await mkdtemp(path.join(tmpdir(), "emberway-page-"));
  const demo = await start(path.resolve(program), folder);
  process.env["PAGE_PLACES"] = JSON.stringify(demo.places);
  return async () => {
    await demo.stop();
    await rm(folder, { recursive: true, force: true });
  };
}
