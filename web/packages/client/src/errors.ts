/** One field-level complaint inside a problem document. */
export interface FieldError {
  field: string;
  message: string;
}

/** RFC 9457 problem document, as far as callers act on it. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  errors?: FieldError[];
}

/**
 * What the server refused, or why it could not be asked.
 * `status` 0 means no answer arrived at all (network down, blocked, or unreadable).
 */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  readonly type: string;
  readonly errors: readonly FieldError[];
  /** How long the server wants to be left alone with this (RFC 9110, 10.2.3). */
  readonly retryAfterMs: number | undefined;

  constructor(problem: Problem, options?: ErrorOptions & { retryAfterMs?: number | undefined }) {
    super(problem.detail ?? problem.title, options);
    this.name = 'ApiError';
    this.status = problem.status;
    this.title = problem.title;
    this.detail = problem.detail;
    this.type = problem.type;
    this.errors = problem.errors ?? [];
    this.retryAfterMs = options?.retryAfterMs;
  }

  static unreachable(cause: unknown): ApiError {
    return new ApiError(
      {
        type: '/problems/unreachable',
        title: 'The server cannot be reached',
        status: 0,
        detail: 'Check the connection, then try again.',
      },
      { cause },
    );
  }
}

export function isApiError(error: unknown, ...statuses: number[]): error is ApiError {
  return error instanceof ApiError && (statuses.length === 0 || statuses.includes(error.status));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function fieldErrors(value: unknown): FieldError[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: unknown) =>
    isRecord(entry) && typeof entry.field === 'string' && typeof entry.message === 'string'
      ? [{ field: entry.field, message: entry.message }]
      : [],
  );
}

/** What `Retry-After` asks for: seconds, or a date. Undefined without one, and for one that cannot be read. */
export function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get('Retry-After')?.trim();
  if (!text) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Reads a problem from an answer's body; anything else (a proxy's HTML page) still gets a title. */
export function problemFrom(status: number, statusText: string, body: unknown): Problem {
  const title = statusText || `The server answered ${status}`;
  if (!isRecord(body)) return { type: 'about:blank', title, status };
  return {
    type: typeof body.type === 'string' ? body.type : 'about:blank',
    title: typeof body.title === 'string' ? body.title : title,
    status,
    ...(typeof body.detail === 'string' ? { detail: body.detail } : {}),
    errors: fieldErrors(body.errors),
  };
}
