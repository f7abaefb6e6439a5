import { createStore } from '@unstale/client/react';
import type { Evaluation, FlagContext } from './open-feature';

/**
 * Feature flags, evaluated by the server (OpenFeature's remote evaluation protocol) for the user who is signed in.
 * Until they are known, and on a server that has none, everything is as released. A switch that is thrown reaches open
 * pages as a live event, upon which they ask again. The server tells those who asked, for the client that they asked
 * for: so they are asked for again by each session, and whenever it cannot be known what was missed.
 */
export interface Flags {
  /** The coherent client; off, everything is asked for anew whenever it is shown. */
  USE_CUSTOM_API_CACHE: boolean;
  /** Whether users may keep what they read for reading it offline. */
  ENABLE_OFFLINE_READING: boolean;
  ENABLE_DEVTOOLS: boolean;
}

export const RELEASED: Flags = {
  USE_CUSTOM_API_CACHE: true,
  ENABLE_OFFLINE_READING: true,
  ENABLE_DEVTOOLS: false,
};

/** An answer that did not come is asked for again so often, after 1 s, 2 s, and so on. */
const RETRIES_MAX = 3;

const store = createStore<Flags>(RELEASED);
/** None while nobody is signed in. */
let context: FlagContext | undefined;
/** Kept while it opens too, so that it opens once; forgotten if it fails, so that the next to ask tries again. */
let opened: Promise<Evaluation> | undefined;
let asking: Promise<void> | undefined;
let isDue = false;
let failures = 0;
let retry: ReturnType<typeof setTimeout> | undefined;

function take(evaluation: Evaluation): void {
  // Nobody is signed in any more: what was asked for them counts for nothing.
  if (!context) return;
  const read = (flag: keyof Flags) => evaluation.boolean(flag, RELEASED[flag]);
  const after: Flags = {
    USE_CUSTOM_API_CACHE: read('USE_CUSTOM_API_CACHE'),
    ENABLE_OFFLINE_READING: read('ENABLE_OFFLINE_READING'),
    ENABLE_DEVTOOLS: read('ENABLE_DEVTOOLS'),
  };
  store.set((before) => (JSON.stringify(before) === JSON.stringify(after) ? before : after));
}

async function attempt(current: FlagContext): Promise<boolean> {
  try {
    if (opened) return await (await opened).ask(current);
    // Not part of the first page's bytes: nothing waits for a flag.
    opened = import('./open-feature').then(({ openFlags }) => openFlags(current, take));
    await opened;
    return true;
  } catch {
    opened = undefined;
    return false;
  }
}

/** One after the other, and once more if it was wanted meanwhile: an answer that is under way may be the one before. */
async function askWhileDue(): Promise<void> {
  // What is wanted several times in one turn is one request.
  await Promise.resolve();
  while (isDue && context) {
    isDue = false;
    if (await attempt(context)) failures = 0;
    else if (++failures <= RETRIES_MAX) retry = setTimeout(() => void ask(), 1_000 * 2 ** (failures - 1));
  }
}

function ask(): Promise<void> {
  clearTimeout(retry);
  isDue = true;
  asking ??= askWhileDue().finally(() => {
    asking = undefined;
  });
  return asking;
}

export const flags = {
  store,
  get: <F extends keyof Flags>(flag: F): Flags[F] => store.get()[flag],
  subscribe: store.subscribe,

  /** Asks for a user, for the client that they act for from now on. */
  start(userId: string, clientId: string | null): Promise<void> {
    context = { targetingKey: userId, ...(clientId ? { clientAccountId: clientId } : {}) };
    return flags.refresh();
  },

  /** Asks again; conditionally, so a change that concerns nobody here costs a 304. */
  async refresh(): Promise<void> {
    if (!context) return;
    failures = 0;
    await ask();
  },

  forget(): void {
    context = undefined;
    clearTimeout(retry);
    store.set(RELEASED);
  },
};
