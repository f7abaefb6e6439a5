/** Where live events come from, as far as coherence needs to know. `@unstale/client/live` has the sources. */
export type LiveState =
  /** Connected and greeted: every change reaches this tab. */
  | 'live'
  /** Connecting, or back and refetching what was missed. */
  | 'catching-up'
  /** Down for a while: the app works, but changes of others show only on reload or refocus. */
  | 'degraded';

export interface InvalidationEvent {
  type: 'cache_invalidation';
  position: string;
  groups: string[];
  /** Over how long those who hear it are to spread their refetches, because they are many. */
  jitter_ms?: number;
  /** What the writer said of it. Of events that another tab heard, only the name of the entity. */
  data: Readonly<Record<string, unknown>>;
}

export interface LiveListener {
  onInvalidation(event: InvalidationEvent): void;
  /** It cannot be known what changed meanwhile. */
  onResync(reason: string, position: string | undefined): void;
  onState(state: LiveState): void;
  /** The server ended this session or changed what it may see; the source stays closed until `reconnect`. */
  onRevoked(): void;
}

export interface LiveSource {
  readonly state: LiveState;
  /** The position of the last thing that was heard. */
  readonly position: string | undefined;
  reconnect(): void;
  close(): void;
}

export type OpenLive = (listener: LiveListener) => LiveSource;
