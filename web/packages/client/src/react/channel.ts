/** Between the tabs of a browser. Where there is no BroadcastChannel there is none, and nothing is told. */
export function openChannel<M>(name: string, onMessage: (message: M) => void): BroadcastChannel | undefined {
  if (typeof BroadcastChannel === 'undefined') return undefined;
  const channel = new BroadcastChannel(name);
  channel.onmessage = (event: MessageEvent<M>) => onMessage(event.data);
  return channel;
}
