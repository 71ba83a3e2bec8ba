// Generate src/generated from openapi.json: the types of all operations, and which of them take an idempotency key.
import { mkdir, readFile, writeFile } from "node:fs/promises";

import openapiTS, { astToString } from "openapi-typescript";

const document = JSON.parse(await readFile(new URL("../../../openapi.json", import.meta.url), "utf8"));
const generated = new URL("../src/generated/", import.meta.url);

const keyed = Object.entries(document.paths)
  .filter(([, item]) => (item.post?.parameters ?? []).some(({ name }) => name === "Idempotency-Key"))
  .map(([path]) => `^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`)
  .sort();

await mkdir(generated, { recursive: true });
const types = await openapiTS(document, {
  alphabetize: true,
  defaultNonNullable: false, // what has a default may be left out of what is sent
});
await writeFile(new URL("schema.ts", generated), astToString(types));
await writeFile(
  new URL("keyed.ts", generated),
  `/** The paths whose POST takes an Idempotency-Key, as patterns. */\n` +
    `export const KEYED: readonly string[] = ${JSON.stringify(keyed, null, 2)};\n`,
);
