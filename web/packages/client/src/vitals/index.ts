/**
 * How fast pages are for those who use them: web vitals, and the time until a page shows its data, sent to the server
 * in small batches. A server without the endpoint is asked once; a browser without the APIs sends less.
 */
export interface Vital {
  name: string;
  value: number;
  rating: 'good' | 'needs-improvement' | 'poor';
  /** The route, with ids taken out: what is measured is pages, not what people look at. */
  page: string;
  navigation_type: string;
  at: string;
}

export interface VitalsOptions {
  url: string;
  /** The route that is shown. */
  page?: () => string;
  headers?: () => Record<string, string>;
  fetch?: typeof fetch;
  /** How long measurements wait for others. */
  windowMs?: number;
}

export interface Vitals {
  /** The beginning of something that takes time, such as a navigation. */
  begin(name: string): void;
  /** Its end; the second one of a name counts for nothing. */
  end(name: string): void;
  /** Something that was counted, such as the calls that a page made. */
  count(name: string, value: number): void;
  flush(): void;
  stop(): void;
}

/** Most measurements that wait; of more, the oldest are dropped. */
const QUEUE_MAX = 50;
const GOOD_MS = 1_000;
const POOR_MS = 2_500;

/** `/imports/4f…/mappings` is `/imports/:id/mappings`. */
export function routeOf(path: string): string {
  return path.replace(/\/(?:[0-9a-f]{8}-[0-9a-f-]{27}|\d+)(?=\/|$)/gi, '/:id');
}

function ratingOf(ms: number): Vital['rating'] {
  if (ms <= GOOD_MS) return 'good';
  return ms > POOR_MS ? 'poor' : 'needs-improvement';
}

export function reportVitals(options: VitalsOptions): Vitals {
  const { url, page = () => routeOf(location.pathname), windowMs = 5_000 } = options;
  const send = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const queues = new Map<'vitals' | 'measures', Vital[]>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let off = false;

  function add(kind: 'vitals' | 'measures', vital: Omit<Vital, 'page' | 'at'>, where = page()): void {
    if (off) return;
    const queue = queues.get(kind) ?? [];
    queue.push({ ...vital, page: where, at: new Date().toISOString() });
    if (queue.length > QUEUE_MAX) queue.shift();
    queues.set(kind, queue);
    timer ??= setTimeout(flush, windowMs);
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    // Apart, so that a server that does not know our own measures still takes the vitals.
    for (const [kind, queue] of queues) {
      queues.delete(kind);
      const headers = { 'Content-Type': 'application/json', ...options.headers?.() };
      void send(url, {
        method: 'POST',
        body: JSON.stringify(queue),
        headers,
        keepalive: true,
        credentials: 'same-origin',
      })
        .then(({ status }) => {
          if (kind === 'vitals' && status === 404) stop();
        })
        // Telemetry that is lost is lost.
        .catch(() => {});
    }
  }

  const onHidden = () => document.visibilityState === 'hidden' && flush();
  document.addEventListener('visibilitychange', onHidden);

  function stop(): void {
    off = true;
    clearTimeout(timer);
    queues.clear();
    document.removeEventListener('visibilitychange', onHidden);
  }

  import('web-vitals')
    .then(({ onCLS, onFCP, onINP, onLCP, onTTFB }) => {
      for (const observe of [onCLS, onFCP, onINP, onLCP, onTTFB]) {
        observe(({ name, value, rating, navigationType }) =>
          add('vitals', { name, value, rating, navigation_type: navigationType }),
        );
      }
    })
    .catch(() => {});

  return {
    begin: (name) => {
      performance.clearMarks(name);
      performance.mark(name);
    },
    end: (name) => {
      if (performance.getEntriesByName(name, 'mark').length === 0) return;
      const { duration } = performance.measure(`unstale:${name}`, name);
      performance.clearMarks(name);
      add('measures', { name, value: duration, rating: ratingOf(duration), navigation_type: 'soft' });
    },
    count: (name, value) => add('measures', { name, value, rating: 'good', navigation_type: 'soft' }),
    flush,
    stop,
  };
}
