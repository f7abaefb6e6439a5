import type { ApiClient, ApiResponse, QueryParams, ReadResponse } from './api.ts';
import type { LocalClock } from './clock.ts';
import type { Watch } from './events.ts';
import { reached } from './position.ts';
import { GroupRegistry } from './registry.ts';
import type { InvalidationEvent, LiveSource, LiveState, OpenLive } from './source.ts';

/**
 * One tab's coherence for one (tenant, user): it notes which query holds which groups, hears the live events,
 * and says which queries went stale. What "stale" then means (refetch now, or when shown again) is decided by
 * the store behind `StaleSink`; this module knows no framework and keeps no data.
 */
export interface StaleSink {
  /** These are wrong. What of them is on screen is to be read again after `rereadAfterMs`. */
  markStale(queries: ReadonlySet<string>, rereadAfterMs: number): void;
  markAllStale(): void;
}

export interface CoherenceOptions {
  api: ApiClient;
  clock: LocalClock;
  sink: StaleSink;
  /** Without it everything works, and changes of others show by stale times and on coming back. */
  live?: OpenLive | undefined;
  onRevoked?: (() => void) | undefined;
  /** Hears every event, after the queries that it concerns were marked. */
  onEvent?: ((event: InvalidationEvent) => void) | undefined;
  watch?: Watch | undefined;
  /** How long the first reads wait for the greeting. */
  greetingWaitMs?: number | undefined;
}

export interface CoherentReadOptions {
  query?: QueryParams | undefined;
  /** Of one run of a query; reads of the same run add up. */
  signal?: AbortSignal | undefined;
  /** What the store still holds of this read, unchanged since it was answered. */
  known?: Known | undefined;
  batch?: boolean | undefined;
}

/** The validator of an answer, and its groups, for a 304 that does not repeat them. */
export interface Known {
  url: string;
  etag: string;
  groups: readonly string[];
}

export interface CoherentAnswer<T> extends ReadResponse<T> {
  /** What to give as `known` at the next read; undefined if the answer cannot be asked for conditionally. */
  validator: Known | undefined;
}

/** How often one read may be overtaken by events before its answer is taken as it is, for the store to mark stale. */
const OVERTAKEN_MAX = 3;
/** However many hear an event, nobody waits longer. */
const JITTER_MS_MAX = 5_000;

const urlOf = (path: string, query: QueryParams | undefined) => JSON.stringify([path, query]);

const hasReached = (carried: string | undefined, position: string) =>
  reached(carried, position).every((isReached) => isReached);

/** One answer that a query is made of. */
interface Part {
  /** From when on what was heard is to be held against it. */
  base: number;
  /** The position that the request carried. */
  carried: string | undefined;
  groups: readonly string[];
}

/** What one run of a query reads, by address: asked for anew, a part takes the place of its former answer. */
interface Run {
  signal: AbortSignal | undefined;
  parts: Map<string, Part>;
}

function carriesAll(run: Run | undefined, position: string | undefined): boolean {
  const parts = [...(run?.parts.values() ?? [])];
  return !!position && parts.length > 0 && parts.every(({ carried }) => hasReached(carried, position));
}

export class Coherence {
  readonly #options: CoherenceOptions;
  readonly #registry: GroupRegistry;
  readonly #live: LiveSource | undefined;
  /** The last run of each query that began, and the one whose answers the store has. */
  readonly #runs = new Map<string, Run>();
  readonly #stored = new Map<string, Run>();
  readonly #stateListeners = new Set<() => void>();
  readonly #greeting: Promise<void>;
  #waiting = true;

  constructor(options: CoherenceOptions) {
    this.#options = options;
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
    this.#live = options.live?.({
      onInvalidation: (event) => this.#invalidated(event),
      onResync: (reason, position) => {
        options.watch?.({ type: 'resync', reason });
        this.#registry.raiseFloor(position);
        options.sink.markAllStale();
      },
      onState: (state) => {
        if (state !== 'catching-up') {
          clearTimeout(timer);
          stopWaiting();
        }
        this.#tellState();
      },
      onRevoked: () => options.onRevoked?.(),
    });
    if (!this.#live) stopWaiting();
  }

  get state(): LiveState {
    return this.#live?.state ?? 'degraded';
  }

  /** Whether there is a connection that could come back. */
  get isLiveWanted(): boolean {
    return this.#live !== undefined;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  };

  reconnect(): void {
    this.#live?.reconnect();
  }

  close(): void {
    this.#live?.close();
    this.#stateListeners.clear();
  }

  /**
   * Reads for one query of the store. The answer is one that no event, heard so far, has declared wrong:
   * if an event overtook it, it is read again at that event's position. What is heard after that, and before the store
   * has it, is for `stored` and `isOvertaken` to say.
   */
  async load<T>(query: string, path: string, options: CoherentReadOptions = {}): Promise<CoherentAnswer<T>> {
    // What is read before the socket listens may miss a change; a short wait saves reading it twice.
    if (this.#waiting) await this.#greeting;
    const { api, watch } = this.#options;
    const { known, signal, ...rest } = options;
    const url = urlOf(path, rest.query);
    const usable = known?.url === url ? known : undefined;
    const { parts } = this.#begin(query, signal);
    for (let attempt = 1; ; attempt += 1) {
      const after = this.#registry.required(query);
      const part: Part = { base: this.#registry.base(), carried: api.positionFor(after), groups: [] };
      parts.set(url, part);
      const answer = await api
        .get<T>(path, { ...rest, signal, after, ifNoneMatch: usable?.etag })
        .catch((error: unknown) => {
          // It has seen nothing, so the next event must not be skipped for it.
          parts.delete(url);
          throw error;
        });
      const { notModified, etag = usable?.etag } = answer;
      const groups = notModified && usable && answer.groups.length === 0 ? [...usable.groups] : answer.groups;
      part.groups = groups;
      // That of the request, which another reader may have begun before the event that this one has heard.
      part.base = answer.base;
      // Besides those of what is shown until the store has all of it, which may be never.
      this.#registry.hold(query, groups, true);
      watch?.({ type: 'read', query, groups, notModified, attempt });
      if (this.#hasMoved(part) && attempt < OVERTAKEN_MAX) continue;
      const validator = etag && parts.size === 1 ? { url, etag, groups } : undefined;
      return { ...answer, groups, validator };
    }
  }

  /** To be called when the store has put an answer in the place of what it had: what `query` has read last. */
  stored(query: string): void {
    const run = this.#runs.get(query);
    if (!run || run === this.#stored.get(query)) {
      // It has read nothing since: whatever was put there came from elsewhere, and nothing is known of it.
      this.release(query);
      return;
    }
    this.#stored.set(query, run);
    this.#registry.hold(
      query,
      [...run.parts.values()].flatMap(({ groups }) => groups),
    );
  }

  /** True if what the store has of `query` was declared wrong after it was asked for, whatever the store's marks say. */
  isOvertaken(query: string): boolean {
    const parts = this.#stored.get(query)?.parts.values() ?? [];
    return [...parts].some((part) => this.#hasMoved(part));
  }

  /** True if the last read of `query` already had to see `position`. */
  hasSeen(query: string, position: string | undefined): boolean {
    const last = this.#runs.get(query);
    // One that was called off leaves what there was before.
    return last?.signal?.aborted ? this.holds(query, position) : carriesAll(last, position);
  }

  /** True if what the store has of `query` had to see `position`. */
  holds(query: string, position: string | undefined): boolean {
    return carriesAll(this.#stored.get(query), position);
  }

  /** True if all that is told of a write which has reached `position` was heard: of its partitions, one is heard here. */
  hasHeard(position: string): boolean {
    return reached(this.#live?.position, position).includes(true);
  }

  /** Notes what an answer that was read elsewhere holds; returns the validator to give with the next read. */
  adopt(
    query: string,
    path: string,
    params: QueryParams | undefined,
    answer: ApiResponse<unknown> & { base?: number },
  ): Known | undefined {
    const { etag, groups, base = this.#registry.base() } = answer;
    const url = urlOf(path, params);
    const part: Part = { base, carried: undefined, groups };
    this.#runs.set(query, { signal: undefined, parts: new Map([[url, part]]) });
    this.stored(query);
    return etag ? { url, etag, groups } : undefined;
  }

  groupsOf(query: string): ReadonlySet<string> {
    return this.#registry.groupsOf(query);
  }

  /** The query left the store. */
  release(query: string): void {
    this.#registry.release(query);
    this.#runs.delete(query);
    this.#stored.delete(query);
  }

  #begin(query: string, signal: AbortSignal | undefined): Run {
    const before = this.#runs.get(query);
    const same = before !== undefined && signal !== undefined && before.signal === signal;
    const run = same ? before : { signal, parts: new Map<string, Part>() };
    this.#runs.set(query, run);
    return run;
  }

  #hasMoved({ base, carried, groups }: Part): boolean {
    const moved = this.#registry.movedSince(base, groups);
    return moved !== undefined && !(moved.position && hasReached(carried, moved.position));
  }

  #tellState(): void {
    for (const listener of this.#stateListeners) listener();
  }

  #invalidated(event: InvalidationEvent): void {
    const { api, sink, watch, onEvent } = this.#options;
    const { groups, position, jitter_ms: jitterMs = 0 } = event;
    const affected = this.#registry.invalidate(groups, position);
    const skipped: string[] = [];
    for (const query of affected) {
      // Such as our own write, already followed by a read at its position: the event says nothing new.
      if (this.hasSeen(query, position)) skipped.push(query);
    }
    for (const query of skipped) affected.delete(query);
    watch?.({ type: 'invalidated', position, queries: [...affected], skipped });
    // Many hear the same: each reads again at a moment of its own. Who wrote it is one, and wants to see it.
    const isOwn = hasReached(api.positionFor(), position);
    const waitMs = isOwn ? 0 : Math.random() * Math.min(jitterMs, JITTER_MS_MAX);
    if (affected.size > 0) sink.markStale(affected, waitMs);
    onEvent?.(event);
  }
}
