import { openChannel } from './channel.ts';

/**
 * Keeps good what a browser's requests are let in by (a token, say), for as long as its session stands.
 *
 * Invariants:
 * - what the browser has now decides when it is due, whoever got it: no page load and no other tab begins the time anew;
 * - one renewal at a time, in whatever tab, so that what is good only once is not sent twice; of those who need it at the
 *   same time one sends it, and the others are told whose it is;
 * - timers do not run while a laptop sleeps: it is looked at often, and whenever somebody comes back;
 * - it ends nothing: whoever asks is told what became of it.
 */
export interface RenewalOptions {
  /** Names the lock between tabs: one per application and origin. */
  name: string;
  /** Exchanges what the browser has for something new. Resolves with whose it is. */
  send: (signal: AbortSignal) => Promise<string>;
  /** From when on it is to be renewed, in milliseconds since 1970; undefined if the browser has nothing. */
  dueAt: () => number | undefined;
  /** It is due, and no other tab is at it. Never rejects. */
  onDue: () => Promise<void>;
}

export interface Renewal {
  /**
   * Renews, unless that was done since `sentAt`, when what was refused was sent. Resolves with whose it is; rejects as
   * `send` does, or with a `TimeoutError`.
   */
  now(sentAt?: number): Promise<string>;
  /** Renews if it is due. */
  look(): void;
  close(): void;
}

interface Renewed {
  at: number;
  due: number | undefined;
  userId: string;
}

const LOOK_EVERY_MS = 30_000;
/** However wrong the clock of this computer is, what was just renewed is not due. */
const RENEWED_APART_MS_MIN = 60_000;
const ANSWER_MS_MAX = 10_000;
/** How long a tab that has renewed may take to say whose it is. */
const TOLD_MS_MAX = 1_000;
const WAKES = ['online', 'pageshow', 'focus', 'visibilitychange'];

export function createRenewal({ name, send, dueAt, onDue }: RenewalOptions): Renewal {
  const { locks } = globalThis.navigator ?? {};
  let attempt: Promise<string> | undefined;
  /** The last renewal that was heard of, in whatever tab. */
  let latest: Renewed | undefined;
  /** When what the browser has was due, as far as this tab knows: if it is due at another time, another tab has renewed it. */
  let known = dueAt();
  let told = () => {};
  const channel = openChannel<Renewed>(name, note);

  function note(renewed: Renewed): void {
    latest = renewed;
    known = renewed.due;
    told();
  }

  async function renew(): Promise<string> {
    const userId = await send(AbortSignal.timeout(ANSWER_MS_MAX));
    const renewed = { at: Date.now(), due: dueAt(), userId };
    note(renewed);
    channel?.postMessage(renewed);
    return userId;
  }

  const ownerSince = (sentAt: number) => (latest && latest.at > sentAt ? latest.userId : undefined);

  async function exchange(sentAt: number): Promise<string> {
    const unlessRenewed = async () => {
      if (dueAt() !== known) {
        // Another tab has renewed it, and is about to say whose it is.
        await new Promise<void>((resolve) => {
          told = resolve;
          setTimeout(resolve, TOLD_MS_MAX);
        });
      }
      return ownerSince(sentAt) ?? renew();
    };
    try {
      return await holding(`${name}:now`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) }, unlessRenewed);
    } finally {
      attempt = undefined;
    }
  }

  /** Without locks each tab is for itself. */
  function holding<T>(lock: string, how: LockOptions, act: (held: object | null) => Promise<T>): Promise<T> {
    return locks ? (locks.request(lock, how, act) as Promise<unknown> as Promise<T>) : act({});
  }

  function isDue(): boolean {
    const at = dueAt();
    known = at;
    const now = Date.now();
    const wasJustRenewed = latest && Math.abs(now - latest.at) < RENEWED_APART_MS_MIN;
    return at !== undefined && now >= at && !wasJustRenewed;
  }

  const look = (): void => {
    if (attempt || !isDue()) return;
    // Whoever has the lock renews, unless another tab just has; nobody waits for it, because it is looked at again.
    holding(name, { ifAvailable: true }, async (held) => {
      if (held && isDue()) await onDue();
    }).catch(() => {});
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  for (const event of WAKES) globalThis.addEventListener?.(event, look);

  return {
    now: (sentAt = Date.now()) => {
      attempt ??= exchange(sentAt);
      return attempt;
    },
    look,
    close: () => {
      clearInterval(timer);
      channel?.close();
      for (const event of WAKES) globalThis.removeEventListener?.(event, look);
    },
  };
}
