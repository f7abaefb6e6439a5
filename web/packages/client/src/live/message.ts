import type { InvalidationEvent } from '../source.ts';

/** What the server says, over whichever transport. */
export type Message =
  | {
      type: 'hello';
      position?: string;
      /** What is about to be said of the time before; of `unknown`, a `resync` follows at once. */
      missed?: 'nothing' | 'replayed' | 'unknown';
    }
  | InvalidationEvent
  | { type: 'resync'; reason?: string; position?: string }
  | { type: 'ping' };

/** What is of no known form is passed over, but for an event: something has changed, and it cannot be known what. */
export function parseMessage(data: unknown): Message | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const message = JSON.parse(data);
    if (typeof message?.type !== 'string') return undefined;
    if (message.type !== 'cache_invalidation' || isReadable(message)) return message;
    const { position } = message;
    const from = typeof position === 'string' ? { position } : {};
    return { type: 'resync', reason: 'an event could not be read', ...from };
  } catch {
    return undefined;
  }
}

const isReadable = ({ position, groups, data }: Record<string, unknown>): boolean =>
  typeof position === 'string' &&
  Array.isArray(groups) &&
  groups.every((group) => typeof group === 'string') &&
  typeof data === 'object' &&
  data !== null;
