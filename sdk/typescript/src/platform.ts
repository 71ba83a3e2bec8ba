/** A connection to the platform: signs in, sends again, and throws errors, for all operations. */

import createClient, { type Client } from "openapi-fetch";

import type { paths } from "./generated/schema.ts";
import { Meter, type MeterOptions, type Rejection } from "./meter.ts";
import { ok, problemOf } from "./problem.ts";
import { BACKOFF, KEY_HEADER, retrying, takesKey, type Backoff, type Fetch } from "./retry.ts";
import { posting, Session, tokensOf, withKey } from "./signIn.ts";

const TIMEOUT_MS = 30_000;

export interface Credentials {
  tenant: string;
  email: string;
  password: string;
  totp?: string;
}

export interface Options {
  backoff?: Backoff;
  /** What requests go through; the global `fetch` by default. */
  fetch?: Fetch;
}

/** The platform as one caller sees it; `client` has all operations, typed by the OpenAPI document. */
export class Platform {
  readonly client: Client<paths>;
  readonly #baseUrl: string;
  readonly #send: Fetch;
  readonly #session: Session | undefined;
  readonly #meters: Meter[] = [];
  #tenantId: string | undefined;

  private constructor(baseUrl: string, send: Fetch, session: Session | undefined, tenantId: string | undefined) {
    this.#baseUrl = baseUrl;
    this.#send = raising(send);
    this.#session = session;
    this.#tenantId = tenantId;
    this.client = createClient<paths>({ baseUrl, fetch: this.#send });
  }

  /** As an account; throws ApiProblem. The password is not kept: when the session ends, log in again. */
  static async logIn(baseUrl: string, credentials: Credentials, options: Options = {}): Promise<Platform> {
    const send = sender(options);
    const answer = await send(posting(`${baseUrl}/api/v1/auth/login`, credentials));
    const session = new Session(send, baseUrl, await tokensOf(answer));
    const platform = new Platform(baseUrl, session.fetch, session, undefined);
    const me = ok(await platform.client.GET("/api/v1/auth/me"));
    platform.#tenantId = me.tenant?.id;
    return platform;
  }

  /** As a machine of a tenant; nothing is sent yet. */
  static withApiKey(baseUrl: string, key: string, tenantId: string, options: Options = {}): Platform {
    return new Platform(baseUrl, withKey(sender(options), key), undefined, tenantId);
  }

  /** The caller's own tenant; throws for accounts of the platform, which have none. */
  get tenantId(): string {
    if (this.#tenantId === undefined) throw new Error("an account of the platform has no tenant");
    return this.#tenantId;
  }

  /** A meter of this tenant's usage, which closing the platform closes. */
  meter(options: MeterOptions): Meter {
    const url = `${this.#baseUrl}/api/v1/tenants/${this.tenantId}/usage`;
    const meter = new Meter(async (events) => {
      const answer = await this.#send(posting(url, events, { Prefer: "handling=lenient" }));
      return ((await answer.json()) as { rejected: Rejection[] }).rejected;
    }, options);
    this.#meters.push(meter);
    return meter;
  }

  /** Send what meters have, and end the account's session. */
  async logOut(): Promise<void> {
    await this.close();
    if (this.#session !== undefined) {
      const body = { refresh_token: this.#session.refreshToken };
      await this.#send(posting(`${this.#baseUrl}/api/v1/auth/logout`, body));
    }
  }

  /** Close all meters. */
  async close(): Promise<void> {
    await Promise.all(this.#meters.map((meter) => meter.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function sender({ fetch: given, backoff }: Options): Fetch {
  const inner: Fetch = given ?? ((request) => fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }));
  return retrying(inner, backoff ?? BACKOFF);
}

/** Throws ApiProblem for errors, and gives each request that makes something a key, the same for all attempts. */
function raising(send: Fetch): Fetch {
  return async (request) => {
    if (takesKey(request) && !request.headers.has(KEY_HEADER)) {
      request.headers.set(KEY_HEADER, crypto.randomUUID());
    }
    const response = await send(request);
    if (!response.ok) throw await problemOf(response);
    return response;
  };
}
