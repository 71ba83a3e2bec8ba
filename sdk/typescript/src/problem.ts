/** Errors of the API as exceptions. */

const PREFIX = "urn:eu-platform:problem:";

export interface FieldError {
  detail: string;
  field?: string;
  index?: number;
}

/** An error that the API answered, as RFC 9457 has it; `kind` never changes for the same error. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly status: number;
  readonly kind: string;
  readonly title: string;
  readonly detail: string;
  readonly requestId: string | undefined;
  readonly errors: readonly FieldError[];
  /** The seconds that the API asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(response: Response, body: Record<string, unknown>) {
    const title = text(body["title"]) || response.statusText;
    const errors = Array.isArray(body["errors"]) ? (body["errors"] as FieldError[]) : [];
    const places = errors.map((each) => `; ${each.field ?? each.index ?? ""}: ${each.detail}`).join("");
    super(`${response.status} ${title}: ${text(body["detail"])}${places} (request ${text(body["request_id"])})`);
    this.status = response.status;
    this.kind = text(body["type"]).replace(PREFIX, "");
    this.title = title;
    this.detail = text(body["detail"]);
    this.requestId = text(body["request_id"]) || undefined;
    this.errors = errors;
    this.retryAfter = retryAfter(response);
  }
}

/** The exception for a response that is an error; takes its body. */
export async function problemOf(response: Response): Promise<ApiProblem> {
  try {
    const body: unknown = await response.json();
    return new ApiProblem(response, typeof body === "object" && body !== null ? { ...body } : {});
  } catch {
    return new ApiProblem(response, {});
  }
}

/** The seconds that a response asks to wait (RFC 9110 section 10.2.3). */
export function retryAfter(response: Response, now: number = Date.now()): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  const instant = Date.parse(value);
  return Number.isNaN(instant) ? undefined : Math.max(0, (instant - now) / 1000);
}

/** The answer of an operation, typed without the errors that are thrown as ApiProblem. */
export function ok<Data>(result: { data?: Data; response: Response }): NonNullable<Data> {
  if (result.data === undefined || result.data === null) {
    throw new TypeError(`an answer without a body: ${result.response.status}`);
  }
  return result.data;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
