/** What the client did, for whoever wants to watch it (the devtools panel, counters). Costs nothing unwatched. */
export type ClientEvent =
  /** A request left; `reads` of them in one. */
  | { type: 'sent'; url: string; reads: number }
  /** A read was answered by a request that was already on its way. */
  | { type: 'joined'; url: string }
  /** A query was read and now holds these groups. */
  | { type: 'read'; query: string; groups: readonly string[]; notModified: boolean; attempt: number }
  /** Groups moved: `queries` went stale, `skipped` had seen it already. */
  | { type: 'invalidated'; position: string; queries: readonly string[]; skipped: readonly string[] }
  /** It cannot be known what changed. */
  | { type: 'resync'; reason: string };

export type Watch = (event: ClientEvent) => void;
