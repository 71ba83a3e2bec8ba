/** The TypeScript client against a platform that runs, through a network that loses answers. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import {
  ApiProblem,
  BufferFull,
  EventsRejected,
  items,
  Meter,
  MeterClosed,
  NotDelivered,
  ok,
  Platform,
  SessionEnded,
  type Fetch,
  type Options,
} from "../src/index.ts";
import { retryAfter } from "../src/problem.ts";
import { delayAfter, retrying } from "../src/retry.ts";
import { fileSpool } from "../src/spool.ts";

const { EU_PLATFORM_URL, EU_PLATFORM_TENANT, EU_PLATFORM_TENANT_ID } = process.env as Record<string, string>;
const { EU_PLATFORM_EMAIL, EU_PLATFORM_PASSWORD, EU_PLATFORM_KEY } = process.env as Record<string, string>;

const QUICK = { attempts: 5, first: 0.001, longest: 0.01 };
const silent = (): void => undefined;

const logIn = (options: Options = {}): Promise<Platform> =>
  Platform.logIn(
    EU_PLATFORM_URL!,
    { tenant: EU_PLATFORM_TENANT!, email: EU_PLATFORM_EMAIL!, password: EU_PLATFORM_PASSWORD! },
    { backoff: QUICK, ...options },
  );

const machine = (options: Options = {}): Platform =>
  Platform.withApiKey(EU_PLATFORM_URL!, EU_PLATFORM_KEY!, EU_PLATFORM_TENANT_ID!, { backoff: QUICK, ...options });

/** A network that carries requests to a path, and loses the first answers. */
function lossy(losses: number, path: RegExp): { fetch: Fetch; lost: () => number } {
  let lost = 0;
  return {
    lost: () => lost,
    fetch: async (request) => {
      const response = await fetch(request.clone());
      if (lost < losses && path.test(new URL(request.url).pathname) && request.method === "POST") {
        lost += 1;
        await response.body?.cancel();
        throw new TypeError("fetch failed", { cause: { code: "ECONNRESET" } });
      }
      return response;
    },
  };
}

async function stored(platform: Platform, source: string): Promise<string[]> {
  const ids: string[] = [];
  const events = items((cursor) =>
    platform.client.GET("/api/v1/tenants/{tenant_id}/usage", {
      params: { path: { tenant_id: platform.tenantId }, query: { source, limit: 2, ...(cursor ? { cursor } : {}) } },
    }),
  );
  for await (const event of events) ids.push(event.id);
  return ids.sort();
}

test("operations are typed and answer", async () => {
  const platform = await logIn();
  const params = { path: { tenant_id: platform.tenantId } };
  const costs = ok(await platform.client.GET("/api/v1/tenants/{tenant_id}/costs/current", { params }));
  assert.equal(costs.total.currency, "EUR");
});

test("an error is thrown with its kind and places", async () => {
  const params = { path: { tenant_id: EU_PLATFORM_TENANT_ID! } };
  const event = { id: "e", source: "s", resource: "cpu", quantity: "-1", occurred_at: "2026-01-01T00:00:00Z" } as const;
  await assert.rejects(
    machine().client.POST("/api/v1/tenants/{tenant_id}/usage", { params, body: [event] }),
    (error) =>
      error instanceof ApiProblem &&
      error.status === 422 &&
      error.kind === "invalid-input" &&
      error.errors[0]?.index === 0 &&
      error.requestId !== undefined,
  );
});

test("what is made is made once though answers are lost", async () => {
  const network = lossy(2, /api-keys$/);
  const platform = await logIn({ fetch: network.fetch });
  const params = { path: { tenant_id: platform.tenantId } };
  const body = { name: "Made once in TypeScript", scopes: ["usage:read" as const] };
  ok(await platform.client.POST("/api/v1/tenants/{tenant_id}/api-keys", { params, body }));
  const keys = ok(await platform.client.GET("/api/v1/tenants/{tenant_id}/api-keys", { params }));
  assert.equal(network.lost(), 2);
  assert.equal(keys.items.filter(({ name }) => name === body.name).length, 1);
});

test("many requests share one renewal", async () => {
  let renewals = 0;
  let isStale = true;
  const network: Fetch = async (request) => {
    const path = new URL(request.url).pathname;
    if (path.endsWith("/refresh")) renewals += 1;
    const response = await fetch(request);
    if (!path.endsWith("/login") || !isStale) return response;
    isStale = false;
    return Response.json({ ...((await response.json()) as object), expires_in: 0 });
  };
  const platform = await logIn({ fetch: network });
  assert.equal(renewals, 1, "the token of the login was at its end");
  await Promise.all(Array.from({ length: 32 }, () => platform.client.GET("/api/v1/auth/me")));
  assert.equal(renewals, 1);
});

test("a renewal whose answer is lost is not sent again", async () => {
  const network = lossy(1, /refresh$/);
  let logins = 0;
  const stale: Fetch = async (request) => {
    const response = await network.fetch(request);
    if (!request.url.endsWith("/login")) return response;
    logins += 1;
    return Response.json({ ...((await response.json()) as object), expires_in: 0 });
  };
  await assert.rejects(logIn({ fetch: stale }), SessionEnded);
  assert.deepEqual([network.lost(), logins], [1, 1]);
});

test("only what may happen twice is sent again", async () => {
  const tried = async (status: number, request: Request): Promise<number> => {
    let attempts = 0;
    await retrying(async () => ((attempts += 1), new Response(null, { status })), QUICK)(request);
    return attempts;
  };
  const url = "http://platform.example/api/v1/auth/step-up";
  assert.equal(await tried(503, new Request(url, { method: "POST" })), 1);
  assert.equal(await tried(429, new Request(url, { method: "POST" })), 5);
  assert.equal(await tried(503, new Request(url)), 5);
  assert.equal(await tried(404, new Request(url)), 1);
});

test("the pause doubles and keeps to what the server asks", () => {
  const backoff = { attempts: 5, first: 0.2, longest: 1 };
  const delays = [1, 2, 3, 4, 5].map((attempt) => delayAfter(backoff, attempt, { jitter: 0.5 }));
  assert.deepEqual(delays, [0.1, 0.2, 0.4, 0.5, undefined]);
  assert.equal(delayAfter(backoff, 1, { asked: 0.5, jitter: 0.5 }), 0.6);
  assert.equal(delayAfter(backoff, 1, { asked: 9, jitter: 0.5 }), undefined);
  const date = new Response(null, { headers: { "Retry-After": new Date(90_000).toUTCString() } });
  assert.equal(retryAfter(date, 0), 90);
});

test("usage counts once though answers are lost", async () => {
  const network = lossy(7, /usage$/);
  const platform = machine({ fetch: network.fetch });
  const meter = platform.meter({ source: "ts-lossy", batch: 3, backoff: QUICK, onProblem: silent });
  const ids = await Promise.all(Array.from({ length: 10 }, () => meter.record("cpu", "0.25")));
  await platform.close();
  assert.equal(network.lost(), 7);
  assert.deepEqual(await stored(platform, "ts-lossy"), ids.sort());
});

test("flush resolves when all is stored", async () => {
  const platform = machine();
  const meter = platform.meter({ source: "ts-flushed", every: 3_600 });
  const id = await meter.record("cpu", 1);
  await meter.flush();
  assert.deepEqual(await stored(platform, "ts-flushed"), [id]);
  await meter.close();
});

test("a bad event is reported and the others are stored", async () => {
  const platform = machine();
  const meter = platform.meter({ source: "ts-mixed", every: 3_600, onProblem: silent });
  const good = await meter.record("cpu", 1);
  const bad = await meter.record("plutonium" as "cpu", 1);
  await assert.rejects(meter.flush(), (error) => error instanceof EventsRejected && error.rejected[0]?.[0].id === bad);
  assert.deepEqual(await stored(platform, "ts-mixed"), [good]);
  await meter.close();
});

const failing = (): Promise<never> => Promise.reject(new TypeError("fetch failed"));

test("what cannot be sent is thrown with its events", async () => {
  const meter = new Meter(failing, { source: "s", backoff: QUICK, onProblem: silent });
  const id = await meter.record("cpu", 1);
  await assert.rejects(meter.close(0.05), (error) => error instanceof NotDelivered && error.events[0]?.id === id);
  await assert.rejects(meter.record("cpu", 1), MeterClosed);
});

test("what cannot be sent is kept in a file and sent by the next meter", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "spool-")), "usage.jsonl");
  const first = new Meter(failing, { source: "ts-spooled", spool: fileSpool(path), backoff: QUICK, onProblem: silent });
  const ids = [await first.record("cpu", 1), await first.record("cpu", 1)];
  await first.close(0.05);
  assert.equal((await readFile(path, "utf8")).trim().split("\n").length, 2);
  const platform = machine();
  await platform.meter({ source: "ts-spooled", spool: fileSpool(path) }).close();
  assert.deepEqual(await stored(platform, "ts-spooled"), ids.sort());
  await assert.rejects(readFile(path), { code: "ENOENT" });
});

test("a full buffer makes the caller wait and then refuses", async () => {
  let open = silent as () => void;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const meter = new Meter(async () => (await gate, []), { source: "s", batch: 1, capacity: 2 });
  await meter.record("cpu", 1);
  await meter.record("cpu", 1);
  await assert.rejects(meter.record("cpu", 1, { timeout: 0.01 }), BufferFull);
  const waiting = meter.record("cpu", 1);
  open();
  await waiting;
  await meter.close();
});

test("a batch that is too large is made smaller", async () => {
  const sizes: number[] = [];
  const meter = new Meter(
    async (events) => {
      sizes.push(events.length);
      if (events.length > 2) throw new ApiProblem(new Response(null, { status: 413 }), {});
      return [];
    },
    { source: "s", batch: 8, every: 3_600 },
  );
  await Promise.all(Array.from({ length: 8 }, () => meter.record("cpu", 1)));
  await meter.close();
  assert.deepEqual(sizes, [8, 4, 2, 2, 2, 2]);
});

test("a quantity that is none is refused at once", async () => {
  const meter = new Meter(async () => [], { source: "s" });
  for (const quantity of [-1, "x", Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(meter.record("cpu", quantity), RangeError);
  }
  await meter.close();
});

async function run(program: string): Promise<string> {
  const options = { cwd: join(import.meta.dirname, "..") };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module-typescript", "--eval", program],
    options,
  );
  return stdout;
}

test("a program that just ends loses nothing", async () => {
  const printed = await run(`
    import { Platform } from "./src/index.ts";
    const { EU_PLATFORM_URL, EU_PLATFORM_KEY, EU_PLATFORM_TENANT_ID } = process.env as Record<string, string>;
    const platform = Platform.withApiKey(EU_PLATFORM_URL!, EU_PLATFORM_KEY!, EU_PLATFORM_TENANT_ID!);
    const meter = platform.meter({ source: "ts-at-exit", every: 3_600 });
    for (let n = 0; n < 5; n++) console.log(await meter.record("cpu", 1));
  `);
  const ids = printed.trim().split("\n");
  assert.equal(ids.length, 5);
  assert.deepEqual(await stored(machine(), "ts-at-exit"), ids.sort());
});

test("the examples of the README run", async () => {
  const readme = await readFile(join(import.meta.dirname, "..", "README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, block]) => block);
  assert.ok(blocks.length >= 3);
  const program = blocks.join("\n").replaceAll('"eu-platform-client/spool"', '"./src/spool.ts"');
  assert.match(await run(program.replaceAll('"eu-platform-client"', '"./src/index.ts"')), /EUR/);
});
