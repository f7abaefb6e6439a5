import type { ClientEvent } from '@unstale/client';
import { createStore, type Store } from './store.ts';

/** What a session did: counters and the last happenings, bounded, for the devtools panel and for measuring. */
export interface Counters {
  requests: number;
  reads: number;
  batched: number;
  joined: number;
  notModified: number;
  invalidations: number;
  skipped: number;
  resyncs: number;
  /** How often components that read through `useCoherentQuery` were rendered and shown, their first times included. */
  renders: number;
}

export interface Happening {
  at: number;
  event: ClientEvent;
}

export interface Activity {
  readonly counters: Readonly<Counters>;
  readonly happenings: readonly Happening[];
  /** While last known answers are held that the server has not said since: since when the oldest of them is known. */
  readonly lastKnownAt: Store<number | null>;
  watch(event: ClientEvent): void;
  rendered(): void;
  showsLastKnown(since: number | null): void;
  clear(): void;
}

const HAPPENINGS_MAX = 200;

const none = (): Counters => ({
  requests: 0,
  reads: 0,
  batched: 0,
  joined: 0,
  notModified: 0,
  invalidations: 0,
  skipped: 0,
  resyncs: 0,
  renders: 0,
});

export function createActivity(): Activity {
  let counters = none();
  let happenings: Happening[] = [];
  const lastKnownAt = createStore<number | null>(null);

  function count(event: ClientEvent): void {
    switch (event.type) {
      case 'sent':
        counters.requests += 1;
        if (event.reads > 1) counters.batched += event.reads;
        break;
      case 'joined':
        counters.joined += 1;
        break;
      case 'read':
        counters.reads += 1;
        if (event.notModified) counters.notModified += 1;
        break;
      case 'invalidated':
        counters.invalidations += 1;
        counters.skipped += event.skipped.length;
        break;
      case 'resync':
        counters.resyncs += 1;
        break;
    }
  }

  return {
    get counters() {
      return counters;
    },
    get happenings() {
      return happenings;
    },
    lastKnownAt,
    watch: (event) => {
      count(event);
      happenings.push({ at: Date.now(), event });
      if (happenings.length > HAPPENINGS_MAX) happenings = happenings.slice(-HAPPENINGS_MAX / 2);
    },
    rendered: () => {
      counters.renders += 1;
    },
    showsLastKnown: (since) => lastKnownAt.set(since),
    clear: () => {
      counters = none();
      happenings = [];
      lastKnownAt.set(null);
    },
  };
}
