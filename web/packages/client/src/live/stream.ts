/**
 * The same events over server-sent events, for where no WebSocket comes through.
 * `EventSource` would come back by itself, but to the address it began with; so it is made anew, from the last position.
 */
export interface StreamOptions {
  url: () => string;
  onMessage: (data: unknown) => void;
  /** With the code of a WebSocket's close, if the server said one. */
  onClosed: (code?: number) => void;
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
    this.#source.addEventListener('close', (event) => {
      this.#source.close();
      onClosed(codeOf(event));
    });
  }

  close(): void {
    this.#source.onmessage = null;
    this.#source.onerror = null;
    this.#source.close();
  }
}

function codeOf(event: MessageEvent): number | undefined {
  try {
    const { code } = JSON.parse(event.data) as { code?: unknown };
    return typeof code === 'number' ? code : undefined;
  } catch {
    return undefined;
  }
}
