/** A browser's WebSocket that a test speaks for. */
export class Socket extends EventTarget {
  static opened: Socket[] = [];
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  readyState = 0;
  constructor(readonly url: string) {
    super();
    Socket.opened.push(this);
  }
  push(message: unknown) {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
  }
  greet() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
    this.push({ type: 'hello', position: 'p0' });
  }
  drop(code: number) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason: '', wasClean: false }));
  }
  send() {}
  close() {}
}
