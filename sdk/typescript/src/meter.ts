/** Usage that is gathered and sent in the background, each event counted once, none lost without a word. */

import type { components } from "./generated/schema.ts";
import { ApiProblem } from "./problem.ts";
import { BACKOFF, type Backoff } from "./retry.ts";

export type UsageEvent = components["schemas"]["UsageEvent"];
export type Resource = components["schemas"]["Resource"];
export type Rejection = components["schemas"]["Rejection"];

/** Where events are kept that could not be sent before the process ended. */
export interface Spool {
  read(): Promise<UsageEvent[]>;
  write(events: readonly UsageEvent[]): Promise<void>;
  clear(): Promise<void>;
}

export interface MeterOptions {
  source: string;
  /** The most events that are sent at once; so many are sent without waiting. */
  batch?: number;
  /** The seconds after which whatever there is is sent. */
  every?: number;
  /** The most events that wait to be sent. */
  capacity?: number;
  spool?: Spool;
  backoff?: Backoff;
  /** Is told of what fails in the background; writes to the console by default. */
  onProblem?: (message: string) => void;
}

export class BufferFull extends Error {
  override readonly name = "BufferFull";
}

export class MeterClosed extends Error {
  override readonly name = "MeterClosed";
}

/** Events that have not been sent; `cause` is the last failure. */
export class NotDelivered extends Error {
  override readonly name = "NotDelivered";
  readonly events: readonly UsageEvent[];

  constructor(events: readonly UsageEvent[], cause: unknown) {
    super(`${events.length} events have not been sent`, { cause });
    this.events = events;
  }
}

/** Events that the API will never take, each with the reason. All others are stored. */
export class EventsRejected extends Error {
  override readonly name = "EventsRejected";
  readonly rejected: readonly (readonly [UsageEvent, string])[];

  constructor(rejected: readonly (readonly [UsageEvent, string])[]) {
    super(`${rejected.length} events were rejected, the first, ${rejected[0]?.[0].id}: ${rejected[0]?.[1]}`);
    this.rejected = rejected;
  }
}

/**
 * A buffer of usage events that sends itself.
 *
 * An event gets its id when it is recorded, and leaves the buffer when the API has answered for it: whatever is sent
 * twice counts once. A full buffer makes `record` wait, and then throw BufferFull. What fails is sent again for as long
 * as the meter is open. `close`, which Node.js also runs when it has nothing else to do, sends what is left; what
 * cannot be sent goes to the spool, or is thrown as NotDelivered where there is none. `process.exit` and a kill lose
 * what is in the buffer.
 */
export class Meter {
  readonly #send: (events: readonly UsageEvent[]) => Promise<readonly Rejection[]>;
  readonly #options: Required<Omit<MeterOptions, "spool">>;
  readonly #spool: Spool | undefined;
  readonly #loaded: Promise<void>;
  #batch: number;
  #pending: UsageEvent[] = [];
  #rejected: [UsageEvent, string][] = [];
  #recorded = 0;
  #settled = 0;
  #failure: unknown;
  #failures = 0;
  #closing = false;
  #sending: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #waiters = new Set<() => void>();

  constructor(send: (events: readonly UsageEvent[]) => Promise<readonly Rejection[]>, options: MeterOptions) {
    this.#send = send;
    this.#spool = options.spool;
    this.#options = {
      source: options.source,
      batch: options.batch ?? 1_000,
      every: options.every ?? 2,
      capacity: options.capacity ?? 50_000,
      backoff: options.backoff ?? { ...BACKOFF, first: 0.5 },
      onProblem: options.onProblem ?? ((message) => console.error(message)),
    };
    this.#batch = this.#options.batch;
    if (this.#batch < 1 || this.#batch > 10_000 || this.#options.capacity < this.#batch) {
      throw new RangeError("a batch has 1 to 10000 events, and fits into the buffer");
    }
    this.#loaded = this.#load();
    this.#loaded.catch(() => undefined); // thrown by whatever is called next
    globalThis.process?.on?.("beforeExit", this.#atExit);
  }

  /**
   * Take an event, of now unless `at` says otherwise; gives its id. Waits up to `timeout` seconds for room.
   * Throws BufferFull, MeterClosed, and RangeError for a quantity that is negative or no number.
   */
  async record(
    resource: Resource,
    quantity: number | string,
    { at, id, attributes, timeout = 30 }: {
      at?: Date;
      id?: string;
      attributes?: Record<string, unknown>;
      timeout?: number;
    } = {},
  ): Promise<string> {
    if (!/^\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(String(quantity))) {
      throw new RangeError(`a quantity is a number that is not negative, not ${quantity}`);
    }
    const event: UsageEvent = {
      id: id ?? crypto.randomUUID(),
      source: this.#options.source,
      resource,
      quantity: String(quantity),
      occurred_at: (at ?? new Date()).toISOString(),
      ...(attributes === undefined ? {} : { attributes }),
    };
    await this.#loaded;
    const hasRoom = (): boolean => this.#closing || this.#pending.length < this.#options.capacity;
    if (!hasRoom()) this.#hurry();
    const isInTime = await this.#until(hasRoom, timeout);
    if (this.#closing) throw new MeterClosed("the meter is closed; the event was not taken");
    if (!isInTime) {
      throw new BufferFull(`${this.#options.capacity} events wait to be sent`, { cause: this.#failure });
    }
    this.#pending.push(event);
    this.#recorded += 1;
    if (this.#pending.length >= this.#batch) this.#hurry();
    else this.#arm(this.#options.every);
    return event.id;
  }

  /** Resolves when everything recorded so far is stored; throws NotDelivered and EventsRejected. */
  async flush(timeout = 30): Promise<void> {
    await this.#loaded;
    const goal = this.#recorded;
    const isDone = (): boolean => this.#settled >= goal;
    if (!isDone()) this.#hurry();
    if (!(await this.#until(isDone, timeout))) throw new NotDelivered([...this.#pending], this.#failure);
    this.#throwRejected();
  }

  /** Take no more events, and send what is left; a second call does nothing. Throws as `flush`, but see the spool. */
  async close(timeout = 30): Promise<void> {
    await this.#loaded;
    if (this.#closing) return;
    this.#closing = true;
    globalThis.process?.off?.("beforeExit", this.#atExit);
    this.#wake();
    if (this.#pending.length > 0) this.#hurry();
    const isDone = await this.#until(() => this.#pending.length === 0, timeout);
    clearTimeout(this.#timer);
    if (!isDone) {
      const left = [...this.#pending];
      if (this.#spool === undefined) throw new NotDelivered(left, this.#failure);
      await this.#spool.write(left);
      this.#options.onProblem(`${left.length} usage events are kept in the spool: ${String(this.#failure)}`);
    }
    this.#throwRejected();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #atExit = (): void => {
    this.close().catch((error: unknown) => {
      this.#options.onProblem(`At exit: ${String(error)}`);
      process.exitCode = 1;
    });
  };

  async #load(): Promise<void> {
    this.#pending = (await this.#spool?.read()) ?? [];
    this.#recorded = this.#pending.length;
    if (this.#pending.length > 0) this.#arm(0);
  }

  #throwRejected(): void {
    const rejected = this.#rejected;
    this.#rejected = [];
    if (rejected.length > 0) throw new EventsRejected(rejected);
  }

  // sending

  #arm(seconds: number): void {
    if (this.#timer !== undefined || this.#sending !== undefined) return;
    this.#timer = setTimeout(() => this.#hurry(), seconds * 1000);
    this.#timer.unref?.(); // beforeExit sends what is left
  }

  #hurry(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = undefined;
      const seconds = this.#failures > 0 ? this.#pause() : this.#options.every;
      if (this.#pending.length > 0 && !(this.#closing && this.#waiters.size === 0)) this.#arm(seconds);
    });
  }

  async #drain(): Promise<void> {
    do {
      const batch = this.#pending.slice(0, this.#batch);
      try {
        const rejections = await this.#send(batch);
        await this.#settle(batch, rejections.map(({ index, detail }) => [batch[index]!, detail]));
      } catch (error) {
        if (!(error instanceof ApiProblem && error.status === 413)) return this.#keep(error);
        if (batch.length === 1) await this.#settle(batch, [[batch[0]!, error.message]]);
        this.#batch = Math.max(1, Math.floor(batch.length / 2));
      }
    } while (this.#pending.length >= this.#batch || (this.#pending.length > 0 && this.#waiters.size > 0));
  }

  async #settle(batch: readonly UsageEvent[], rejected: [UsageEvent, string][]): Promise<void> {
    this.#pending.splice(0, batch.length);
    this.#settled += batch.length;
    this.#rejected.push(...rejected);
    this.#failure = undefined;
    this.#failures = 0;
    for (const [event, reason] of rejected) {
      this.#options.onProblem(`Usage event ${event.id} was rejected: ${reason}`);
    }
    if (this.#pending.length === 0) await this.#spool?.clear();
    this.#wake();
  }

  #keep(error: unknown): void {
    if (this.#failures === 0 || String(error) !== String(this.#failure)) {
      this.#options.onProblem(`Usage waits to be sent again: ${String(error)}`);
    }
    this.#failure = error;
    this.#failures += 1;
  }

  #pause(): number {
    const { first, longest } = this.#options.backoff;
    const asked = this.#failure instanceof ApiProblem ? (this.#failure.retryAfter ?? 0) : 0;
    const ceiling = Math.min(longest, first * 2 ** Math.min(this.#failures - 1, 32));
    return Math.min(longest, asked) + ceiling * Math.random();
  }

  // waiting

  /** Whether something is so within some seconds. */
  async #until(isSo: () => boolean, seconds: number): Promise<boolean> {
    const deadline = performance.now() + seconds * 1000;
    while (!isSo()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, left);
        const waiters = this.#waiters;
        function wake(): void {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        }
        waiters.add(wake);
      });
    }
    return true;
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
