import { Batcher, type BatchOptions, type RawAnswer } from './batch.ts';
import { LocalClock } from './clock.ts';
import { ApiError, problemFrom, retryAfterMs } from './errors.ts';
import type { Watch } from './events.ts';
import { Flights } from './flight.ts';
import { parseCacheGroups } from './groups.ts';
import { joinPositions } from './position.ts';
import { traceparent } from './trace.ts';
import { sendWithProgress, type UploadOptions } from './upload.ts';

/**
 * The one way from the browser to the API.
 *
 * It has no cache of its own: a lone read goes out with `cache: 'no-cache'`, so the browser's HTTP cache revalidates
 * with the ETag and a 304 stays invisible; a reader who still has what an ETag names says so (`ifNoneMatch`) and is
 * told `notModified`. What is kept in memory is the query client's business.
 */
export interface ApiClientOptions {
  baseUrl: string;
  /** The tenant the user acts for; sent with every request, undefined lets the server choose. */
  clientAccountId?: () => string | null | undefined;
  /**
   * Called for a 401 of any request that was not sent as `anonymous`. Resolves with whether it is to be sent once more,
   * because it would be let in now; what it rejects with takes the place of the 401. `sentAt` is when the request left.
   */
  onUnauthorized?: (sentAt: number) => Promise<boolean>;
  /** The one by which the answers are judged. */
  clock?: LocalClock;
  fetch?: typeof fetch;
  /** Reads of the same moment go together to the batch endpoint; `false` sends each by itself. */
  batch?: BatchOptions | false;
  /** How long an answer may take, with its body; of an upload, how long it may get on no further. */
  timeoutMs?: number;
  /** The `traceparent` of a request; `false` sends none. */
  trace?: (() => string | undefined) | false;
  watch?: Watch | undefined;
}

export interface ApiResponse<T> {
  data: T;
  status: number;
  groups: string[];
  position: string | undefined;
  etag: string | undefined;
  /** What `ifNoneMatch` named is still right; `data` is undefined. */
  notModified: boolean;
}

export interface ReadResponse<T> extends ApiResponse<T> {
  /** The tick of the clock when the request left; for who joined one on its way, before they asked. */
  base: number;
}

type QueryValue = string | number | boolean | null | undefined;
export type QueryParams = Readonly<Record<string, QueryValue>>;

export interface ReadOptions {
  query?: QueryParams | undefined;
  signal?: AbortSignal | undefined;
  /** The position that this read must have seen, besides this tab's own writes. */
  after?: string | undefined;
  /** The ETag of what the reader has. */
  ifNoneMatch?: string | undefined;
  /** `false` for a read that is not to wait for others of its batch. */
  batch?: boolean | undefined;
}

export interface WriteOptions {
  query?: QueryParams;
  signal?: AbortSignal;
  /** For sign-in and the like, where a 401 is an answer and not a lost session. */
  anonymous?: boolean;
}

export type WriteMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiClient {
  get<T>(path: string, options?: ReadOptions): Promise<ReadResponse<T>>;
  write<T>(
    method: WriteMethod,
    path: string,
    body?: unknown,
    options?: WriteOptions,
  ): Promise<ApiResponse<T>>;
  upload<T>(path: string, form: FormData, options?: UploadOptions & WriteOptions): Promise<ApiResponse<T>>;
  /** The position the next read would carry. */
  positionFor(after?: string): string | undefined;
  /** Aborts what is under way, for good: whatever still arrives reaches nobody. */
  close(): void;
}

const POSITION_HEADER = 'Unstale-Position';
/** Longer than a server should need, and than whoever waits stays. */
const TIMEOUT_MS = 60_000;
const TENANT_HEADER = 'X-Client-Account-Id';

function withQuery(path: string, query: QueryParams | undefined): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== '') params.set(name, String(value));
  }
  // Sorted, so that the same read is the same URL whatever order its caller wrote the parameters in.
  params.sort();
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

/** In place of a body that is no JSON: something between here and the server answered in its place. */
const UNREADABLE = Symbol('unreadable');

function parseBody(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return UNREADABLE;
  }
}

export function createApiClient(options: ApiClientOptions): ApiClient {
  const clock = options.clock ?? new LocalClock();
  const send = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const { timeoutMs = TIMEOUT_MS } = options;
  const flights = new Flights();
  const closed = new AbortController();
  /** What all writes of this tab have reached. */
  let written: string | undefined;

  const positionFor = (after?: string) => joinPositions(written, after);

  function baseHeaders(): Record<string, string> {
    const tenant = options.clientAccountId?.();
    return { Accept: 'application/json', ...(tenant ? { [TENANT_HEADER]: tenant } : {}) };
  }

  function traced(headers: Readonly<Record<string, string>>): Record<string, string> {
    const trace = options.trace === false ? undefined : (options.trace ?? traceparent)();
    return { ...headers, ...(trace ? { traceparent: trace } : {}) };
  }

  /** Whoever answers 401 has done nothing yet, so a write may be sent again as well as a read. */
  async function admitted<A extends { status: number }>(
    request: () => Promise<A>,
    anonymous = false,
  ): Promise<A> {
    const sentAt = Date.now();
    const answer = await request();
    if (answer.status !== 401 || anonymous) return answer;
    closed.signal.throwIfAborted();
    if (!(await options.onUnauthorized?.(sentAt))) return answer;
    closed.signal.throwIfAborted();
    return request();
  }

  function parse<T>(answer: RawAnswer): ApiResponse<T> {
    const { status, statusText, headers, body } = answer;
    closed.signal.throwIfAborted();
    const notModified = status === 304;
    if (!notModified && (status < 200 || status > 299)) {
      throw new ApiError(problemFrom(status, statusText, body), { retryAfterMs: retryAfterMs(headers) });
    }
    if (body === UNREADABLE) {
      throw new ApiError({ type: '/problems/unreadable', title: 'The answer could not be read', status });
    }
    return {
      data: body as T,
      status,
      groups: parseCacheGroups(headers.get('Cache-Groups')),
      position: headers.get(POSITION_HEADER) ?? undefined,
      etag: headers.get('ETag') ?? undefined,
      notModified,
    };
  }

  function noteWrite<T>(response: ApiResponse<T>): ApiResponse<T> {
    written = joinPositions(written, response.position);
    return response;
  }

  async function exchange(url: string, init: RequestInit, reads = 1): Promise<RawAnswer> {
    options.watch?.({ type: 'sent', url, reads });
    const unwanted = init.signal ? AbortSignal.any([init.signal, closed.signal]) : closed.signal;
    const signal = AbortSignal.any([unwanted, AbortSignal.timeout(timeoutMs)]);
    try {
      const response = await send(url, { credentials: 'same-origin', ...init, signal });
      const body = parseBody(await response.text());
      const { status, statusText, headers } = response;
      return { status, statusText, headers, body };
    } catch (error) {
      unwanted.throwIfAborted();
      throw ApiError.unreachable(error);
    }
  }

  const { batch } = options;
  const batcher = batch
    ? new Batcher((headers, body, signal, reads) => {
        const init = { method: 'POST', body: JSON.stringify(body), signal };
        const json = { ...traced(headers), 'Content-Type': 'application/json' };
        return exchange(options.baseUrl + (batch.path ?? '/batch'), { ...init, headers: json }, reads);
      }, batch)
    : undefined;

  return {
    positionFor,

    close: () => closed.abort(new DOMException('The session has ended', 'AbortError')),

    async get<T>(path: string, read: ReadOptions = {}) {
      closed.signal.throwIfAborted();
      const { ifNoneMatch } = read;
      const url = withQuery(options.baseUrl + path, read.query);
      const position = positionFor(read.after);
      const headers = baseHeaders();
      // The position is part of the identity: a read that must see a write may not join one that began before it.
      const key = JSON.stringify([url, headers, position, ifNoneMatch]);
      const start = async (signal: AbortSignal): Promise<ReadResponse<T>> => {
        const base = clock.now();
        const alone = () =>
          exchange(url, {
            headers: {
              ...traced(headers),
              ...(position ? { [POSITION_HEADER]: position } : {}),
              ...(ifNoneMatch ? { 'If-None-Match': ifNoneMatch } : {}),
            },
            cache: ifNoneMatch ? 'no-store' : 'no-cache',
            signal,
          });
        const together = batcher && read.batch !== false;
        const answer = await admitted(() =>
          together ? batcher.load({ url, headers, position, ifNoneMatch, signal, alone }) : alone(),
        );
        return { ...parse<T>(answer), base };
      };
      return flights.join(key, read.signal, start, () => options.watch?.({ type: 'joined', url }));
    },

    async write<T>(method: WriteMethod, path: string, body?: unknown, write: WriteOptions = {}) {
      closed.signal.throwIfAborted();
      const headers = {
        ...traced(baseHeaders()),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      };
      const init: RequestInit = {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(write.signal ? { signal: write.signal } : {}),
      };
      const url = withQuery(options.baseUrl + path, write.query);
      return noteWrite(parse<T>(await admitted(() => exchange(url, init), write.anonymous)));
    },

    async upload<T>(path: string, form: FormData, upload: UploadOptions & WriteOptions = {}) {
      closed.signal.throwIfAborted();
      const url = withQuery(options.baseUrl + path, upload.query);
      const signal = upload.signal ? AbortSignal.any([upload.signal, closed.signal]) : closed.signal;
      const send = async () => {
        signal.throwIfAborted();
        return sendWithProgress(url, form, traced(baseHeaders()), { ...upload, signal }, timeoutMs);
      };
      const answer = await admitted(send, upload.anonymous);
      return noteWrite(parse<T>({ ...answer, body: parseBody(answer.text) }));
    },
  };
}
