import { useRef, useSyncExternalStore } from 'react';

/** A value outside React that components read by selector: a change re-renders only who selected what changed. */
export interface Store<S> {
  get(): S;
  set(next: S | ((before: S) => S)): void;
  subscribe(listener: () => void): () => void;
}

export function createStore<S>(initial: S): Store<S> {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    set: (next) => {
      const before = state;
      state = typeof next === 'function' ? (next as (before: S) => S)(before) : next;
      if (!Object.is(before, state)) for (const listener of listeners) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The part of a store that a component shows. Objects made by `selector` are compared field by field. */
export function useStore<S, T>(store: Store<S>, selector: (state: S) => T): T {
  const last = useRef<T | undefined>(undefined);
  return useSyncExternalStore(store.subscribe, () => {
    const next = selector(store.get());
    if (last.current !== undefined && isShallowEqual(last.current, next)) return last.current;
    last.current = next;
    return next;
  });
}

function isShallowEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  // Only plain objects are compared by their fields: a session is itself, whatever it holds.
  if (Object.getPrototypeOf(a) !== Object.prototype || Object.getPrototypeOf(b) !== Object.prototype)
    return false;
  const names = Object.keys(a);
  const other = b as Record<string, unknown>;
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.is((a as Record<string, unknown>)[name], other[name]))
  );
}
