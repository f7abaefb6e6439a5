/**
 * Reads that begin within a few milliseconds leave as one request.
 *
 * Of its own and not a library: `dataloader` and `@yornaath/batshit` know no abort signals, so a read nobody waits for
 * would still be sent, and neither lets a lone read go as the plain `GET` that the browser's HTTP cache revalidates.
 *
 * Invariants:
 * - a batch holds reads with the same headers only (tenant): nothing is read for another tenant; each read names its position;
 * - a read that is aborted before its batch leaves is not in it; a batch is aborted when nobody waits for any of it;
 * - each read has its own answer: one that fails fails alone;
 * - what refuses whoever asks, or cannot now, refuses each read: asking one by one then would be the same, many times over;
 * - a server that knows no batches is asked once, and then never again.
 */
export interface RawAnswer {
  status: number;
  statusText: string;
  headers: Headers;
  body: unknown;
}

export interface BatchOptions {
  /** Where batches go, below the API's address. */
  path?: string;
  /** How long the first read of a batch waits for others. */
  windowMs?: number;
  /** Most reads of one batch; the rest forms the next. */
  itemsMax?: number;
}

export interface BatchedRead {
  url: string;
  headers: Readonly<Record<string, string>>;
  /** What the answer must have seen. Reads of one batch may differ in it: what changed together is told by several events. */
  position: string | undefined;
  ifNoneMatch: string | undefined;
  signal: AbortSignal;
  /** Sends this read by itself. */
  alone: () => Promise<RawAnswer>;
}

/** Sends a batch; its answer is that of the batch endpoint. */
export type SendBatch = (
  headers: Readonly<Record<string, string>>,
  body: unknown,
  signal: AbortSignal,
  reads: number,
) => Promise<RawAnswer>;

interface Waiting extends BatchedRead {
  resolve: (answer: RawAnswer | Promise<RawAnswer>) => void;
  reject: (error: unknown) => void;
}

interface Item {
  id: string;
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** Answers that say "no such endpoint" rather than anything about the reads. */
const UNKNOWN_ENDPOINT = [404, 405, 501];

/** Answers that are about whoever asks, or about the server's state: each read would be told the same. */
const refusesEach = (status: number) =>
  [401, 408, 429].includes(status) || (status >= 500 && !UNKNOWN_ENDPOINT.includes(status));

export class Batcher {
  readonly #send: SendBatch;
  readonly #windowMs: number;
  readonly #itemsMax: number;
  readonly #open = new Map<string, Waiting[]>();
  #off = false;

  constructor(send: SendBatch, { windowMs = 4, itemsMax = 20 }: BatchOptions) {
    this.#send = send;
    this.#windowMs = windowMs;
    this.#itemsMax = itemsMax;
  }

  load(read: BatchedRead): Promise<RawAnswer> {
    if (this.#off) return read.alone();
    return new Promise((resolve, reject) => {
      const key = JSON.stringify(read.headers);
      let batch = this.#open.get(key);
      if (!batch) {
        batch = [];
        this.#open.set(key, batch);
        const opened = batch;
        setTimeout(() => this.#leave(key, opened), this.#windowMs);
      }
      batch.push({ ...read, resolve, reject });
      if (batch.length >= this.#itemsMax) this.#leave(key, batch);
    });
  }

  #leave(key: string, batch: Waiting[]): void {
    if (this.#open.get(key) === batch) this.#open.delete(key);
    // Emptied, because the window's end finds a batch that left early, being full, once more.
    const reads = batch.splice(0).filter((read) => {
      if (read.signal.aborted) read.reject(read.signal.reason);
      return !read.signal.aborted;
    });
    const [first, second] = reads;
    if (first && !second) first.resolve(first.alone());
    else if (first) void this.#exchange(first.headers, reads);
  }

  async #exchange(headers: Readonly<Record<string, string>>, reads: Waiting[]): Promise<void> {
    const controller = new AbortController();
    let waited = reads.length;
    for (const { signal } of reads) {
      signal.addEventListener('abort', () => {
        waited -= 1;
        if (waited === 0) controller.abort(signal.reason);
      });
    }
    const requests = reads.map(({ url, position, ifNoneMatch }, id) => ({
      id: String(id),
      path: url,
      ...(ifNoneMatch ? { if_none_match: ifNoneMatch } : {}),
      ...(position ? { position } : {}),
    }));
    try {
      const answer = await this.#send(headers, { requests }, controller.signal, reads.length);
      this.#off ||= UNKNOWN_ENDPOINT.includes(answer.status);
      const items = (answer.body as { responses?: Item[] } | undefined)?.responses;
      const answers = answer.status === 200 && Array.isArray(items) ? items : [];
      for (const [place, read] of reads.entries()) {
        const item = answers.find(({ id }) => id === String(place));
        if (item) read.resolve({ ...item, statusText: '', headers: new Headers(item.headers) });
        else if (refusesEach(answer.status)) read.resolve(answer);
        else read.resolve(read.alone());
      }
    } catch (error) {
      for (const read of reads) read.reject(error);
    }
  }
}
