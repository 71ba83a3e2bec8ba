/** Events that could not be sent before the process ended, kept in a file until they are; for Node.js. */

import { open, readFile, rename, rm } from "node:fs/promises";

import type { Spool, UsageEvent } from "./meter.ts";

/** A file of events, one a line, that is replaced whole; one process at a time may use it. */
export function fileSpool(path: string): Spool {
  return {
    async read() {
      try {
        const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
        return lines.map((line) => JSON.parse(line) as UsageEvent);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
        throw error;
      }
    },
    async write(events) {
      const partial = `${path}.partial`;
      const file = await open(partial, "w");
      try {
        await file.writeFile(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(partial, path);
    },
    async clear() {
      await rm(path, { force: true });
    },
  };
}
