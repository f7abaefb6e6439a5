/**
 * What one tab remembers over a reload: versioned and expiring, in session storage only, so nothing of it outlives the
 * tab. Storage that is switched off or full costs the convenience and nothing else.
 */
export interface ContextStorageOptions {
  /** Before the version in the key. */
  name: string;
  /** Raised when the shape changes: what an older release wrote is then not read. */
  version: number;
  lifetimeMs?: number;
  storage?: () => Storage;
  now?: () => number;
}

export interface ContextStorage<T> {
  read(): T | null;
  write(value: T): void;
  /** Removes what this and every other version wrote. */
  clear(): void;
}

const LIFETIME_MS_DEFAULT = 12 * 60 * 60 * 1000;

export function createContextStorage<T>({
  name,
  version,
  lifetimeMs = LIFETIME_MS_DEFAULT,
  storage = () => globalThis.sessionStorage,
  now = Date.now,
}: ContextStorageOptions): ContextStorage<T> {
  const prefix = `${name}:v`;
  const key = prefix + version;

  function attempt<R>(action: (storage: Storage) => R, otherwise: R): R {
    try {
      return action(storage());
    } catch {
      return otherwise;
    }
  }

  return {
    read: () =>
      attempt((store) => {
        const stored: unknown = JSON.parse(store.getItem(key) ?? 'null');
        if (typeof stored !== 'object' || stored === null) return null;
        const { value, expiresAt } = stored as { value?: T; expiresAt?: unknown };
        if (typeof expiresAt !== 'number' || expiresAt <= now()) {
          store.removeItem(key);
          return null;
        }
        return value ?? null;
      }, null),
    write: (value) =>
      attempt(
        (store) => store.setItem(key, JSON.stringify({ value, expiresAt: now() + lifetimeMs })),
        undefined,
      ),
    clear: () =>
      attempt((store) => {
        for (const found of Object.keys(store)) if (found.startsWith(prefix)) store.removeItem(found);
      }, undefined),
  };
}
