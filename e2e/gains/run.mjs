/**
 * `node gains/run.mjs`: the journey on the former path and on ours, raw figures as JSON; then its variants, fewer times.
 *
 * RUNS (5), SIZE (2x20x50x20000), OUT (a folder for the JSON files), VARIANT (only that one), REDIS_URL (a third path).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { measure } from './measure.mjs';

const { RUNS = '5', SIZE = '2x20x50x20000', OUT = 'gains/out', REDIS_URL, VARIANT } = process.env;
const runs = Number(RUNS);
const few = Math.min(2, runs);
const VARIANTS = {
  gains: { runs, secondRound: 'sign-in' },
  'same-session': { runs: few, secondRound: 'same session' },
  alone: { runs: few, secondRound: 'sign-in', isAlone: true },
  // What the server reads for the others is not told from what it reads for one: only ours, and only what it finds.
  crowd: { runs: few, secondRound: 'sign-in', others: 20, only: 'ours' },
};

const at = new Date().toISOString().slice(0, 10);
const build = path.basename(path.dirname(process.env.PLATFORM_BIN ?? 'target/debug/platform'));
const log = (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

await mkdir(OUT, { recursive: true });
for (const [name, options] of Object.entries(VARIANTS)) {
  if (VARIANT && VARIANT !== name) continue;
  const paths = await measure({ size: SIZE, redisUrl: REDIS_URL, ...options, log });
  const file = path.join(OUT, `${name}.json`);
  await writeFile(file, `${JSON.stringify({ size: SIZE, ...options, at, build, paths })}\n`);
  log(`written to ${file}`);
}
