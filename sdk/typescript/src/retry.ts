/** Requests that failed for a reason that passes are sent again, where that cannot do a thing twice. */

import { KEYED } from "./generated/keyed.ts";
import { retryAfter } from "./problem.ts";

export type Fetch = (request: Request) => Promise<Response>;

export const KEY_HEADER = "Idempotency-Key";
const PASSING = new Set([429, 502, 503, 504]);
/** Answered before anything was done: even what must not happen twice may be sent again. */
const UNREAD = new Set([429]);
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
const NEVER_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"]);

const KEYED_PATHS = KEYED.map((pattern) => new RegExp(pattern));
const USAGE_PATH = /^\/api\/v1\/tenants\/[^/]+\/usage$/;

/** How often, and after how many seconds, a request is sent again: doubled each time, with full jitter. */
export interface Backoff {
  attempts: number;
  first: number;
  longest: number;
}

export const BACKOFF: Backoff = { attempts: 5, first: 0.2, longest: 20 };

/**
 * The seconds before the attempt after this one, counted from 1; undefined where it is time to give up.
 * `jitter` lies in [0, 1). What the server asks for is the least, and more than `longest` is not waited.
 */
export function delayAfter(
  backoff: Backoff,
  attempt: number,
  { asked, jitter }: { asked?: number | undefined; jitter: number },
): number | undefined {
  if (attempt >= backoff.attempts || (asked !== undefined && asked > backoff.longest)) return undefined;
  return (asked ?? 0) + Math.min(backoff.longest, backoff.first * 2 ** (attempt - 1)) * jitter;
}

/** Whether a request makes something, and takes an Idempotency-Key so that it is made once. */
export function takesKey(request: Request): boolean {
  return request.method === "POST" && KEYED_PATHS.some((pattern) => pattern.test(new URL(request.url).pathname));
}

/** Whether a request that may have been carried out can be sent again: usage is named by its event ids. */
export function isRepeatable(request: Request): boolean {
  return (
    IDEMPOTENT.has(request.method) ||
    request.headers.has(KEY_HEADER) ||
    (request.method === "POST" && USAGE_PATH.test(new URL(request.url).pathname))
  );
}

/** Whether a request that failed has certainly not arrived. */
export function wasNeverSent(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return typeof cause === "object" && cause !== null && "code" in cause && NEVER_SENT.has(String(cause.code));
}

/** A fetch that sends again what another could not deliver. */
export function retrying(inner: Fetch, backoff: Backoff): Fetch {
  return async (request) => {
    for (let attempt = 1; ; attempt++) {
      let delay: number | undefined;
      try {
        const response = await inner(request.clone());
        const mayRepeat = UNREAD.has(response.status) || isRepeatable(request);
        const isPassing = PASSING.has(response.status) && mayRepeat;
        delay = isPassing
          ? delayAfter(backoff, attempt, { asked: retryAfter(response), jitter: Math.random() })
          : undefined;
        if (delay === undefined) return response;
        await response.body?.cancel();
      } catch (error) {
        const mayRepeat = wasNeverSent(error) || isRepeatable(request);
        delay = mayRepeat ? delayAfter(backoff, attempt, { jitter: Math.random() }) : undefined;
        if (delay === undefined) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, delay * 1000));
    }
  };
}
