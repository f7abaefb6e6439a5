import { useSyncExternalStore } from 'react';
import { formatAgo, formatTime } from '../lib/format';

const TICK_MS = 30_000;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}

/** One timer for all times on the page, and none while there are none. */
function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    timer = setInterval(tick, TICK_MS);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) clearInterval(timer);
  };
}

export function TimeAgo({ at }: { at: string }) {
  const shownAt = useSyncExternalStore(subscribe, () => now);
  // What just happened is newer than the last tick; it is never shown as in the future.
  return (
    <time dateTime={at} title={formatTime(at)}>
      {formatAgo(at, Math.max(shownAt, new Date(at).getTime()))}
    </time>
  );
}
