import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveConnection } from '../src/live/index.ts';
import { FakeSocket, passTimeUntil } from './support.ts';

class FakeStream {
  static opened: FakeStream[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: ((event: { data: string }) => void) | null = null;
  closed = false;

  constructor(readonly url: string) {
    FakeStream.opened.push(this);
  }

  addEventListener(_name: 'close', listener: (event: { data: string }) => void): void {
    this.onclose = listener;
  }

  push(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  close(): void {
    this.closed = true;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened = [];
  FakeStream.opened = [];
  vi.stubGlobal('EventSource', FakeStream);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function connect(options: { socket?: boolean } = {}) {
  const listener = { onInvalidation: vi.fn(), onResync: vi.fn(), onState: vi.fn(), onRevoked: vi.fn() };
  if (options.socket === false) vi.stubGlobal('WebSocket', undefined);
  const live = new LiveConnection({
    url: () => 'ws://host/events',
    streamUrl: () => 'http://host/events/stream',
    listener,
    reconnectMinMs: 100,
    ...(options.socket === false ? {} : { WebSocket: FakeSocket }),
  });
  return { live, listener };
}

const opened = (sockets: number) => passTimeUntil(() => FakeSocket.opened.length === sockets);

async function failSockets(times: number): Promise<void> {
  for (let attempt = 1; attempt <= times; attempt += 1) {
    await opened(attempt);
    FakeSocket.last.drop();
  }
}

const last = () => {
  const stream = FakeStream.opened.at(-1);
  if (!stream) throw new Error('no stream was opened');
  return stream;
};

describe('where no WebSocket comes through', () => {
  it('the same events come over a stream', async () => {
    const { live, listener } = connect();
    await failSockets(3);
    expect(live.state).toBe('catching-up');
    last().push({ type: 'hello', position: 'p1' });
    expect(live.state).toBe('live');
    const event = { type: 'cache_invalidation', position: 'p2', groups: ['a'], data: {} };
    last().push(event);
    expect(listener.onInvalidation).toHaveBeenCalledWith(event);
    live.close();
    expect(last().closed).toBe(true);
  });

  it('or is taken and passes nothing on, a stream is tried too', async () => {
    const { live } = connect();
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await opened(attempt);
      FakeSocket.last.accept();
      await vi.advanceTimersByTimeAsync(10_000);
    }
    last().push({ type: 'hello', position: 'p1' });
    expect(live.state).toBe('live');
    live.close();
  });

  it('a stream that breaks comes back from where it was', async () => {
    const { live } = connect();
    await failSockets(3);
    last().push({ type: 'hello', position: 'p1' });
    last().onerror?.();
    expect(live.state).toBe('catching-up');
    await passTimeUntil(() => FakeStream.opened.length === 2);
    expect(new URL(last().url).searchParams.get('since')).toBe('p1');
    live.close();
  });

  it('a WebSocket that comes through after all takes over', async () => {
    const { live } = connect();
    await failSockets(3);
    last().push({ type: 'hello', position: 'p1' });
    await opened(4);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p1');
    FakeSocket.last.greet('p1');
    expect(last().closed).toBe(true);
    expect(live.state).toBe('live');
    live.close();
  });

  it('it is degraded where there is no stream either, and asks for one ever more rarely', async () => {
    const { live, listener } = connect();
    await failSockets(3);
    const failAllFor = async (minutes: number) => {
      for (const end = Date.now() + minutes * 60_000; Date.now() < end; ) {
        if (!last().closed) last().onerror?.();
        if (FakeSocket.last.readyState !== FakeSocket.CLOSED) FakeSocket.last.drop();
        await vi.advanceTimersByTimeAsync(500);
      }
    };
    await failAllFor(2);
    const [before, streams] = [listener.onState.mock.calls.length, FakeStream.opened.length];
    expect(live.state).toBe('degraded');
    await failAllFor(30);
    expect(FakeStream.opened.length - streams).toBeLessThanOrEqual(8);
    // Attempts in vain are nothing to tell.
    expect(listener.onState.mock.calls).toHaveLength(before);
    live.close();
  });

  it('a server that was away for long is found again', async () => {
    const { live } = connect({ socket: false });
    last().push({ type: 'hello', position: 'p1' });
    for (const end = Date.now() + 600_000; Date.now() < end; await vi.advanceTimersByTimeAsync(500)) {
      if (!last().closed) last().onerror?.();
    }
    expect(live.state).toBe('degraded');
    await passTimeUntil(() => !last().closed);
    expect(new URL(last().url).searchParams.get('since')).toBe('p1');
    last().push({ type: 'hello', position: 'p2' });
    expect(live.state).toBe('live');
    live.close();
  });

  it('a stream that the server closes for cause stays closed', async () => {
    const { live, listener } = connect({ socket: false });
    last().push({ type: 'hello', position: 'p1' });
    last().onclose?.({ data: '{"code":4401,"reason":"signed out"}' });
    expect(listener.onRevoked).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeStream.opened).toHaveLength(1);
    live.close();
  });

  it('a stream that the server ends in its time goes on in another, at once, and nobody is told', async () => {
    const { live, listener } = connect({ socket: false });
    last().push({ type: 'hello', position: 'p1' });
    listener.onState.mockClear();
    last().onclose?.({ data: '{"code":1000,"reason":"connect again"}' });
    expect(FakeStream.opened).toHaveLength(2);
    expect(new URL(last().url).searchParams.get('since')).toBe('p1');
    expect(listener.onState).not.toHaveBeenCalled();
    // One that does not even greet is broken.
    last().onclose?.({ data: '{"code":1000,"reason":"connect again"}' });
    expect(FakeStream.opened).toHaveLength(2);
    expect(live.state).toBe('catching-up');
    live.close();
  });

  it('a browser without WebSocket begins with the stream', () => {
    const { live } = connect({ socket: false });
    last().push({ type: 'hello', position: 'p1' });
    expect(live.state).toBe('live');
    live.close();
  });

  it('a browser with neither is degraded at once', () => {
    vi.stubGlobal('EventSource', undefined);
    const { live } = connect({ socket: false });
    expect(live.state).toBe('degraded');
    live.close();
  });
});

describe('a laptop that slept', () => {
  it('is noticed by the clock on the wall, and the connection is made anew', async () => {
    const { live } = connect();
    await opened(1);
    FakeSocket.last.greet('p1');
    FakeSocket.last.push({ type: 'ping' });
    // Asleep: the clock goes on and no timer runs.
    vi.setSystemTime(Date.now() + 3_600_000);
    document.dispatchEvent(new Event('visibilitychange'));
    await opened(2);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p1');
    live.close();
  });
});
