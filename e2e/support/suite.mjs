import { after, before } from 'node:test';
import { launch } from './browser.mjs';
import { startServer } from './server.mjs';

/** One server and one browser for a test file; both are ended whatever happens in the tests. */
export function suite() {
  const shared = { url: '', browser: null, server: null };
  let server;
  before(async () => {
    server = await startServer();
    shared.url = server.url;
    shared.server = server;
    shared.browser = await launch();
  });
  after(async () => {
    await shared.browser?.close();
    await server?.stop();
  });
  return shared;
}
