import ReconnectingWebSocket from 'partysocket/ws';

/**
 * The socket that carries invalidations. It reconnects by itself, with jitter; what it reports is only
 * what a listener acts on: events, and whether something may have been missed.
 */
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
  data: Readonly<Record<string, unknown>>;
}

export interface LiveListener {
  onInvalidation(event: InvalidationEvent): void;
  /** It cannot be known what changed meanwhile. */
  onResync(reason: string, position: string | undefined): void;
  onState(state: LiveState): void;
  /** The server ended this session or changed what it may see; the socket stays closed until `reconnect`. */
  onRevoked(): void;
}

export interface LiveConnectionOptions {
  url: () => string;
  listener: LiveListener;
  WebSocket?: unknown;
  reconnectMinMs?: number;
  reconnectMaxMs?: number;
  /** Failed attempts after which the state is `degraded`. */
  attemptsBeforeDegraded?: number;
  /** Silence after which a connection counts as dead; armed by the server's first ping. */
  silenceMaxMs?: number;
}

export const CLOSE_REVOKED = 4401;

type Message =
  | { type: 'hello'; position?: string }
  | InvalidationEvent
  | { type: 'resync'; reason?: string; position?: string }
  | { type: 'ping' };

function parseMessage(data: unknown): Message | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === 'object' && message !== null && 'type' in message
      ? (message as Message)
      : undefined;
  } catch {
    return undefined;
  }
}

export class LiveConnection {
  readonly #options: LiveConnectionOptions;
  #socket: ReconnectingWebSocket;
  readonly #listener: LiveListener;
  readonly #silenceMaxMs: number;
  readonly #attemptsBeforeDegraded: number;
  #state: LiveState = 'catching-up';
  #lastPosition: string | undefined;
  /** Whether the running connection said from where on it must be told what it missed. */
  #resuming = false;
  #failures = 0;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #pinged = false;
  #revoked = false;

  constructor(options: LiveConnectionOptions) {
    this.#listener = options.listener;
    this.#silenceMaxMs = options.silenceMaxMs ?? 90_000;
    this.#attemptsBeforeDegraded = options.attemptsBeforeDegraded ?? 2;
    this.#options = options;
    this.#socket = this.#open();
    globalThis.addEventListener?.('online', this.#online);
  }

  get state(): LiveState {
    return this.#state;
  }

  reconnect(): void {
    clearTimeout(this.#silence);
    this.#pinged = false;
    this.#revoked = false;
    this.#setState('catching-up');
    // A new socket and not the old one's own `reconnect`, which would first sit out a running back-off.
    const replaced = this.#socket;
    this.#socket = this.#open();
    replaced.close();
  }

  close(): void {
    globalThis.removeEventListener?.('online', this.#online);
    clearTimeout(this.#silence);
    this.#socket.close();
  }

  #open(): ReconnectingWebSocket {
    const { WebSocket, reconnectMinMs = 500, reconnectMaxMs = 20_000 } = this.#options;
    const socket = new ReconnectingWebSocket(this.#url, [], {
      ...(WebSocket ? { WebSocket } : {}),
      // Jitter, so that a restarted server is not met by every browser in the same instant.
      minReconnectionDelay: reconnectMinMs * (1 + Math.random()),
      maxReconnectionDelay: reconnectMaxMs,
      reconnectionDelayGrowFactor: 1.6,
      connectionTimeout: 8_000,
      // Events are only received; nothing is ever queued for sending.
      maxEnqueuedMessages: 0,
    });
    // A socket that was replaced has nothing more to say.
    const current = () => socket === this.#socket;
    socket.addEventListener('message', (event) => current() && this.#receive(event.data));
    socket.addEventListener('close', (event) => current() && this.#closed(event.code));
    return socket;
  }

  /** Asked for anew at every attempt: with the last message's position, so that the server sends what came after. */
  readonly #url = (): string => {
    const url = new URL(this.#options.url());
    this.#resuming = this.#lastPosition !== undefined;
    if (this.#lastPosition !== undefined) url.searchParams.set('since', this.#lastPosition);
    return url.href;
  };

  /** The network is back: no reason to sit out the rest of the back-off. */
  readonly #online = (): void => {
    if (this.#state !== 'live' && !this.#revoked) this.reconnect();
  };

  #receive(data: unknown): void {
    const message = parseMessage(data);
    if (!message) return;
    switch (message.type) {
      case 'hello':
        this.#greeted(message.position);
        break;
      case 'cache_invalidation':
        this.#lastPosition = message.position;
        this.#listener.onInvalidation(message);
        break;
      case 'resync':
        this.#lastPosition = message.position ?? this.#lastPosition;
        this.#listener.onResync(message.reason ?? 'requested by the server', this.#lastPosition);
        break;
      case 'ping':
        this.#pinged = true;
        break;
    }
    if (this.#pinged) this.#watchSilence();
  }

  #greeted(position: string | undefined): void {
    this.#failures = 0;
    // A resumed connection is sent what it missed, or a `resync` where that cannot be known. Without a position to
    // resume from, whatever was read before the subscription began may be out of date.
    if (!this.#resuming) this.#listener.onResync('connected', position);
    this.#lastPosition = position || this.#lastPosition;
    this.#setState('live');
  }

  #closed(code: number): void {
    clearTimeout(this.#silence);
    this.#pinged = false;
    if (code === CLOSE_REVOKED) {
      this.#revoked = true;
      this.#socket.close();
      this.#setState('catching-up');
      this.#listener.onRevoked();
      return;
    }
    this.#failures += 1;
    this.#setState(this.#failures > this.#attemptsBeforeDegraded ? 'degraded' : 'catching-up');
  }

  #watchSilence(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.reconnect(), this.#silenceMaxMs);
  }

  #setState(state: LiveState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.onState(state);
  }
}
