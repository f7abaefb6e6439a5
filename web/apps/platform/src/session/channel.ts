/** Tells the other tabs of this browser that the session ended or began. */
export type SessionMessage = { type: 'signed-out' } | { type: 'signed-in'; userId: string };

const NAME = 'unstale-migrate:session';

export interface SessionChannel {
  post(message: SessionMessage): void;
}

export function openSessionChannel(onMessage: (message: SessionMessage) => void): SessionChannel {
  // Without BroadcastChannel the other tabs notice at their next request, by its 401.
  if (typeof BroadcastChannel === 'undefined') return { post: () => {} };
  const channel = new BroadcastChannel(NAME);
  channel.addEventListener('message', (event: MessageEvent<SessionMessage>) => onMessage(event.data));
  return { post: (message) => channel.postMessage(message) };
}
