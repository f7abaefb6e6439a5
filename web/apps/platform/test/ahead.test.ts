import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadAhead } from '../src/lib/ahead';

/** A browser that is idle whenever a test says so. */
let idle: (() => void)[] = [];
const beIdle = async () => {
  for (const act of idle.splice(0)) act();
  // What was loaded leads to the next.
  await new Promise<void>((resolve) => queueMicrotask(resolve));
};
let connection: { saveData: boolean } | undefined;

beforeEach(() => {
  idle = [];
  connection = undefined;
  vi.stubGlobal('requestIdleCallback', (act: () => void) => idle.push(act));
  vi.stubGlobal('navigator', {
    get connection() {
      return connection;
    },
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const parts = () => {
  const loaded: string[] = [];
  const part = (name: string) => async () => void loaded.push(name);
  return { loaded, part };
};

describe('code that is loaded ahead', () => {
  it('comes one part at a time, each when the browser is idle', async () => {
    const { loaded, part } = parts();
    loadAhead([part('a'), part('b')]);
    expect(loaded).toEqual([]);
    await beIdle();
    expect(loaded).toEqual(['a']);
    await beIdle();
    expect(loaded).toEqual(['a', 'b']);
    await beIdle();
    expect(idle).toEqual([]);
  });

  it('waits for what somebody waits for', async () => {
    vi.useFakeTimers();
    const { loaded, part } = parts();
    let isBusy = true;
    loadAhead([part('a')], () => isBusy);
    await beIdle();
    await vi.advanceTimersByTimeAsync(1_000);
    await beIdle();
    expect(loaded).toEqual([]);
    isBusy = false;
    await vi.advanceTimersByTimeAsync(1_000);
    await beIdle();
    expect(loaded).toEqual(['a']);
  });

  it('is not loaded for who saves data', async () => {
    connection = { saveData: true };
    const { loaded, part } = parts();
    loadAhead([part('a')]);
    await beIdle();
    expect(loaded).toEqual([]);
  });

  it('ends when it is told to, and with a part that cannot be loaded', async () => {
    const { loaded, part } = parts();
    loadAhead([part('a'), part('b')])();
    await beIdle();
    expect(loaded).toEqual([]);
    const failing = async () => {
      throw new Error('away');
    };
    loadAhead([failing, part('c')]);
    await beIdle();
    await beIdle();
    expect(loaded).toEqual([]);
  });

  it('comes without a word from the browser that it is idle', async () => {
    vi.stubGlobal('requestIdleCallback', undefined);
    vi.useFakeTimers();
    const { loaded, part } = parts();
    loadAhead([part('a'), part('b')]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(loaded).toEqual(['a', 'b']);
  });
});
