/**
 * Keeps good what a browser's requests are let in by (a token, say), for as long as its session stands.
 *
 * Invariants:
 * - what the browser has now decides when it is due, whoever got it: no page load and no other tab begins the time anew;
 * - of one tab, one renewal at a time, joined by all who need it; of several tabs, one renews what is due;
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
  /** Renews at once. Resolves with whose it is; rejects as `send` does, or with a `TimeoutError`. */
  now(): Promise<string>;
  /** Renews if it is due. */
  look(): void;
  close(): void;
}

const LOOK_EVERY_MS = 30_000;
/** However wrong the clock of this computer is, what was just renewed is not due. */
const RENEWED_APART_MS_MIN = 60_000;
const ANSWER_MS_MAX = 10_000;
const WAKES = ['online', 'pageshow', 'focus', 'visibilitychange'];

export function createRenewal({ name, send, dueAt, onDue }: RenewalOptions): Renewal {
  let attempt: Promise<string> | undefined;
  let renewedAt = 0;

  async function exchange(): Promise<string> {
    try {
      const userId = await send(AbortSignal.timeout(ANSWER_MS_MAX));
      renewedAt = Date.now();
      return userId;
    } finally {
      attempt = undefined;
    }
  }

  function isDue(): boolean {
    const at = dueAt();
    const wasJustRenewed = Math.abs(Date.now() - renewedAt) < RENEWED_APART_MS_MIN;
    return at !== undefined && Date.now() >= at && !wasJustRenewed;
  }

  /** Whoever has the lock renews; nobody waits for it, because it is looked at again. */
  async function unlessAnotherTabDoes(renew: () => Promise<void>): Promise<void> {
    const { locks } = globalThis.navigator ?? {};
    if (!locks) return renew();
    await locks.request(name, { ifAvailable: true }, async (lock) => {
      if (lock) await renew();
    });
  }

  const look = (): void => {
    if (attempt || !isDue()) return;
    // Once more with the lock: another tab may just have renewed it.
    unlessAnotherTabDoes(async () => {
      if (isDue()) await onDue();
    }).catch(() => {});
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  for (const event of WAKES) globalThis.addEventListener?.(event, look);

  return {
    now: () => {
      attempt ??= exchange();
      return attempt;
    },
    look,
    close: () => {
      clearInterval(timer);
      for (const event of WAKES) globalThis.removeEventListener?.(event, look);
    },
  };
}
