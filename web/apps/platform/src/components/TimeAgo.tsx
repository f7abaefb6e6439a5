import { useSyncExternalStore } from 'react';
import { formatAgo, formatTime } from '../lib/format';

const TICK_MS = 30_000;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

/** One timer for all times on the page, and none while there are none. */
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

export function TimeAgo({ at }: { at: string }) {
  const tick = useSyncExternalStore(subscribe, () => now);
  // What just happened is newer than the last tick; it is never shown as in the future.
  return (
    <time dateTime={at} title={formatTime(at)}>
      {formatAgo(at, Math.max(tick, new Date(at).getTime()))}
    </time>
  );
}
