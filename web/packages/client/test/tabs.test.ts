import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LiveListener } from '../src/index.ts';
import { LiveConnection, SharedLive } from '../src/live/index.ts';
import { FakeLocks, FakeSocket } from './support.ts';

interface Tab {
  live: SharedLive;
  heard: string[];
  revoked: () => number;
}

const tabs: SharedLive[] = [];

function openTab(name: string | undefined = 'app:acme:ann', answerMaxMs = 10_000): Tab {
  const heard: string[] = [];
  let revocations = 0;
  const listener: LiveListener = {
    onInvalidation: ({ groups, position, data }) =>
      heard.push(`${groups} ${position} ${JSON.stringify(data)}`),
    onResync: (reason, position) => heard.push(`resync ${reason} ${position}`),
    onState: () => {},
    onRevoked: () => {
      revocations += 1;
    },
  };
  const live = new SharedLive({
    name,
    listener,
    answerMaxMs,
    connect: (shared, since, onPing) =>
      new LiveConnection({
        url: () => 'ws://host/events',
        listener: shared,
        since,
        onPing,
        WebSocket: FakeSocket,
        reconnectMinMs: 5,
      }),
  });
  tabs.push(live);
  return { live, heard, revoked: () => revocations };
}

const pause = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms));

const push = (position: string, ...groups: string[]) =>
  FakeSocket.last.push({
    type: 'cache_invalidation',
    position,
    groups,
    data: { entity: 'flow', flow_id: 'f-1' },
  });

beforeEach(() => {
  FakeSocket.opened = [];
  Object.defineProperty(navigator, 'locks', { value: new FakeLocks(), configurable: true });
});

afterEach(() => {
  for (const tab of tabs.splice(0)) tab.close();
  Reflect.deleteProperty(navigator, 'locks');
});

async function openTwo(): Promise<[Tab, Tab]> {
  const first = openTab();
  await pause();
  FakeSocket.last.greet('p1');
  const second = openTab();
  await pause();
  return [first, second];
}

describe('tabs of one browser', () => {
  it('share one socket, and tell each other groups and positions but no data', async () => {
    const [first, second] = await openTwo();
    expect(FakeSocket.opened).toHaveLength(1);
    expect([first.live.isLeader, second.live.isLeader]).toEqual([true, false]);
    expect(second.live.state).toBe('live');
    // What the second tab read before it listened may be out of date.
    expect(second.heard).toEqual(['resync joined p1']);

    const between: string[] = [];
    const eavesdropper = new BroadcastChannel('app:acme:ann');
    eavesdropper.onmessage = ({ data }) => between.push(JSON.stringify(data));
    push('p2', 'a', 'b');
    await pause();
    eavesdropper.close();
    expect(between.some((message) => message.includes('p2'))).toBe(true);
    expect(between.join()).not.toContain('f-1');
    expect(first.heard.at(-1)).toBe('a,b p2 {"entity":"flow","flow_id":"f-1"}');
    expect(second.heard.at(-1)).toBe('a,b p2 {"entity":"flow"}');
  });

  it('go on when the leading one is closed, from where it was', async () => {
    const [first, second] = await openTwo();
    push('p2', 'a');
    await pause();
    first.live.close();
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    expect(second.live.isLeader).toBe(true);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p2');
    const before = second.heard.length;
    FakeSocket.last.greet('p2');
    await pause();
    expect(second.heard).toHaveLength(before);
    expect(second.live.state).toBe('live');
  });

  it('that were closed do not come back, whoever asks', async () => {
    const alone = openTab('app:acme:ann', 5);
    await pause();
    alone.live.close();
    alone.live.reconnect();
    await pause();
    expect([FakeSocket.opened.length, alone.live.isLeader]).toEqual([1, false]);
  });

  it('follow the state of the connection, and catch up with it', async () => {
    const [, second] = await openTwo();
    FakeSocket.last.drop();
    await pause(5);
    expect(second.live.state).toBe('catching-up');
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    FakeSocket.last.greet('p3');
    push('p3', 'c');
    await vi.waitFor(() => expect(second.live.state).toBe('live'));
    expect(second.heard.filter((what) => what.startsWith('c '))).toEqual(['c p3 {"entity":"flow"}']);
  });

  it('are told what they missed in the back/forward cache, or to take everything as stale', async () => {
    const [, second] = await openTwo();
    push('p2', 'a');
    await pause();
    const transition = (type: string) =>
      globalThis.dispatchEvent(Object.assign(new Event(type), { persisted: true }));
    // Only the second: the first one's listeners are on the same window here.
    const leader = tabs[0];
    leader?.close();
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    FakeSocket.last.greet('p2');
    transition('pagehide');
    expect(second.live.state).toBe('catching-up');
    expect(FakeSocket.last.readyState).toBe(FakeSocket.CLOSED);
    transition('pageshow');
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(3));
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p2');
  });

  it('replace a leader that does not answer', async () => {
    // Somebody holds the lock and says nothing: a frozen tab.
    void navigator.locks.request('app:acme:ann', {}, () => new Promise<void>(() => {})).catch(() => {});
    const tab = openTab('app:acme:ann', 20);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
    expect(tab.live.isLeader).toBe(true);
  });

  it('step down when their lock is taken, and follow', async () => {
    const first = openTab();
    await pause();
    FakeSocket.last.greet('p1');
    const thief = new SharedLiveThief('app:acme:ann');
    await vi.waitFor(() => expect(first.live.isLeader).toBe(false));
    expect(FakeSocket.last.readyState).toBe(FakeSocket.CLOSED);
    thief.end();
  });

  it('all hear that the session was revoked', async () => {
    const [first, second] = await openTwo();
    FakeSocket.last.drop(4401);
    await pause();
    expect([first.revoked(), second.revoked()]).toEqual([1, 1]);
  });

  it('make the connection anew once, however many ask for it', async () => {
    const [first, second] = await openTwo();
    const third = openTab();
    await pause();
    FakeSocket.last.drop(4401);
    await pause();
    for (const tab of [first, second, third]) tab.live.reconnect();
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    await pause(60);
    expect(FakeSocket.opened).toHaveLength(2);
    FakeSocket.last.greet('p1');
    await vi.waitFor(() => expect(third.live.state).toBe('live'));
  });

  it('say how far they had heard when they come back from the back/forward cache, and hear the rest', async () => {
    // Another tab leads: it holds the lock, and answers.
    void navigator.locks.request('app:acme:ann', {}, () => new Promise<void>(() => {}));
    const joins: (string | undefined)[] = [];
    const leader = new BroadcastChannel('app:acme:ann');
    leader.onmessage = ({ data: { kind, from, since } }) => {
      if (kind !== 'join') return;
      joins.push(since);
      const missed = since === 'p2' ? [{ position: 'p3', groups: ['b'] }] : null;
      leader.postMessage({ kind: 'welcome', to: from, position: missed ? 'p3' : 'p1', missed });
    };
    const { live, heard } = openTab();
    await vi.waitFor(() => expect(live.state).toBe('live'));
    leader.postMessage({ kind: 'told', told: { position: 'p2', groups: ['a'] } });
    await vi.waitFor(() => expect(live.position).toBe('p2'));

    const transition = (type: string) =>
      globalThis.dispatchEvent(Object.assign(new Event(type), { persisted: true }));
    transition('pagehide');
    leader.postMessage({ kind: 'told', told: { position: 'p3', groups: ['b'] } });
    await pause();
    expect(heard).toEqual(['resync joined p1', 'a p2 {}']);
    transition('pageshow');
    await vi.waitFor(() => expect(live.state).toBe('live'));
    leader.close();
    expect(joins).toEqual([undefined, 'p2']);
    expect(heard).toEqual(['resync joined p1', 'a p2 {}', 'b p3 {}']);
  });

  it.each([
    { missed: ['p3', 'p4'], heard: ['b p3 {}', 'b p4 {}'] },
    { missed: null, heard: ['resync joined p4'] },
  ])('believe the one that leads, too, if one that did and has thawed answers first: %o', async (rest) => {
    void navigator.locks.request('app:acme:ann', {}, () => new Promise<void>(() => {}));
    const thawed = new BroadcastChannel('app:acme:ann');
    const leads = new BroadcastChannel('app:acme:ann');
    const told = (position: string) => ({ position, groups: ['b'] });
    thawed.onmessage = ({ data: { kind, from: to } }) => {
      if (kind !== 'join') return;
      thawed.postMessage({ kind: 'welcome', to, position: 'p2', missed: null });
      const missed = rest.missed?.map(told) ?? null;
      for (let time = 0; time < 2; time += 1)
        leads.postMessage({ kind: 'welcome', to, position: 'p4', missed });
    };
    const { live, heard } = openTab();
    await vi.waitFor(() => expect(live.position).toBe('p4'));
    await pause();
    thawed.close();
    leads.close();
    // Once each, although it is said twice.
    expect(heard).toEqual(['resync joined p2', ...rest.heard]);
  });

  it('that were away for longer than is remembered take everything as stale', async () => {
    openTab();
    await pause();
    FakeSocket.last.greet('p0');
    for (let at = 1; at <= 300; at += 1) push(`p${at}`, 'a');
    const follower = new BroadcastChannel('app:acme:ann');
    const welcomed: { position: string; missed: unknown[] | null }[] = [];
    follower.onmessage = ({ data }) => data.kind === 'welcome' && welcomed.push(data);
    for (const since of ['p1', 'p290']) follower.postMessage({ kind: 'join', from: 'f', since });
    await vi.waitFor(() => expect(welcomed).toHaveLength(2));
    follower.close();
    expect(welcomed.map(({ position, missed }) => [position, missed?.length])).toEqual([
      ['p300', undefined],
      ['p300', 10],
    ]);
  });

  it('that are looked at remind the one that leads, which may be in the background', async () => {
    const wake = vi.fn();
    const source = { state: 'live', position: 'p1', reconnect: () => {}, close: () => {}, wake } as const;
    const listener = { onInvalidation: () => {}, onResync: () => {}, onState: () => {}, onRevoked: () => {} };
    const leader = new SharedLive({ name: 'app:acme:ann', listener, connect: () => source });
    tabs.push(leader);
    await pause();
    const { live: follower } = openTab();
    await vi.waitFor(() => expect(follower.state).toBe('live'));
    document.dispatchEvent(new Event('visibilitychange'));
    await vi.waitFor(() => expect(wake).toHaveBeenCalledOnce());
  });

  it('of another tenant or user have a socket of their own', async () => {
    await openTwo();
    openTab('app:globex:ann');
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
  });

  it('have a socket each where there are no locks', async () => {
    Reflect.deleteProperty(navigator, 'locks');
    openTab();
    openTab();
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
  });
});

/** Takes a lock as a tab does that missed its leader. */
class SharedLiveThief {
  end = () => {};

  constructor(name: string) {
    const hold = () =>
      new Promise<void>((resolve) => {
        this.end = resolve;
      });
    void navigator.locks.request(name, { steal: true }, hold).catch(() => {});
  }
}
