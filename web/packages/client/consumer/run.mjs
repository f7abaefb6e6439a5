/** Loads every entry as Node does, and lets the core answer one read. */
import assert from 'node:assert/strict';

for (const entry of ['live', 'react', 'devtools', 'offline', 'vitals', 'testing']) {
  const loaded = await import(`@unstale/client/${entry}`);
  assert.ok(Object.keys(loaded).length > 0, entry);
}
const { ApiError, createApiClient } = await import('@unstale/client');
const api = createApiClient({
  baseUrl: 'http://host/api',
  fetch: async () => new Response('{"name":"x"}', { headers: { 'Cache-Groups': '"a"' } }),
});
assert.deepEqual((await api.get('/flows/1')).groups, ['a']);

// One class, whichever entry throws it.
const { shouldRetry } = await import('@unstale/client/react');
assert.equal(shouldRetry(0, new ApiError({ type: 'about:blank', title: 'No', status: 403 })), false);
assert.equal(shouldRetry(0, new ApiError({ type: 'about:blank', title: 'Down', status: 503 })), true);
