import { createStore } from '@unstale/client/react';
import type { Flags } from '../src/session/flags';

/** All off, and nobody to ask. */
const OFF: Flags = { USE_CUSTOM_API_CACHE: false, ENABLE_OFFLINE_READING: false, ENABLE_DEVTOOLS: false };
const store = createStore<Flags>(OFF);

export const flags = {
  store,
  get: <F extends keyof Flags>(flag: F): Flags[F] => OFF[flag],
  subscribe: store.subscribe,
  start: async (_userId: string, _clientId: string | null): Promise<void> => {},
  refresh: async (): Promise<void> => {},
  forget: (): void => {},
};
