/**
 * The same events over server-sent events, for where no WebSocket comes through.
 * `EventSource` would come back by itself, but to the address it began with; so it is made anew, from the last position.
 */
export interface StreamOptions {
  url: () => string;
  onMessage: (data: unknown) => void;
  onClosed: () => void;
}

export class Stream {
  readonly #source: EventSource;

  static get supported(): boolean {
    return typeof EventSource !== 'undefined';
  }

  constructor({ url, onMessage, onClosed }: StreamOptions) {
    this.#source = new EventSource(url());
    this.#source.onmessage = (event) => onMessage(event.data);
    this.#source.onerror = () => {
      this.#source.close();
      onClosed();
    };
  }

  close(): void {
    this.#source.onmessage = null;
    this.#source.onerror = null;
    this.#source.close();
  }
}
