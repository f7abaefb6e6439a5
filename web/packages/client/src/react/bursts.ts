/**
 * What an import, say, changes comes as a burst of events. The first is acted on at once; what follows within the
 * window is acted on together, at its end.
 */
export interface Bursts {
  /** Acts on these, or has them join the burst of a later moment: `afterMs` from now, or before if others are to come earlier. */
  add(queries: ReadonlySet<string>, afterMs?: number): void;
  /** Has join now what was to come later. */
  hurry(): void;
  /** Hurries, and resolves when nothing waits any more. */
  begun(): Promise<void>;
  close(): void;
}

/** Short enough not to be noticed, and longer than from one step of a burst to the next. */
const WINDOW_MS = 250;

export function createBursts(act: (queries: ReadonlySet<string>) => unknown, windowMs = WINDOW_MS): Bursts {
  let waiting = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const later = new Set<string>();
  let laterTimer: ReturnType<typeof setTimeout> | undefined;
  const told: (() => void)[] = [];

  function flush(): void {
    timer = undefined;
    const queries = waiting;
    waiting = new Set();
    if (queries.size > 0) {
      open();
      act(queries);
    }
    for (const tell of told.splice(0)) tell();
  }

  function open(): void {
    timer = setTimeout(flush, windowMs);
  }

  function add(queries: ReadonlySet<string>): void {
    if (queries.size === 0) return;
    if (timer === undefined) {
      open();
      act(queries);
    } else for (const query of queries) waiting.add(query);
  }

  function hurry(): void {
    clearTimeout(laterTimer);
    laterTimer = undefined;
    const queries = new Set(later);
    later.clear();
    add(queries);
  }

  return {
    add: (queries, afterMs = 0) => {
      if (afterMs <= 0) return add(queries);
      for (const query of queries) later.add(query);
      // One timer for all: the moment of the first is as much this tab's own as another would be.
      laterTimer ??= setTimeout(hurry, afterMs);
    },
    hurry,
    begun: () => {
      hurry();
      return waiting.size === 0 ? Promise.resolve() : new Promise((resolve) => told.push(resolve));
    },
    close: () => {
      clearTimeout(timer);
      clearTimeout(laterTimer);
      waiting.clear();
      later.clear();
      for (const tell of told.splice(0)) tell();
    },
  };
}
