import { beforeEach, describe, expect, it } from 'vitest';
import { createContextStorage } from '../src/react/index.ts';

const HOUR_MS = 3_600_000;
let now = 0;

const open = (version = 2) =>
  createContextStorage<{ tenant: string }>({ name: 'app:context', version, now: () => now });

beforeEach(() => {
  now = 0;
  sessionStorage.clear();
});

describe('context storage', () => {
  it('is read back until it expires', () => {
    open().write({ tenant: 'acme' });
    now = HOUR_MS;
    expect(open().read()).toEqual({ tenant: 'acme' });
    now = 12 * HOUR_MS;
    expect(open().read()).toBeNull();
    expect(sessionStorage.length).toBe(0);
  });

  it('of another version is not read, but cleared with it', () => {
    open(1).write({ tenant: 'acme' });
    expect(open(2).read()).toBeNull();
    sessionStorage.setItem('other', 'stays');
    open(2).clear();
    expect(Object.keys(sessionStorage)).toEqual(['other']);
  });

  it('that cannot be understood is none', () => {
    for (const stored of ['{"value":', '[]', '7', 'null', '{"value":{"tenant":"acme"}}']) {
      sessionStorage.setItem('app:context:v2', stored);
      expect(open().read()).toBeNull();
    }
  });

  it('that is switched off costs nothing but the memory', () => {
    const storage = createContextStorage<number>({
      name: 'app',
      version: 1,
      storage: () => {
        throw new DOMException('denied', 'SecurityError');
      },
    });
    storage.write(1);
    storage.clear();
    expect(storage.read()).toBeNull();
  });
});
