/** Goes the journey on each path in turn, several times, and returns every step of every time. */
import { rm } from 'node:fs/promises';
import { launch, newPage } from '../support/browser.mjs';
import { buildFormer, buildReleased, servePages } from '../support/development.mjs';
import { startOwnServer } from '../support/server.mjs';
import { COLLEAGUE, signedIn, switchOff } from './colleague.mjs';
import { crowd } from './crowd.mjs';
import { ACCOUNT, travel } from './journey.mjs';
import { meter, NETWORK } from './meter.mjs';
import { openTruth } from './truth.mjs';

/** What differs between the paths, and nothing else does. */
const PATHS = {
  former: { build: buildFormer, prepare: switchOff, env: {} },
  ours: { build: buildReleased, prepare: async () => {}, env: {} },
};

/** As fast as people are, and as far from the server. */
const UNHURRIED = { dwellMs: 150, heardWithinMs: 1_000, quietMs: 250, network: NETWORK };

/** `only`: one path alone. `others`: so many people who work meanwhile. `pace`: for a journey whose times nobody looks at. */
export async function measure({ size, runs, secondRound, isAlone, others = 0, redisUrl, only, pace = UNHURRIED, log = () => {} }) {
  const paths = only ? { [only]: PATHS[only] } : { ...PATHS };
  if (redisUrl) paths.redis = { ...PATHS.ours, env: { REDIS_ENABLED: 'true', REDIS_URL: redisUrl } };

  log(`seeding ${size}`);
  const seed = await startOwnServer({ env: { DEMO_SIZE: size } });
  await seed.end();
  const opened = [];
  const browser = await launch();
  try {
    for (const [name, { build, prepare, env }] of Object.entries(paths)) {
      log(`preparing ${name}`);
      const server = await startOwnServer({ env: { DEMO_SIZE: size, ...env }, dataFrom: seed.dataDir });
      const place = { name, server, runs: [] };
      opened.push(place);
      place.pages = build();
      place.front = await servePages(place.pages.folder, server.url);
      await prepare(server.url);
      place.call = await signedIn(server.url, COLLEAGUE);
      place.truth = openTruth(server.dataDir);
    }
    for (let run = 1; run <= runs; run += 1) {
      for (const place of opened) {
        log(`run ${run} of ${runs}, ${place.name}`);
        place.runs.push(await once(browser, place, { secondRound, isAlone, others, pace, label: `v${run}` }));
      }
    }
    return Object.fromEntries(opened.map(({ name, runs: each }) => [name, each]));
  } finally {
    await browser.close();
    for (const { server, pages, front, truth } of opened) {
      truth?.close();
      front?.stop();
      await pages?.remove();
      await server.stop();
    }
    await rm(seed.dataDir, { recursive: true, force: true });
  }
}

/** As somebody who has never chosen what to work on. */
async function forgetChoice(url) {
  const call = await signedIn(url, ACCOUNT);
  const { user } = await call('GET', '/context/me');
  await call('PUT', `/users/${user.id}/defaults`, { client_account_id: null, engagement_id: null });
}

async function once(browser, { server, front, call, truth }, options) {
  await forgetChoice(server.url);
  const leave = await crowd(server.url, options.others);
  const page = await newPage(browser, front.url, { reducedMotion: 'reduce' });
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  try {
    const tools = { page, call, truth, meter: await meter(page, server.url, options.pace) };
    const steps = await travel(tools, options);
    if (errors.length > 0) throw new Error(`the pages failed: ${errors.join('; ')}`);
    return steps;
  } finally {
    await page.context().close();
    await leave();
  }
}
