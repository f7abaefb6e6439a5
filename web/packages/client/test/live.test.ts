import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LiveListener } from '../src/index.ts';
import { LiveConnection } from '../src/live/index.ts';
import { FakeSocket, passTimeUntil } from './support.ts';

function connect() {
  const listener = {
    onInvalidation: vi.fn(),
    onResync: vi.fn(),
    onState: vi.fn(),
    onRevoked: vi.fn(),
  } satisfies LiveListener;
  const live = new LiveConnection({
    url: () => 'ws://host/api/v1/events',
    listener,
    WebSocket: FakeSocket,
    reconnectMinMs: 100,
    silenceMaxMs: 5_000,
  });
  return { live, listener };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened = [];
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const opened = (count: number) => passTimeUntil(() => FakeSocket.opened.length === count);

describe('the live connection', () => {
  it('is live once greeted, and passes events on', async () => {
    const { live, listener } = connect();
    await opened(1);
    expect(live.state).toBe('catching-up');
    FakeSocket.last.greet('p1');
    expect(live.state).toBe('live');
    const event = { type: 'cache_invalidation', position: 'p2', groups: ['a'], data: { entity: 'flow' } };
    FakeSocket.last.push(event);
    expect(listener.onInvalidation).toHaveBeenCalledWith(event);
    live.close();
  });

  it('says where it was after it was down, and leaves it to the server to tell what it missed', async () => {
    const { live, listener } = connect();
    await opened(1);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBeNull();
    FakeSocket.last.greet('p1');
    expect(listener.onResync).toHaveBeenCalledExactlyOnceWith('connected', 'p1');
    FakeSocket.last.push({ type: 'cache_invalidation', position: 'p2', groups: ['a'], data: {} });
    listener.onResync.mockClear();

    FakeSocket.last.drop();
    expect(live.state).toBe('catching-up');
    await opened(2);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p2');
    FakeSocket.last.greet('p3');
    expect(listener.onResync).not.toHaveBeenCalled();
    expect(live.state).toBe('live');

    FakeSocket.last.drop();
    await opened(3);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p3');
    FakeSocket.last.greet('');
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p9' });
    expect(listener.onResync).toHaveBeenCalledExactlyOnceWith('unknown', 'p9');

    FakeSocket.last.drop();
    await opened(4);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p9');
    live.close();
  });

  it('is not live before the resync that a greeting announces', async () => {
    const { live, listener } = connect();
    await opened(1);
    FakeSocket.last.accept();
    FakeSocket.last.push({ type: 'hello', position: '', missed: 'unknown' });
    expect(live.state).toBe('catching-up');
    expect(listener.onResync).not.toHaveBeenCalled();
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p9' });
    expect(listener.onResync).toHaveBeenCalledExactlyOnceWith('unknown', 'p9');
    expect(live.state).toBe('live');
    live.close();
  });

  it('of the page’s own origin goes to a WebSocket address', async () => {
    const live = new LiveConnection({
      url: () => '/events',
      listener: { onInvalidation() {}, onResync() {}, onState() {}, onRevoked() {} },
      WebSocket: FakeSocket,
    });
    await opened(1);
    expect(FakeSocket.last.url).toMatch(/^wss?:\/\/[^/]+\/events$/);
    live.close();
  });

  it('is degraded after repeated failures, and recovers', async () => {
    const { live } = connect();
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await opened(attempt);
      FakeSocket.last.drop();
    }
    expect(live.state).toBe('degraded');
    await opened(4);
    FakeSocket.last.greet('p1');
    expect(live.state).toBe('live');
    live.close();
  });

  it.each(['visible', 'hidden'] as const)(
    'reconnects at once when the network is back, also when %s',
    async (state) => {
      vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(state);
      const { live } = connect();
      await opened(1);
      FakeSocket.last.greet('p1');
      FakeSocket.last.drop();
      globalThis.dispatchEvent(new Event('online'));
      await vi.advanceTimersByTimeAsync(50);
      expect(FakeSocket.opened).toHaveLength(2);
      live.close();
    },
  );

  it('does not come back by itself when the server revoked it', async () => {
    const { live, listener } = connect();
    await opened(1);
    FakeSocket.last.greet('p1');
    FakeSocket.last.drop(4401);
    expect(listener.onRevoked).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.opened).toHaveLength(1);
    live.close();
  });

  it('passes a resync on and survives what it cannot read', async () => {
    const { live, listener } = connect();
    await opened(1);
    FakeSocket.last.greet('p1');
    listener.onResync.mockClear();
    FakeSocket.last.dispatchEvent(new MessageEvent('message', { data: 'not json' }));
    FakeSocket.last.push({ type: 'something new' });
    FakeSocket.last.push({ type: 'resync', reason: 'too slow' });
    expect(listener.onResync).toHaveBeenCalledExactlyOnceWith('too slow', 'p1');
    live.close();
  });

  it.each([
    { position: 'p2' },
    { position: 'p2', groups: 'a', data: {} },
    { position: 'p2', groups: ['a', 1], data: {} },
    { groups: ['a'], data: {} },
  ])(
    'takes an event that does not say what has changed, or when, for a change of anything: %o',
    async (event) => {
      const { live, listener } = connect();
      await opened(1);
      FakeSocket.last.greet('p1');
      listener.onResync.mockClear();
      FakeSocket.last.push({ type: 'cache_invalidation', ...event });
      expect(listener.onInvalidation).not.toHaveBeenCalled();
      const position = event.position ?? 'p1';
      expect(listener.onResync).toHaveBeenCalledExactlyOnceWith('an event could not be read', position);
      expect([live.state, live.position]).toEqual(['live', position]);
      live.close();
    },
  );

  it.each(['after its greeting', 'after a ping'])('takes silence %s for a dead connection', async (when) => {
    const { live } = connect();
    await opened(1);
    FakeSocket.last.greet('p1');
    if (when === 'after a ping') {
      await vi.advanceTimersByTimeAsync(4_000);
      FakeSocket.last.push({ type: 'ping' });
    }
    await vi.advanceTimersByTimeAsync(4_500);
    expect(FakeSocket.opened).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_500);
    await opened(2);
    live.close();
  });

  it('notices silence although the clock on the wall was put back', async () => {
    const { live } = connect();
    await opened(1);
    FakeSocket.last.greet('p1');
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(6_000);
    await opened(2);
    live.close();
  });

  it('that is closed for cause whenever it connects is not asked for again without a pause', async () => {
    const { live, listener } = connect();
    // As the life of a session does when the server still says the same of it.
    listener.onRevoked.mockImplementation(() => live.reconnect());
    for (const end = Date.now() + 60_000; Date.now() < end; await vi.advanceTimersByTimeAsync(10)) {
      if (FakeSocket.opened.length > 0 && FakeSocket.last.readyState === FakeSocket.CONNECTING) {
        FakeSocket.last.accept();
        FakeSocket.last.drop(4401);
      }
    }
    expect(FakeSocket.opened.length).toBeLessThan(15);
    await opened(FakeSocket.opened.length + 1);
    FakeSocket.last.greet('p1');
    expect(live.state).toBe('live');
    live.close();
  });

  it('does not come back after it was closed', async () => {
    const { live } = connect();
    await opened(1);
    live.close();
    live.reconnect();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.opened).toHaveLength(1);
  });

  it.each([
    ['soonest', 0, [100, 160, 256]],
    ['latest', 0.999, [199.9, 319.84, 511.744]],
  ])('waits longer each time, the %s by chance', async (_which, random, delays) => {
    vi.spyOn(Math, 'random').mockReturnValue(random);
    const { live } = connect();
    await vi.advanceTimersByTimeAsync(0);
    for (const [attempt, delay] of delays.entries()) {
      expect(FakeSocket.opened).toHaveLength(attempt + 1);
      FakeSocket.last.drop();
      await vi.advanceTimersByTimeAsync(Math.floor(delay) - 1);
      expect(FakeSocket.opened).toHaveLength(attempt + 1);
      await vi.advanceTimersByTimeAsync(3);
    }
    expect(FakeSocket.opened).toHaveLength(delays.length + 1);
    live.close();
  });
});
