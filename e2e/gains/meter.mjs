/** Counts, per step, what the page asks the server for and what that asks the database for. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** How far the server is: what an office reaches in a data centre of the same country. */
export const NETWORK = { latencyMs: 40, downloadBytesPerS: 2_500_000, uploadBytesPerS: 1_250_000 };
const TELEMETRY = '/api/v1/telemetry/';

const isApi = (pathname) => /^\/(api|ofrep)\//.test(pathname) && !pathname.startsWith(TELEMETRY);

/** The kind of thing that an address is about: ids are no part of it. */
export const kindOf = (path) =>
  path
    .split('?')[0]
    .replace('/api/v1/', '')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '{id}');

const isHit = (status) => /(^|;|,)\s*hit\b/.test(status ?? '');

/** `quietMs`: longer than from an answer to what it leads to. Without a `network` it is this machine's. */
export async function meter(page, serverUrl, { quietMs, network }) {
  const session = await page.context().newCDPSession(page);
  let seen = empty();
  const requests = new Map();
  const bodies = [];
  const underWay = new Set();
  let lastChange = Date.now();
  const ended = ({ requestId }) => {
    if (underWay.delete(requestId)) lastChange = Date.now();
  };
  session.on('Network.loadingFinished', ended);
  session.on('Network.loadingFailed', ended);

  session.on('Network.requestWillBeSent', ({ requestId, request, type }) => {
    const { pathname } = new URL(request.url);
    if (!isApi(pathname)) return;
    requests.set(requestId, request);
    if (type === 'WebSocket' || pathname.includes('/events')) return;
    const isBatch = pathname.endsWith('/batch');
    const isRead = request.method === 'GET' || isBatch || pathname.startsWith('/ofrep/');
    underWay.add(requestId);
    lastChange = Date.now();
    seen.calls += 1;
    seen[isRead ? 'readCalls' : 'writeCalls'] += 1;
    seen.called.push(`${request.method} ${kindOf(pathname)}`);
  });
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (requests.has(requestId)) seen.bytes += encodedDataLength;
  });
  session.on('Network.webSocketFrameReceived', ({ response }) => {
    seen.bytes += response.payloadData.length;
    seen.pushes += 1;
  });
  page.on('response', (response) => {
    const request = response.request();
    const { pathname } = new URL(request.url());
    if (!isApi(pathname) || pathname.startsWith('/ofrep/')) return;
    const into = seen;
    if (request.method() === 'GET') bodies.push(single(into, request, response));
    else if (pathname.endsWith('/batch')) bodies.push(batch(into, request, response));
  });

  // Addresses with a hash of what they were answered by.
  const given = new Set();
  function isAgain(path, content) {
    const answer = `${path} ${createHash('sha256').update(content).digest('base64')}`;
    const isGiven = given.has(answer);
    given.add(answer);
    return isGiven;
  }

  async function single(into, request, response) {
    const { pathname, search } = new URL(request.url());
    const content = response.status() === 304 ? null : await response.body().catch(() => null);
    // Nothing comes with what the browser has.
    const again = content === null || isAgain(pathname + search, content);
    into.reads.push({ kind: kindOf(pathname), hit: isHit(response.headers()['cache-status']), again });
  }

  async function batch(into, request, response) {
    const asked = request.postDataJSON().requests;
    const { responses } = await response.json().catch(() => ({ responses: [] }));
    for (const { id, path } of asked) {
      const answer = responses.find((each) => each.id === id);
      const again = answer?.status === 304 || isAgain(path, JSON.stringify(answer?.body ?? null));
      into.reads.push({ kind: kindOf(path), hit: isHit(answer?.headers['cache-status']), again });
    }
  }

  await page.addInitScript({ content: await readFile(new URL('./probe.js', import.meta.url), 'utf8') });
  await session.send('Network.enable');
  if (network) {
    await session.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: network.latencyMs,
      downloadThroughput: network.downloadBytesPerS,
      uploadThroughput: network.uploadBytesPerS,
    });
  }

  /** Resolves when nothing has been under way for a moment from here on: what was pressed just now may not have asked yet. */
  async function quiet() {
    lastChange = Date.now();
    while (underWay.size > 0 || Date.now() - lastChange < quietMs) await page.waitForTimeout(20);
    await Promise.all(bodies.splice(0));
  }

  let counted = await counters(serverUrl);
  let before = { commits: 0, mounts: 0, rerenders: 0 };
  return {
    quiet,
    /** The document is another one: what is counted in it begins at nothing. */
    reset: () => {
      underWay.clear();
      before = { commits: 0, mounts: 0, rerenders: 0 };
    },
    /** Does something whose statements are nobody's but its own. */
    async aside(act) {
      const from = await counters(serverUrl);
      const result = await act();
      const its = difference(from, await counters(serverUrl));
      for (const [name, count] of Object.entries(its)) counted[name] = (counted[name] ?? 0) + count;
      return result;
    },
    /** What has happened since the last call. */
    async take() {
      const counts = await page.evaluate(() => window.__gains.counts());
      const now = await counters(serverUrl);
      const since = difference(counted, now);
      const { observed, interactions, ...rendered } = counts;
      const taken = {
        ...seen,
        queries: since['statement read'] ?? 0,
        databaseWrites: since['statement write'] ?? 0,
        loads: kindsOf(since, 'load '),
        hits: kindsOf(since, 'hit '),
        misses: kindsOf(since, 'miss '),
        commits: rendered.commits - before.commits,
        mounts: rendered.mounts - before.mounts,
        rerenders: rendered.rerenders - before.rerenders,
        observed: observed.map(({ key, held }) => ({ kind: kindOf(key.filter((part) => typeof part === 'string').join('/')), held })),
        interactionMs: Math.max(0, ...interactions.map(({ duration }) => duration)),
      };
      seen = empty();
      counted = now;
      before = rendered;
      return taken;
    },
  };
}

const empty = () => ({ calls: 0, readCalls: 0, writeCalls: 0, bytes: 0, pushes: 0, reads: [], called: [] });

const difference = (before, after) =>
  Object.fromEntries(Object.entries(after).map(([entity, count]) => [entity, count - (before[entity] ?? 0)]).filter(([, count]) => count > 0));

/** What the server counts: statements, what was loaded for views, and what look-ups of its cache found; by what they are of. */
async function counters(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const counts = {};
  const add = (name, count) => {
    counts[name] = (counts[name] ?? 0) + Number(count);
  };
  for (const [, kind, count] of text.matchAll(/^database_statements_total\{kind="([^"]+)"\} (\d+)/gm)) add(`statement ${kind}`, count);
  for (const [, entity, count] of text.matchAll(/^cache_loads_total\{entity="([^"]+)",outcome="[^"]+"\} (\d+)/gm)) {
    // Whole answers are made of these.
    if (isView(entity)) add(`load ${entity}`, count);
  }
  for (const [, entity, verdict, count] of text.matchAll(/^cache_reads_total\{entity="([^"]+)",verdict="([^"]+)",reason="[^"]*"\} (\d+)/gm)) {
    if (entity.startsWith('session:')) continue;
    if (verdict === 'HIT' || verdict === 'STALE') add(`hit ${entity}`, count);
    if (verdict === 'MISS') add(`miss ${entity}`, count);
  }
  return counts;
}

/** Who is asking is read for every request, whichever path it takes. */
const isView = (entity) => !/^(http|session):/.test(entity);

const kindsOf = (counts, start) =>
  Object.fromEntries(
    Object.entries(counts)
      .filter(([name]) => name.startsWith(start))
      .map(([name, count]) => [name.slice(start.length), count]),
  );
