import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createApiClient } from '../src/index.ts';

/** What a browser's request does, driven by the test. */
class FakeRequest extends EventTarget {
  static last: FakeRequest;
  readonly upload = new EventTarget();
  status = 0;
  statusText = '';
  responseText = '';
  #began = 0;
  #end: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    FakeRequest.last = this;
  }

  /** Counts from the beginning, also if it is set later. */
  set timeout(ms: number) {
    clearTimeout(this.#end);
    this.#end = setTimeout(() => this.dispatchEvent(new Event('timeout')), this.#began + ms - Date.now());
  }

  open(): void {}
  setRequestHeader(): void {}

  send(): void {
    this.#began = Date.now();
  }

  getAllResponseHeaders = (): string => 'content-type: application/json\r\n';

  abort(): void {
    clearTimeout(this.#end);
    this.dispatchEvent(new Event('abort'));
  }

  progress(): void {
    this.upload.dispatchEvent(
      Object.assign(new Event('progress'), { lengthComputable: true, loaded: 1, total: 2 }),
    );
  }

  answer(body: unknown): void {
    clearTimeout(this.#end);
    this.status = 200;
    this.responseText = JSON.stringify(body);
    this.dispatchEvent(new Event('load'));
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('XMLHttpRequest', FakeRequest);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const client = () => createApiClient({ baseUrl: '/api', timeoutMs: 1_000 });

describe('an upload', () => {
  it('may take as long as it gets on', async () => {
    const uploaded = client().upload('/imports', new FormData());
    await vi.advanceTimersByTimeAsync(0);
    for (let step = 0; step < 10; step += 1) {
      await vi.advanceTimersByTimeAsync(900);
      FakeRequest.last.progress();
    }
    await vi.advanceTimersByTimeAsync(900);
    FakeRequest.last.answer({ id: 7 });
    expect((await uploaded).data).toEqual({ id: 7 });
  });

  it('that gets on no more, or is never answered, ends', async () => {
    const failed = expect(client().upload('/imports', new FormData())).rejects.toMatchObject({ status: 0 });
    await vi.advanceTimersByTimeAsync(900);
    FakeRequest.last.progress();
    await vi.advanceTimersByTimeAsync(1_000);
    await failed;
  });

  it('that nobody wants any more is called off, and that is what is told', async () => {
    const leave = new AbortController();
    const uploaded = client().upload('/imports', new FormData(), { signal: leave.signal });
    const failed = expect(uploaded).rejects.toBe('changed my mind');
    await vi.advanceTimersByTimeAsync(0);
    leave.abort('changed my mind');
    await failed;
  });
});
