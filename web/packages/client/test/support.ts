import { vi } from 'vitest';

/** The edges of the library, faked: the network's answers and the socket's wire. Everything between is real. */
export interface Call {
  url: string;
  init: RequestInit;
  headers: Headers;
  answer: (body: unknown, options?: AnswerOptions) => void;
  fail: (error: unknown) => void;
}

export interface AnswerOptions {
  status?: number;
  groups?: string[];
  position?: string;
  etag?: string;
  retryAfter?: string;
}

function response(
  body: unknown,
  { status = 200, groups = [], position, etag, retryAfter }: AnswerOptions = {},
): Response {
  const headers = new Headers({ 'Content-Type': 'application/json' });
  if (groups.length > 0) headers.set('Cache-Groups', groups.map((group) => `"${group}"`).join(', '));
  if (position) headers.set('Unstale-Position', position);
  if (etag) headers.set('ETag', etag);
  if (retryAfter) headers.set('Retry-After', retryAfter);
  const text = typeof body === 'string' && body.startsWith('<') ? body : JSON.stringify(body);
  return new Response(status === 204 || status === 304 ? null : text, { status, headers });
}

/** A `fetch` whose calls wait until the test answers them. */
export function fakeNetwork() {
  const calls: Call[] = [];
  const fetch = (url: string, init: RequestInit = {}) =>
    new Promise<Response>((resolve, reject) => {
      init.signal?.addEventListener('abort', () => reject(init.signal?.reason), { once: true });
      calls.push({
        url,
        init,
        headers: new Headers(init.headers),
        fail: reject,
        answer: (body, options) => resolve(response(body, options)),
      });
    });
  return { calls, fetch: fetch as unknown as typeof globalThis.fetch };
}

/** What the reconnecting socket expects of a browser's WebSocket, driven by the test. */
export class FakeSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  static opened: FakeSocket[] = [];
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readyState = 0;
  binaryType = 'blob';
  bufferedAmount = 0;
  extensions = '';
  protocol = '';

  constructor(readonly url: string) {
    super();
    FakeSocket.opened.push(this);
  }

  static get last(): FakeSocket {
    const socket = FakeSocket.opened.at(-1);
    if (!socket) throw new Error('no socket was opened');
    return socket;
  }

  accept(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }

  push(message: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
  }

  greet(position: string): void {
    this.accept();
    this.push({ type: 'hello', position });
  }

  drop(code = 1006): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason: '', wasClean: false }));
  }

  send(): void {}

  close(code = 1000): void {
    if (this.readyState === 3) return;
    this.drop(code);
  }
}

/** Lets everything happen that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
}

interface Held {
  reject: (error: unknown) => void;
}

/** Web Locks of one browser, as far as tabs use them: exclusive, in order, with theft. */
export class FakeLocks {
  readonly #held = new Map<string, Held>();
  readonly #waiting = new Map<string, (() => void)[]>();

  request<T>(name: string, options: LockOptions, callback: (lock: object | null) => Promise<T>): Promise<T> {
    if (options.ifAvailable && this.#held.has(name)) return callback(null);
    return new Promise((resolve, reject) => {
      const grant = () => {
        const held: Held = { reject };
        this.#held.set(name, held);
        const release = () => {
          if (this.#held.get(name) !== held) return;
          this.#held.delete(name);
          this.#waiting.get(name)?.shift()?.();
        };
        // Of one that was stolen, whoever had it has been told already.
        const done = callback({});
        done.then(release, release);
        done.then(resolve, reject);
      };
      if (options.steal) {
        this.#held.get(name)?.reject(new DOMException('stolen', 'AbortError'));
        grant();
      } else if (this.#held.has(name)) {
        const queue = this.#waiting.get(name) ?? [];
        this.#waiting.set(name, queue);
        queue.push(grant);
        options.signal?.addEventListener('abort', () => {
          if (queue.includes(grant)) queue.splice(queue.indexOf(grant), 1);
          reject(new DOMException('called off', 'AbortError'));
        });
      } else grant();
    });
  }
}

/** Lets faked time pass until `condition` holds; fails after a minute of it. */
export async function passTimeUntil(condition: () => boolean): Promise<void> {
  for (let passedMs = 0; !condition(); passedMs += 50) {
    if (passedMs > 60_000) throw new Error('it did not happen within a minute of faked time');
    await vi.advanceTimersByTimeAsync(50);
  }
}
