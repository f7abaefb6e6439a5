import { LocalClock, type Move } from './clock.ts';
import { ApiError, problemFrom } from './errors.ts';
import { Flights } from './flight.ts';
import { parseCacheGroups } from './groups.ts';
import { sendWithProgress, type UploadOptions } from './upload.ts';

/**
 * The one way from the browser to the API.
 *
 * It has no cache of its own: reads go out with `cache: 'no-cache'`, so the browser's HTTP cache revalidates
 * with the ETag and a 304 stays invisible; what is kept in memory is the query client's business.
 */
export interface ApiClientOptions {
  baseUrl: string;
  /** The tenant the user acts for; sent with every request, undefined lets the server choose. */
  clientAccountId?: () => string | null | undefined;
  /** Called for a 401 of any request that was not sent as `anonymous`. */
  onUnauthorized?: () => void;
  clock?: LocalClock;
  fetch?: typeof fetch;
}

export interface ApiResponse<T> {
  data: T;
  status: number;
  groups: string[];
  position: string | undefined;
}

type QueryValue = string | number | boolean | null | undefined;
export type QueryParams = Readonly<Record<string, QueryValue>>;

export interface ReadOptions {
  query?: QueryParams;
  signal?: AbortSignal | undefined;
  /** A move this read must have seen, besides this tab's own last write. */
  after?: Move | undefined;
}

export interface WriteOptions {
  query?: QueryParams;
  signal?: AbortSignal;
  /** For sign-in and the like, where a 401 is an answer and not a lost session. */
  anonymous?: boolean;
}

export type WriteMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiClient {
  get<T>(path: string, options?: ReadOptions): Promise<ApiResponse<T>>;
  write<T>(
    method: WriteMethod,
    path: string,
    body?: unknown,
    options?: WriteOptions,
  ): Promise<ApiResponse<T>>;
  upload<T>(path: string, form: FormData, options?: UploadOptions & WriteOptions): Promise<ApiResponse<T>>;
  /** The position the next read would carry. */
  positionFor(after?: Move): string | undefined;
}

const POSITION_HEADER = 'Unstale-Position';
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

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

function parseBody(status: number, text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    // Something between here and the server answered in its place.
    const title = 'The answer could not be read';
    throw new ApiError({ type: '/problems/unreadable', title, status }, { cause });
  }
}

export function createApiClient(options: ApiClientOptions): ApiClient {
  const clock = options.clock ?? new LocalClock();
  const send = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const flights = new Flights();
  let lastWrite: Move | undefined;

  function positionFor(after?: Move): string | undefined {
    if (after === undefined) return lastWrite?.position;
    return lastWrite && lastWrite.tick > after.tick ? lastWrite.position : after.position;
  }

  function baseHeaders(): Record<string, string> {
    const tenant = options.clientAccountId?.();
    return { Accept: 'application/json', ...(tenant ? { [TENANT_HEADER]: tenant } : {}) };
  }

  function parse<T>(
    status: number,
    statusText: string,
    text: string,
    headers: Headers,
    anonymous: boolean,
  ): ApiResponse<T> {
    if (status < 200 || status > 299) {
      if (status === 401 && !anonymous) options.onUnauthorized?.();
      throw new ApiError(problemFrom(status, statusText, text));
    }
    return {
      data: parseBody(status, text) as T,
      status,
      groups: parseCacheGroups(headers.get('Cache-Groups')),
      position: headers.get(POSITION_HEADER) ?? undefined,
    };
  }

  function noteWrite<T>(response: ApiResponse<T>): ApiResponse<T> {
    if (response.position) lastWrite = { position: response.position, tick: clock.next() };
    return response;
  }

  async function exchange<T>(url: string, init: RequestInit, anonymous: boolean): Promise<ApiResponse<T>> {
    let response: Response;
    let text: string;
    try {
      response = await send(url, { credentials: 'same-origin', ...init });
      text = await response.text();
    } catch (error) {
      if (isAbort(error) || init.signal?.aborted) throw error;
      throw ApiError.unreachable(error);
    }
    return parse<T>(response.status, response.statusText, text, response.headers, anonymous);
  }

  return {
    positionFor,

    get<T>(path: string, { query, signal, after }: ReadOptions = {}) {
      const url = withQuery(options.baseUrl + path, query);
      const position = positionFor(after);
      const headers = { ...baseHeaders(), ...(position ? { [POSITION_HEADER]: position } : {}) };
      // The position is part of the identity: a read that must see a write may not join one that began before it.
      const key = JSON.stringify([url, headers]);
      return flights.join(key, signal, (flightSignal) =>
        exchange<T>(url, { headers, cache: 'no-cache', signal: flightSignal }, false),
      );
    },

    async write<T>(method: WriteMethod, path: string, body?: unknown, write: WriteOptions = {}) {
      const headers = {
        ...baseHeaders(),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      };
      const init: RequestInit = {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(write.signal ? { signal: write.signal } : {}),
      };
      const url = withQuery(options.baseUrl + path, write.query);
      return noteWrite(await exchange<T>(url, init, write.anonymous ?? false));
    },

    async upload<T>(path: string, form: FormData, upload: UploadOptions & WriteOptions = {}) {
      const url = withQuery(options.baseUrl + path, upload.query);
      const answer = await sendWithProgress(url, form, baseHeaders(), upload);
      return noteWrite(parse<T>(answer.status, answer.statusText, answer.text, answer.headers, false));
    },
  };
}
