/**
 * TypeScript client of the EU Platform.
 *
 * The types of all operations are made from the OpenAPI document. This package adds what a document cannot say: signing
 * in, sending again, cursors, and usage that is not lost.
 */

export type { components, operations, paths } from "./generated/schema.ts";
export { BufferFull, EventsRejected, Meter, MeterClosed, NotDelivered } from "./meter.ts";
export type { MeterOptions, Rejection, Resource, Spool, UsageEvent } from "./meter.ts";
export { items } from "./pages.ts";
export type { Page } from "./pages.ts";
export { Platform } from "./platform.ts";
export type { Credentials, Options } from "./platform.ts";
export { ApiProblem, ok } from "./problem.ts";
export type { FieldError } from "./problem.ts";
export type { Backoff, Fetch } from "./retry.ts";
export { SessionEnded } from "./signIn.ts";
