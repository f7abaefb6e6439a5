import ReconnectingWebSocket from 'partysocket/ws';
import type { LiveListener, LiveSource, LiveState } from '../source.ts';
import { parseMessage } from './message.ts';
import { Stream } from './stream.ts';

/**
 * The connection that carries invalidations: a WebSocket that reconnects by itself, with jitter; while none comes
 * through, server-sent events; while these do not either, nothing but further attempts (`degraded`).
 *
 * What it reports is only what a listener acts on: events, and whether something may have been missed.
 */
export interface LiveConnectionOptions {
  /** The WebSocket's address. */
  url: () => string;
  /** The address of the same events as server-sent events. */
  streamUrl?: (() => string) | undefined;
  listener: LiveListener;
  /** The last position heard by an earlier connection of this session. */
  since?: string | undefined;
  WebSocket?: unknown;
  reconnectMinMs?: number;
  reconnectMaxMs?: number;
  /** Failed attempts after which the stream is tried, and without one the state is `degraded`. */
  attemptsBeforeDegraded?: number;
  /** Silence after which a connection that has greeted counts as dead: more than from one ping of the server to the next. */
  silenceMaxMs?: number;
  onPing?: () => void;
}

export const CLOSE_REVOKED = 4401;
/** A stream has had its time, and goes on in another. */
const CLOSE_DONE = 1000;
/** A socket that is open and says nothing: something between here and the server takes it and passes nothing on. */
const GREETING_MAX_MS = 10_000;
/** A server that has no stream looks like one that is down: it is asked again, after so many times the longest wait. */
const UNKNOWN_STREAM_WAITS = 15;

type Transport = 'socket' | 'stream';

export class LiveConnection implements LiveSource {
  readonly #options: LiveConnectionOptions;
  readonly #listener: LiveListener;
  readonly #silenceMaxMs: number;
  #socket: ReconnectingWebSocket | undefined;
  #stream: Stream | undefined;
  #streamRetry: ReturnType<typeof setTimeout> | undefined;
  #streamFailures = 0;
  /** A stream has greeted before: there is one. */
  #hasStream = false;
  #state: LiveState = 'catching-up';
  #position: string | undefined;
  /** Which transports said from where on they must be told what was missed. */
  readonly #resuming: Record<Transport, boolean> = { socket: false, stream: false };
  /** The transport that greeted. */
  #greeter: Transport | undefined;
  #failures = 0;
  /** How often the server closed it for cause since it greeted. */
  #refusals = 0;
  #silence: ReturnType<typeof setInterval> | undefined;
  /** A socket that was opened is given up if it does not greet; a refusal is told after a pause. */
  #pending: ReturnType<typeof setTimeout> | undefined;
  #heardAt = 0;
  #revoked = false;
  #closing = false;

  constructor(options: LiveConnectionOptions) {
    this.#options = options;
    this.#listener = options.listener;
    this.#silenceMaxMs = options.silenceMaxMs ?? 90_000;
    this.#position = options.since;
    this.#start();
    globalThis.addEventListener?.('online', this.#online);
    globalThis.document?.addEventListener('visibilitychange', this.#seen);
  }

  get state(): LiveState {
    return this.#state;
  }

  get position(): string | undefined {
    return this.#position;
  }

  reconnect(): void {
    if (this.#closing) return;
    this.#stopWatching();
    clearTimeout(this.#pending);
    this.#revoked = false;
    this.#greeter = undefined;
    this.#failures = 0;
    this.#streamFailures = 0;
    this.#closeStream();
    // A new socket and not the old one's own `reconnect`, which would first sit out a running back-off.
    const replaced = this.#socket;
    this.#socket = undefined;
    replaced?.close();
    this.#setState('catching-up');
    this.#start();
  }

  close(): void {
    this.#closing = true;
    clearTimeout(this.#pending);
    globalThis.removeEventListener?.('online', this.#online);
    globalThis.document?.removeEventListener('visibilitychange', this.#seen);
    this.#stopWatching();
    this.#closeStream();
    this.#socket?.close();
  }

  #start(): void {
    if (this.#options.WebSocket ?? globalThis.WebSocket) this.#openSocket();
    else this.#socketFailed();
  }

  #openSocket(): void {
    const { WebSocket, reconnectMaxMs = 20_000 } = this.#options;
    const socket = new ReconnectingWebSocket(() => this.#url('socket', this.#options.url), [], {
      ...(WebSocket ? { WebSocket } : {}),
      minReconnectionDelay: this.#backOff(0),
      maxReconnectionDelay: reconnectMaxMs,
      reconnectionDelayGrowFactor: 1.6,
      connectionTimeout: 8_000,
    });
    this.#socket = socket;
    // A socket that was replaced has nothing more to say.
    const current = () => socket === this.#socket && !this.#closing;
    socket.addEventListener('message', (event) => current() && this.#receive('socket', event.data));
    socket.addEventListener('open', () => {
      if (!current()) return;
      clearTimeout(this.#pending);
      this.#pending = setTimeout(
        () => current() && this.#greeter !== 'socket' && socket.reconnect(),
        GREETING_MAX_MS,
      );
    });
    socket.addEventListener('close', (event) => {
      if (!current() || this.#revoked) return;
      clearTimeout(this.#pending);
      if (event.code === CLOSE_REVOKED) this.#endRevoked();
      else this.#socketFailed();
    });
  }

  /** Asked for anew at every attempt: with the last message's position, so that the server sends what came after. */
  #url(transport: Transport, base: () => string): string {
    const url = new URL(base(), globalThis.location?.href);
    this.#resuming[transport] = this.#position !== undefined;
    if (this.#position !== undefined) url.searchParams.set('since', this.#position);
    // An address of the page's own origin is one of HTTP, which not every WebSocket takes.
    return transport === 'socket' ? url.href.replace(/^http/, 'ws') : url.href;
  }

  /** Somebody looks: no reason to sit out a back-off, or to trust a socket that slept. */
  wake(): void {
    if (!this.#revoked && (this.#state === 'degraded' || this.#failures > 0 || this.#isSilent()))
      this.reconnect();
  }

  // Also in the background: other tabs may hear by this connection.
  readonly #online = (): void => this.wake();

  readonly #seen = (): void => {
    if (globalThis.document.visibilityState !== 'hidden') this.wake();
  };

  #receive(transport: Transport, data: unknown): void {
    const message = parseMessage(data);
    if (!message) return;
    this.#heardAt = Date.now();
    switch (message.type) {
      case 'hello':
        this.#greeted(transport, message.position, message.missed === 'unknown');
        break;
      case 'cache_invalidation':
        this.#position = message.position;
        this.#listener.onInvalidation(message);
        break;
      case 'resync':
        this.#position = message.position ?? this.#position;
        this.#listener.onResync(message.reason ?? 'requested by the server', this.#position);
        if (this.#greeter) this.#setState('live');
        break;
      case 'ping':
        this.#options.onPing?.();
        break;
    }
  }

  #greeted(transport: Transport, position: string | undefined, resyncFollows: boolean): void {
    this.#failures = 0;
    this.#streamFailures = 0;
    this.#refusals = 0;
    this.#greeter = transport;
    this.#silence ??= setInterval(() => this.#isSilent() && this.reconnect(), this.#silenceMaxMs / 6);
    if (transport === 'socket') this.#closeStream();
    else this.#hasStream = true;
    // A resumed connection is sent what it missed, or a `resync` where that cannot be known. Without a position to
    // resume from, whatever was read before the subscription began may be out of date.
    if (!this.#resuming[transport] && !resyncFollows) this.#listener.onResync('connected', position);
    this.#position = position || this.#position;
    // What waits for the greeting is not to be read just to be read again.
    if (!resyncFollows) this.#setState('live');
  }

  #socketFailed(): void {
    if (this.#greeter === 'stream') return;
    this.#lost();
    this.#failures += 1;
    const failedOften = this.#failures > (this.#options.attemptsBeforeDegraded ?? 2);
    if (failedOften || !this.#socket) this.#openStream();
    const down = (failedOften || !this.#socket) && !this.#stream;
    // One more attempt is no news for who waits already.
    if (this.#state !== 'degraded') this.#setState(down ? 'degraded' : 'catching-up');
  }

  #openStream(): void {
    const { streamUrl } = this.#options;
    if (this.#stream || this.#streamRetry || this.#closing) return;
    if (!streamUrl || !Stream.supported) return;
    const stream: Stream = new Stream({
      url: () => this.#url('stream', streamUrl),
      onMessage: (data) => this.#stream === stream && this.#receive('stream', data),
      onClosed: (code) => {
        if (this.#stream !== stream) return;
        if (code === CLOSE_REVOKED) this.#endRevoked();
        else if (code === CLOSE_DONE && this.#greeter === 'stream') {
          // The next goes on where it was, so nothing is missed, and there is nothing to tell.
          this.#stream = undefined;
          this.#lost();
          this.#openStream();
        } else this.#streamFailed();
      },
    });
    this.#stream = stream;
  }

  #streamFailed(): void {
    this.#stream = undefined;
    this.#streamFailures += 1;
    if (this.#greeter === 'stream') this.#lost();
    if (this.#state !== 'degraded') this.#setState(this.#streamFailures > 1 ? 'degraded' : 'catching-up');
    const retry = () => {
      this.#streamRetry = undefined;
      if (this.#greeter === undefined) this.#openStream();
    };
    const times = this.#hasStream ? 1 : UNKNOWN_STREAM_WAITS;
    this.#streamRetry = setTimeout(retry, this.#backOff(this.#streamFailures, times));
  }

  /** By chance up to twice as long, so that what failed for many does not come back at once. */
  #backOff(failures: number, longestTimes = 1): number {
    const { reconnectMinMs = 500, reconnectMaxMs = 20_000 } = this.#options;
    return Math.min(reconnectMinMs * 2 ** failures, reconnectMaxMs * longestTimes) * (1 + Math.random());
  }

  #closeStream(): void {
    clearTimeout(this.#streamRetry);
    this.#streamRetry = undefined;
    this.#stream?.close();
    this.#stream = undefined;
  }

  #lost(): void {
    this.#greeter = undefined;
    this.#stopWatching();
  }

  #endRevoked(): void {
    this.#revoked = true;
    this.#lost();
    this.#closeStream();
    this.#socket?.close();
    this.#setState('catching-up');
    this.#refusals += 1;
    // Whoever is refused and comes back, refused and comes back, is to leave the server in peace.
    if (this.#refusals > 1)
      this.#pending = setTimeout(() => this.#listener.onRevoked(), this.#backOff(this.#refusals));
    else this.#listener.onRevoked();
  }

  /** By the clock on the wall, which goes on while a laptop sleeps, and may be put back. */
  #isSilent(): boolean {
    return this.#silence !== undefined && Math.abs(Date.now() - this.#heardAt) > this.#silenceMaxMs;
  }

  #stopWatching(): void {
    clearInterval(this.#silence);
    this.#silence = undefined;
  }

  #setState(state: LiveState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.onState(state);
  }
}
