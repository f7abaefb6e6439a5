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

export function parseMessage(data: unknown): Message | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === 'object' && message !== null && 'type' in message
      ? (message as Message)
      : undefined;
  } catch {
    return undefined;
  }
}
