/** How requests show who sends them: an API key, or an account's tokens, which are renewed in time. */

import { problemOf } from "./problem.ts";
import { wasNeverSent, type Fetch } from "./retry.ts";

const EARLY_MS = 30_000;
const REFUSED_TOKEN = "not-authenticated";

/** The session cannot be renewed any more: log in again. */
export class SessionEnded extends Error {
  override readonly name = "SessionEnded";
}

export interface Tokens {
  access: string;
  refresh: string;
  /** On the monotonic clock, in milliseconds. */
  expiresAt: number;
}

/** The tokens in an answer; throws ApiProblem where it is an error. */
export async function tokensOf(response: Response): Promise<Tokens> {
  if (!response.ok) throw await problemOf(response);
  const body = (await response.json()) as { access_token: string; refresh_token: string; expires_in: number };
  return {
    access: body.access_token,
    refresh: body.refresh_token,
    expiresAt: performance.now() + body.expires_in * 1000,
  };
}

/** A fetch that sends an API key. */
export function withKey(inner: Fetch, key: string): Fetch {
  return (request) => inner(bearing(request, key));
}

/**
 * An account's session; any number of requests share one renewal.
 *
 * A refresh token is used once: a second use would end the session. So it is never sent again unless it is certain
 * that it did not arrive.
 */
export class Session {
  readonly #inner: Fetch;
  readonly #renewAt: string;
  #tokens: Tokens;
  #renewal: Promise<Tokens> | undefined;
  #ended: string | undefined;

  constructor(inner: Fetch, baseUrl: string, tokens: Tokens) {
    this.#inner = inner;
    this.#renewAt = `${baseUrl}/api/v1/auth/refresh`;
    this.#tokens = tokens;
  }

  /** The token that logging out takes. */
  get refreshToken(): string {
    return this.#tokens.refresh;
  }

  /** Send a request with the token, and where that is refused all the same, with a new one. */
  readonly fetch: Fetch = async (request) => {
    const token = await this.#valid();
    const response = await this.#inner(bearing(request, token));
    if (response.status !== 401 || (await problemOf(response.clone())).kind !== REFUSED_TOKEN) return response;
    return this.#inner(bearing(request, await this.#renewed(token)));
  };

  async #valid(): Promise<string> {
    const { access, expiresAt } = this.#tokens;
    return performance.now() < expiresAt - EARLY_MS ? access : this.#renewed(access);
  }

  async #renewed(insteadOf: string): Promise<string> {
    if (this.#tokens.access !== insteadOf) return this.#tokens.access;
    if (this.#ended !== undefined) throw new SessionEnded(this.#ended);
    this.#renewal ??= this.#exchanged().finally(() => (this.#renewal = undefined));
    return (await this.#renewal).access;
  }

  async #exchanged(): Promise<Tokens> {
    let response: Response;
    try {
      response = await this.#inner(posting(this.#renewAt, { refresh_token: this.#tokens.refresh }));
    } catch (error) {
      if (wasNeverSent(error)) throw error;
      this.#ended = "The answer to a renewal was lost, and with it the next token; log in again.";
      throw new SessionEnded(this.#ended, { cause: error });
    }
    if (response.status === 401) {
      this.#ended = `${(await problemOf(response)).detail} Log in again.`;
      throw new SessionEnded(this.#ended);
    }
    return (this.#tokens = await tokensOf(response));
  }
}

/** A POST of JSON. */
export function posting(url: string, body: unknown, headers: Record<string, string> = {}): Request {
  return new Request(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

function bearing(request: Request, token: string): Request {
  const bearer = request.clone();
  bearer.headers.set("Authorization", `Bearer ${token}`);
  return bearer;
}
