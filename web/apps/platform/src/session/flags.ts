import { createStore } from '@unstale/client/react';
import type { Evaluation } from './open-feature';

/**
 * Feature flags, evaluated by the server (OpenFeature's remote evaluation protocol) for the user who is signed in.
 * Until they are known, and on a server that has none, everything is as released. A switch that is thrown reaches open
 * pages as a live event, upon which they ask again.
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

const store = createStore<Flags>(RELEASED);
let context: Record<string, string> = {};
/** Kept while it opens too, so that it opens once; forgotten if it fails, so that the next session tries again. */
let opened: Promise<Evaluation> | undefined;

function take(evaluation: Evaluation): void {
  // Nobody is signed in any more: what was asked for them counts for nothing.
  if (!context.targetingKey) return;
  const read = (flag: keyof Flags) => evaluation.boolean(flag, RELEASED[flag]);
  const after: Flags = {
    USE_CUSTOM_API_CACHE: read('USE_CUSTOM_API_CACHE'),
    ENABLE_OFFLINE_READING: read('ENABLE_OFFLINE_READING'),
    ENABLE_DEVTOOLS: read('ENABLE_DEVTOOLS'),
  };
  store.set((before) => (JSON.stringify(before) === JSON.stringify(after) ? before : after));
}

export const flags = {
  store,
  get: <F extends keyof Flags>(flag: F): Flags[F] => store.get()[flag],
  subscribe: store.subscribe,

  async start(userId: string, clientId: string | null): Promise<void> {
    context = { targetingKey: userId, ...(clientId ? { clientAccountId: clientId } : {}) };
    if (opened) return flags.refresh();
    // Not part of the first page's bytes: nothing waits for a flag.
    opened = import('./open-feature').then(({ openFlags }) => openFlags(context, take));
    await opened.catch(() => {
      // A server without flags, or one that cannot be asked now: as released.
      opened = undefined;
    });
  },

  /** Asks again; conditionally, so a change that concerns nobody here costs a 304. */
  async refresh(): Promise<void> {
    if (!context.targetingKey) return;
    await (await opened)?.ask({ ...context }).catch(() => {});
  },

  forget(): void {
    context = {};
    store.set(RELEASED);
  },
};
