import { ApiError } from './errors.ts';

export interface UploadProgress {
  sentBytes: number;
  totalBytes: number;
}

export interface UploadOptions {
  signal?: AbortSignal;
  onProgress?: (progress: UploadProgress) => void;
}

interface UploadAnswer {
  status: number;
  statusText: string;
  text: string;
  headers: Headers;
}

function headersOf(request: XMLHttpRequest): Headers {
  const headers = new Headers();
  for (const line of request.getAllResponseHeaders().split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}

/** XMLHttpRequest, because `fetch` still reports no progress of what it sends. */
export function sendWithProgress(
  url: string,
  form: FormData,
  headers: Readonly<Record<string, string>>,
  { signal, onProgress }: UploadOptions,
  /** How long nothing may happen: nothing more sent, and, when all is sent, no answer. */
  stalledMaxMs: number,
): Promise<UploadAnswer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const began = Date.now();
    // It counts from the beginning, and may be set anew under way.
    const goesOn = () => {
      request.timeout = Date.now() - began + stalledMaxMs;
    };
    request.open('POST', url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener('progress', (event) => {
      goesOn();
      if (event.lengthComputable) onProgress?.({ sentBytes: event.loaded, totalBytes: event.total });
    });
    request.addEventListener('load', () =>
      resolve({
        status: request.status,
        statusText: request.statusText,
        text: request.responseText,
        headers: headersOf(request),
      }),
    );
    for (const end of ['error', 'timeout'])
      request.addEventListener(end, () => reject(ApiError.unreachable(undefined)));
    request.addEventListener('abort', () =>
      reject(signal?.reason ?? new DOMException('Upload cancelled', 'AbortError')),
    );
    signal?.addEventListener('abort', () => request.abort(), { once: true });
    request.send(form);
    goesOn();
  });
}
