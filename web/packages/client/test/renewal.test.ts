import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRenewal, type Renewal } from '../src/react/renewal.ts';
import { FakeLocks } from './support.ts';

const MINUTE_MS = 60_000;

/** What the browser has, for all of its tabs: due ten minutes after it was issued. */
let issuedAt: number;
let sent: number;
let answer: (signal: AbortSignal) => Promise<string>;
const tabs: Renewal[] = [];

function openTab(): Renewal {
  const renewal: Renewal = createRenewal({
    name: 'test:renewal',
    dueAt: () => issuedAt + 10 * MINUTE_MS,
    send: async (signal) => {
      sent += 1;
      const userId = await answer(signal);
      issuedAt = Date.now();
      return userId;
    },
    onDue: async () => {
      await renewal.now().catch(() => {});
    },
  });
  tabs.push(renewal);
  return renewal;
}

beforeEach(() => {
  vi.useFakeTimers();
  Object.defineProperty(navigator, 'locks', { configurable: true, value: new FakeLocks() });
  issuedAt = Date.now();
  sent = 0;
  answer = async () => 'ann';
});

afterEach(() => {
  for (const tab of tabs.splice(0)) tab.close();
  Reflect.deleteProperty(navigator, 'locks');
  vi.useRealTimers();
});

describe('what lets requests in', () => {
  it('is renewed by its own time, whenever the page was loaded', async () => {
    issuedAt = Date.now() - 9 * MINUTE_MS;
    openTab();
    await vi.advanceTimersByTimeAsync(0.5 * MINUTE_MS);
    expect(sent).toBe(0);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(sent).toBe(1);
    await vi.advanceTimersByTimeAsync(30 * MINUTE_MS);
    expect(sent).toBe(4);
  });

  it('is renewed by one of several tabs', async () => {
    openTab();
    openTab();
    openTab();
    await vi.advanceTimersByTimeAsync(11 * MINUTE_MS);
    expect(sent).toBe(1);
  });

  it('is tried again if it failed, and needs no locks', async () => {
    Reflect.deleteProperty(navigator, 'locks');
    answer = () => Promise.reject(new Error('down'));
    openTab();
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    expect(sent).toBe(1);
    answer = async () => 'ann';
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(sent).toBe(2);
  });

  it('is renewed at once when somebody comes back to a computer that slept', async () => {
    openTab();
    vi.setSystemTime(Date.now() + 60 * MINUTE_MS);
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    await vi.advanceTimersByTimeAsync(0);
    expect(sent).toBe(1);
  });

  it('is renewed once for all who need it at the same time', async () => {
    const tab = openTab();
    const all = [tab.now(), tab.now(), tab.now()];
    expect(await Promise.all(all)).toEqual(['ann', 'ann', 'ann']);
    expect(sent).toBe(1);
    await tab.now();
    expect(sent).toBe(2);
  });

  it('is renewed once for all tabs that need it at the same time, and all are told whose it is', async () => {
    answer = () => new Promise((resolve) => setTimeout(() => resolve('ann'), 100));
    const told: string[] = [];
    for (const tab of [openTab(), openTab(), openTab()]) void tab.now().then((userId) => told.push(userId));
    await vi.waitFor(() => expect(told).toEqual(['ann', 'ann', 'ann']));
    expect(sent).toBe(1);
  });

  it('is not renewed for what was sent before another tab has done so', async () => {
    const [one, other] = [openTab(), openTab()];
    const sentAt = Date.now();
    await vi.advanceTimersByTimeAsync(50);
    await one.now();
    const told = other.now(sentAt);
    let owner = '';
    void told.then((userId) => {
      owner = userId;
    });
    await vi.waitFor(() => expect(owner).toBe('ann'));
    expect(await one.now(sentAt)).toBe('ann');
    expect(sent).toBe(1);
    // What was sent since, with what was got then, is refused for another reason.
    await vi.advanceTimersByTimeAsync(50);
    await one.now(Date.now());
    expect(sent).toBe(2);
  });

  it('is renewed by one tab after the other where they cannot tell each other', async () => {
    vi.stubGlobal('BroadcastChannel', undefined);
    let running = 0;
    answer = async () => {
      running += 1;
      expect(running).toBe(1);
      await Promise.resolve();
      running -= 1;
      return 'ann';
    };
    const all = [openTab(), openTab()].map((tab) => tab.now());
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await Promise.all(all)).toEqual(['ann', 'ann']);
    expect(sent).toBe(2);
    vi.unstubAllGlobals();
  });

  it('is renewed by the next tab if the one before could not', async () => {
    answer = () => Promise.reject(new Error('down'));
    const first = openTab().now();
    const refused = expect(first).rejects.toThrow('down');
    const second = openTab().now();
    answer = async () => 'ann';
    await refused;
    expect(await second).toBe('ann');
  });

  it('is not renewed again and again by a clock that goes wrong', async () => {
    const tab = openTab();
    const wrong = 60 * MINUTE_MS;
    answer = async () => {
      // As the server sees it, an hour before this computer does.
      queueMicrotask(() => {
        issuedAt = Date.now() - wrong;
      });
      return 'ann';
    };
    await tab.now();
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    await vi.advanceTimersByTimeAsync(0.5 * MINUTE_MS);
    expect(sent).toBe(1);
  });

  it('is not waited for without end', async () => {
    const late = new AbortController();
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(late.signal);
    const tab = openTab();
    answer = (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const unanswered = expect(tab.now()).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(timeout).toHaveBeenCalledWith(10_000);
    late.abort(new DOMException('', 'TimeoutError'));
    await unanswered;
    timeout.mockRestore();
    answer = async () => 'ann';
    await expect(tab.now()).resolves.toBe('ann');
  });
});
