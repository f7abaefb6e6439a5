import { hashKey, type QueryCacheNotifyEvent, type QueryClient, type QueryKey } from '@tanstack/react-query';

/**
 * What is shown before the server has said it.
 *
 * A query that writes concern is shown as its **base**, what the server said last, with their changes upon it, in the order
 * of the writes. Invariants:
 * - what arrives from the server becomes the base, and never takes a change away that it cannot have seen;
 * - a write that is refused takes its own change away and nothing else; the base is never an older one than was there;
 * - a write that is done keeps its change until a read has seen the write, or none is on its way that has not.
 *
 * So a change may be made again, of a newer base, and of one that has it already: it is to say what will be ("the name is
 * …"), not what to do ("one more").
 */
export interface Change {
  readonly queryKey: QueryKey;
  readonly update: (before: unknown) => unknown;
}

/** The changes of one write. */
export interface Pending {
  /** Of the queries that it concerns. */
  readonly queryKeys: readonly QueryKey[];
  /** The write is done. `answered` is what its answer says of queries. */
  done(position: string | undefined, answered: readonly Change[]): void;
  refused(): void;
}

export interface Foretelling {
  /** Shows what a write will change. Queries that hold nothing go on doing so. */
  begin(changes: readonly Change[]): Pending;
  /** Hears what happens to queries, after whoever keeps account of what they hold. */
  heard(event: QueryCacheNotifyEvent): void;
  /** Forgets everything. */
  close(): void;
}

interface Upon {
  update: Change['update'];
  /** Which write it is of. */
  write: Pending;
  /** Once the write is done: what it has reached. */
  reached?: { position: string | undefined };
}

interface Layer {
  base: unknown;
  upon: Upon[];
}

/** `holds` says whether what a query holds was read at a position, or later. */
export function createForetelling(
  queryClient: QueryClient,
  holds: (query: string, position: string) => boolean,
): Foretelling {
  const cache = queryClient.getQueryCache();
  /** Of each query that writes concern, until all are done and no read is on its way that began before. */
  const layers = new Map<string, Layer>();
  let isShowing = false;

  const hasSeen = (hash: string, { reached }: Upon) =>
    reached?.position !== undefined && holds(hash, reached.position);
  const made = (base: unknown, { update }: Upon) => (base === undefined ? undefined : update(base));

  function add(write: Pending, changes: readonly Change[], reached?: Upon['reached']): void {
    for (const { queryKey, update } of changes) {
      const hash = hashKey(queryKey);
      const layer = layers.get(hash) ?? { base: cache.get(hash)?.state.data, upon: [] };
      layers.set(hash, layer);
      layer.upon.push({ update, write, ...(reached ? { reached } : {}) });
      show(hash, layer);
    }
  }

  function show(hash: string, layer: Layer): void {
    const query = cache.get(hash);
    const data = layer.upon.reduce(made, layer.base);
    if (!query || query.state.data === data) return;
    isShowing = true;
    try {
      // Not `setQueryData`: that would count as an answer, fresh and right.
      query.setState({ data });
    } finally {
      isShowing = false;
    }
  }

  /** Lets go of what nothing can undo any more. */
  function settle(hash: string, layer: Layer): void {
    const status = cache.get(hash)?.state.fetchStatus ?? 'idle';
    if (status !== 'idle') return;
    while (layer.upon[0]?.reached) layer.base = made(layer.base, layer.upon.shift() as Upon);
    if (layer.upon.length === 0) layers.delete(hash);
  }

  /** Keeps the changes that pass, and shows what there is now. */
  function change(passes: (upon: Upon, hash: string) => boolean): void {
    for (const [hash, layer] of layers) {
      layer.upon = layer.upon.filter((upon) => passes(upon, hash));
      show(hash, layer);
      settle(hash, layer);
    }
  }

  return {
    begin: (changes) => {
      const write: Pending = {
        queryKeys: changes.map(({ queryKey }) => queryKey),
        done: (position, answered) => {
          for (const { upon } of layers.values()) {
            for (const one of upon) if (one.write === write) one.reached = { position };
          }
          add(write, answered, { position });
          change((one, hash) => one.write !== write || !hasSeen(hash, one));
        },
        refused: () => change((one) => one.write !== write),
      };
      add(write, changes);
      return write;
    },

    heard: (event) => {
      const hash = event.query.queryHash;
      const layer = layers.get(hash);
      if (!layer || isShowing) return;
      if (event.type === 'removed') layer.base = undefined;
      else if (event.type === 'updated') {
        const { type } = event.action;
        const { data } = event.query.state;
        if (type === 'success') {
          layer.base = data;
          // Without a position nothing better can be known than that it came later.
          const isRead = !event.action.manual;
          layer.upon = layer.upon.filter(
            (one) => !(isRead && one.reached && (!one.reached.position || hasSeen(hash, one))),
          );
        } else if (type === 'setState' && data === undefined) layer.base = undefined;
        // Otherwise a read was called off, and what it began with was put back.
        show(hash, layer);
      }
      settle(hash, layer);
    },

    close: () => layers.clear(),
  };
}
