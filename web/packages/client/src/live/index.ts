/** Where live events come from: one connection per browser, over WebSocket or server-sent events. */
import type { OpenLive } from '../source.ts';
import { LiveConnection, type LiveConnectionOptions } from './connection.ts';
import { SharedLive } from './tabs.ts';

export { CLOSE_REVOKED, LiveConnection, type LiveConnectionOptions } from './connection.ts';
export { type LeadingSource, SharedLive, type TabsOptions } from './tabs.ts';

export interface LiveOptions extends Omit<LiveConnectionOptions, 'listener' | 'since' | 'onPing'> {
  /** The same for tabs that may share one connection: of one tenant, user and sign-in. Without it, none is shared. */
  shareAs?: string | undefined;
  /** How long the leading tab may take to answer. */
  leaderAnswerMaxMs?: number;
}

export function openLive(options: LiveOptions): OpenLive {
  const { shareAs, leaderAnswerMaxMs, ...connection } = options;
  return (listener) =>
    new SharedLive({
      name: shareAs,
      listener,
      connect: (shared, since, onPing) =>
        new LiveConnection({ ...connection, listener: shared, since, onPing }),
      answerMaxMs: leaderAnswerMaxMs,
      silenceMaxMs: connection.silenceMaxMs,
    });
}
