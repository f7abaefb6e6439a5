/**
 * What an import, say, changes comes as a burst of events. The first is acted on at once; what follows within the
 * window is acted on together, at its end.
 */
export interface Bursts {
  add(queries: ReadonlySet<string>): void;
  /** Resolves when nothing waits any more. */
  begun(): Promise<void>;
  close(): void;
}

/** Short enough not to be noticed, and longer than from one step of a burst to the next. */
const WINDOW_MS = 250;

export function createBursts(act: (queries: ReadonlySet<string>) => unknown, windowMs = WINDOW_MS): Bursts {
  let waiting = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
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

  return {
    add: (queries) => {
      if (queries.size === 0) return;
      if (timer === undefined) {
        open();
        act(queries);
      } else for (const query of queries) waiting.add(query);
    },
    begun: () => (waiting.size === 0 ? Promise.resolve() : new Promise((resolve) => told.push(resolve))),
    close: () => {
      clearTimeout(timer);
      waiting.clear();
      for (const tell of told.splice(0)) tell();
    },
  };
}
