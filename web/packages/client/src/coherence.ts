import type { ApiClient, QueryParams } from './api.ts';
import type { LocalClock } from './clock.ts';
import {
  type InvalidationEvent,
  LiveConnection,
  type LiveConnectionOptions,
  type LiveState,
} from './live.ts';
import { GroupRegistry } from './registry.ts';

/**
 * One tab's coherence for one (tenant, user): it notes which query holds which groups, hears the live events,
 * and says which queries went stale. What "stale" then means (refetch now, or when shown again) is decided by
 * the store behind `StaleSink`; this module knows no framework and keeps no data.
 */
export interface StaleSink {
  markStale(queries: ReadonlySet<string>): void;
  markAllStale(): void;
}

export interface CoherenceOptions {
  api: ApiClient;
  clock: LocalClock;
  sink: StaleSink;
  live: Omit<LiveConnectionOptions, 'listener'>;
  onRevoked?: () => void;
  /** How long the first reads wait for the socket's greeting. */
  greetingWaitMs?: number;
}

export interface CoherentReadOptions {
  query?: QueryParams;
  signal?: AbortSignal | undefined;
}

/** How often one read may be overtaken by events before its answer is taken as it is and marked stale. */
const OVERTAKEN_MAX = 3;

export class Coherence {
  readonly #api: ApiClient;
  readonly #sink: StaleSink;
  readonly #registry: GroupRegistry;
  readonly #live: LiveConnection;
  readonly #carried = new Map<string, string | undefined>();
  readonly #stateListeners = new Set<() => void>();
  readonly #greeting: Promise<void>;
  #waiting = true;

  constructor(options: CoherenceOptions) {
    this.#api = options.api;
    this.#sink = options.sink;
    this.#registry = new GroupRegistry({ clock: options.clock });
    let greeted = () => {};
    this.#greeting = new Promise((resolve) => {
      greeted = resolve;
    });
    const stopWaiting = () => {
      this.#waiting = false;
      greeted();
    };
    const timer = setTimeout(stopWaiting, options.greetingWaitMs ?? 300);
    this.#live = new LiveConnection({
      ...options.live,
      listener: {
        onInvalidation: (event) => this.#invalidated(event),
        onResync: (_reason, position) => {
          this.#registry.raiseFloor(position);
          this.#sink.markAllStale();
        },
        onState: (state) => {
          if (state !== 'catching-up') {
            clearTimeout(timer);
            stopWaiting();
          }
          for (const listener of this.#stateListeners) listener();
        },
        onRevoked: () => options.onRevoked?.(),
      },
    });
  }

  get state(): LiveState {
    return this.#live.state;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  };

  reconnect(): void {
    this.#live.reconnect();
  }

  close(): void {
    this.#live.close();
    this.#stateListeners.clear();
  }

  /**
   * Reads for one query of the store. The answer is one that no event, heard so far, has declared wrong:
   * if an event overtook it, it is read again at that event's position.
   */
  async read<T>(query: string, path: string, options: CoherentReadOptions = {}): Promise<T> {
    // What is read before the socket listens may miss a change; a short wait saves reading it twice.
    if (this.#waiting) await this.#greeting;
    for (let attempt = 1; ; attempt += 1) {
      const base = this.#registry.base();
      const after = this.#registry.required(query);
      const carried = this.#api.positionFor(after);
      this.#carried.set(query, carried);
      const answer = await this.#api.get<T>(path, { ...options, after }).catch((error: unknown) => {
        // It has seen nothing, so the next event must not be skipped for it.
        this.#carried.delete(query);
        throw error;
      });
      this.#registry.hold(query, answer.groups);
      const moved = this.#registry.movedSince(base, answer.groups);
      if (!moved || (carried !== undefined && moved.position === carried)) return answer.data;
      if (attempt === OVERTAKEN_MAX) {
        queueMicrotask(() => this.#sink.markStale(new Set([query])));
        return answer.data;
      }
    }
  }

  /** True if the last read of `query` already had to see `position`. */
  hasSeen(query: string, position: string | undefined): boolean {
    return position !== undefined && this.#carried.get(query) === position;
  }

  /** The query left the store. */
  release(query: string): void {
    this.#registry.release(query);
    this.#carried.delete(query);
  }

  #invalidated(event: InvalidationEvent): void {
    const affected = this.#registry.invalidate(event.groups, event.position);
    for (const query of affected) {
      // Our own write, already followed by a read at its position: the event says nothing new.
      if (this.hasSeen(query, event.position)) affected.delete(query);
    }
    if (affected.size > 0) this.#sink.markStale(affected);
  }
}
