import type { InvalidationEvent, LiveListener, LiveSource, LiveState } from '../source.ts';

/**
 * One connection for all tabs of a browser: the tab that holds a Web Lock leads and tells the others, over a
 * BroadcastChannel, what it hears.
 *
 * Invariants:
 * - only groups, positions and the name of an entity travel between tabs, never data;
 * - a tab that was away (frozen, in the back/forward cache, just opened) says how far it had heard; it is told what came
 *   after, from a bounded memory, or else takes everything as stale;
 * - a leader that no longer answers (frozen) is replaced: whoever notices takes the lock;
 * - without Web Locks or BroadcastChannel every tab leads itself.
 */
export interface TabsOptions {
  /** The same for tabs that may share: of one tenant, user and sign-in. Without it, none is shared. */
  name: string | undefined;
  listener: LiveListener;
  connect: (listener: LiveListener, since: string | undefined, onPing: () => void) => LeadingSource;
  /** How long a leader may take to answer. */
  answerMaxMs?: number | undefined;
  /** Silence of a leader after which it is asked whether it is still there. */
  silenceMaxMs?: number | undefined;
}

/** A source that can be asked to look after itself, because a tab is looked at. */
export type LeadingSource = LiveSource & { wake?(): void };

/** Many tabs may ask for the same at once, such as after the server closed the connection for cause. */
const RECONNECT_MS_MIN = 3_000;
/** What is remembered for tabs that were away. */
const TOLD_MAX = 256;

interface Told {
  position: string;
  groups: string[];
  entity?: string;
  jitter?: number;
}

type TabMessage =
  | { kind: 'join'; from: string; since: string | undefined }
  | { kind: 'welcome'; to: string; position: string | undefined; missed: Told[] | null }
  | { kind: 'told'; told: Told }
  | { kind: 'resync'; reason: string; position: string | undefined }
  | { kind: 'state'; state: LiveState }
  | { kind: 'ping' | 'reconnect' | 'revoked' | 'wake' };

export class SharedLive implements LiveSource {
  readonly #options: TabsOptions;
  readonly #listener: LiveListener;
  readonly #id = Math.random().toString(36).slice(2);
  readonly #told: Told[] = [];
  #channel: BroadcastChannel | undefined;
  #connection: LeadingSource | undefined;
  #release: (() => void) | undefined;
  #queued = new AbortController();
  #state: LiveState = 'catching-up';
  #position: string | undefined;
  /** As a follower: greeted by the leader that now leads. */
  #joined = false;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #reconnectedAt = 0;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#listener = options.listener;
    globalThis.addEventListener?.('pagehide', this.#suspend);
    globalThis.addEventListener?.('pageshow', this.#resume);
    globalThis.document?.addEventListener('visibilitychange', this.#seen);
    this.#start();
  }

  get state(): LiveState {
    return this.#state;
  }

  get position(): string | undefined {
    return this.#position;
  }

  get isLeader(): boolean {
    return this.#connection !== undefined;
  }

  reconnect(): void {
    if (this.#closed) return;
    if (this.#connection) {
      this.#reconnectedAt = Date.now();
      this.#connection.reconnect();
    } else {
      this.#post({ kind: 'reconnect' });
      this.#join();
    }
  }

  close(): void {
    this.#closed = true;
    globalThis.removeEventListener?.('pagehide', this.#suspend);
    globalThis.removeEventListener?.('pageshow', this.#resume);
    globalThis.document?.removeEventListener('visibilitychange', this.#seen);
    this.#stop();
  }

  #start(): void {
    const { name } = this.#options;
    if (!name || !globalThis.navigator?.locks || typeof BroadcastChannel === 'undefined') {
      this.#lead();
      return;
    }
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (event: MessageEvent<TabMessage>) => this.#hear(event.data);
    this.#queue(name, false);
    this.#join();
  }

  #stop(): void {
    clearTimeout(this.#waiting);
    this.#queued.abort();
    this.#connection?.close();
    this.#connection = undefined;
    this.#release?.();
    this.#release = undefined;
    this.#channel?.close();
    this.#channel = undefined;
    this.#joined = false;
  }

  /** A page in the back/forward cache may hold neither a lock nor a socket. */
  readonly #suspend = (event: PageTransitionEvent): void => {
    if (!event.persisted) return;
    this.#stop();
    this.#setState('catching-up');
  };

  readonly #resume = (event: PageTransitionEvent): void => {
    if (event.persisted && !this.#closed) this.#start();
  };

  /** The tab that leads may be in the background, where timers are slow: whoever is looked at reminds it. */
  readonly #seen = (): void => {
    if (this.#connection || globalThis.document.visibilityState === 'hidden') return;
    this.#post({ kind: 'wake' });
    if (this.#channel && this.#state !== 'live') this.#join();
  };

  /** Waits for the lock, or takes it from a leader that does not answer. */
  #queue(name: string, steal: boolean): void {
    this.#queued.abort();
    const queued = new AbortController();
    this.#queued = queued;
    const hold = () =>
      new Promise<void>((resolve) => {
        if (queued.signal.aborted) return resolve();
        this.#release = resolve;
        this.#lead();
      });
    // A theft cannot be called off, and need not be: it does not wait.
    const options: LockOptions = steal ? { steal: true } : { signal: queued.signal };
    navigator.locks.request(name, options, hold).catch(() => {
      // Called off, or taken by a tab that missed us: then we follow it.
      if (queued.signal.aborted) return;
      this.#demote(name);
    });
  }

  #demote(name: string): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#release = undefined;
    this.#setState('catching-up');
    this.#queue(name, false);
    this.#join();
  }

  #lead(): void {
    clearTimeout(this.#waiting);
    this.#joined = false;
    const tell = this.#listener;
    this.#connection = this.#options.connect(
      {
        onInvalidation: (event) => {
          const { position, groups, data, jitter_ms } = event;
          const entity = typeof data?.entity === 'string' ? { entity: data.entity } : {};
          const jitter = jitter_ms ? { jitter: jitter_ms } : {};
          const told: Told = { position, groups, ...entity, ...jitter };
          this.#remember(told);
          this.#position = position;
          this.#post({ kind: 'told', told });
          tell.onInvalidation(event);
        },
        onResync: (reason, position) => {
          this.#forget(position);
          this.#post({ kind: 'resync', reason, position });
          tell.onResync(reason, position);
        },
        onState: (state) => {
          this.#position = this.#connection?.position ?? this.#position;
          if (state === 'live') this.#mark(this.#position);
          this.#post({ kind: 'state', state });
          this.#setState(state);
        },
        onRevoked: () => {
          this.#post({ kind: 'revoked' });
          tell.onRevoked();
        },
      },
      this.#position,
      () => this.#post({ kind: 'ping' }),
    );
    this.#setState(this.#connection.state);
  }

  #remember(told: Told): void {
    this.#told.push(told);
    if (this.#told.length > TOLD_MAX) this.#told.shift();
  }

  /** What came before cannot be told any more. */
  #forget(position: string | undefined): void {
    this.#told.length = 0;
    this.#position = position ?? this.#position;
    this.#mark(this.#position);
  }

  /** Whoever has heard up to here has missed only what is remembered behind it. */
  #mark(position: string | undefined): void {
    if (position !== undefined) this.#remember({ position, groups: [] });
  }

  /** Asks the leader to be taken in; one that does not answer is replaced. */
  #join(): void {
    this.#joined = false;
    this.#post({ kind: 'join', from: this.#id, since: this.#position });
    const { name, answerMaxMs = 2_000 } = this.#options;
    if (name) this.#await(answerMaxMs, () => this.#queue(name, true));
  }

  #await(ms: number, then: () => void): void {
    clearTimeout(this.#waiting);
    if (!this.#connection) this.#waiting = setTimeout(then, ms);
  }

  #hear(message: TabMessage): void {
    if (this.#connection) this.#answer(message);
    else this.#follow(message);
  }

  #answer(message: TabMessage): void {
    const isDue = this.#state !== 'live' && Date.now() - this.#reconnectedAt > RECONNECT_MS_MIN;
    if (message.kind === 'reconnect' && isDue) this.reconnect();
    if (message.kind === 'wake') this.#connection?.wake?.();
    if (message.kind !== 'join') return;
    const { from: to, since } = message;
    this.#post({ kind: 'state', state: this.#state });
    if (this.#state !== 'live') return;
    const position = this.#connection?.position;
    // From the first of that position on: of several records of one, it may not have heard the later ones.
    const place = this.#told.findIndex((told) => told.position === since);
    const missed = since !== undefined && place >= 0 ? this.#told.slice(place + 1) : null;
    this.#post({ kind: 'welcome', to, position, missed });
  }

  #follow(message: TabMessage): void {
    switch (message.kind) {
      case 'welcome':
        if (message.to === this.#id) this.#welcomed(message.missed, message.position);
        return;
      case 'state':
        // Any word of a leader shows that there is one; once it is live, it can say what was missed.
        this.#listen();
        if (message.state !== 'live') {
          this.#joined = false;
          this.#setState(message.state);
        } else if (!this.#joined) this.#post({ kind: 'join', from: this.#id, since: this.#position });
        return;
      case 'told':
        if (this.#joined) this.#take(message.told);
        break;
      case 'resync':
        // Who has not joined yet says so with what it had heard, and is then told that this cannot be resumed.
        if (this.#joined) {
          this.#forget(message.position);
          this.#listener.onResync(message.reason, message.position);
        }
        break;
      case 'revoked':
        this.#listener.onRevoked();
        break;
    }
    if (this.#joined) this.#listen();
  }

  #welcomed(missed: Told[] | null, position: string | undefined): void {
    // The answer to a `join` and the one to a `state` may both come. The second says nothing new, unless the first was that
    // of a tab that led, was replaced while it was frozen, and does not know yet.
    const isNew = (at: string | undefined) =>
      !this.#joined || (at !== undefined && !this.#told.some((told) => told.position === at));
    if (missed !== null) for (const told of missed) isNew(told.position) && this.#take(told);
    else if (isNew(position)) {
      this.#forget(position);
      this.#listener.onResync('joined', position);
    }
    this.#joined = true;
    this.#listen();
    this.#position = position ?? this.#position;
    this.#setState('live');
  }

  #take(told: Told): void {
    const { position, groups, entity, jitter } = told;
    this.#position = position;
    // Remembered too: this tab may lead next, and be asked.
    this.#remember(told);
    if (groups.length === 0 && !entity) return;
    const data = entity ? { entity } : {};
    const spread = jitter ? { jitter_ms: jitter } : {};
    const event: InvalidationEvent = { type: 'cache_invalidation', position, groups, data, ...spread };
    this.#listener.onInvalidation(event);
  }

  #listen(): void {
    this.#await(this.#options.silenceMaxMs ?? 90_000, () => this.#join());
  }

  #post(message: TabMessage): void {
    this.#channel?.postMessage(message);
  }

  #setState(state: LiveState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.onState(state);
  }
}
