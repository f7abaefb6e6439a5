/**
 * `node gains/run.mjs`: the journey on the former path and on ours; raw figures as JSON, and a summary.
 *
 * RUNS (5), SIZE (2x20x50x20000), SECOND_ROUND (same session, sign-in, or reload), OUT (a folder for gains.json).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { measure } from './measure.mjs';

const { RUNS = '5', SIZE = '2x20x50x20000', SECOND_ROUND = 'same session', OUT = 'gains/out', REDIS_URL } = process.env;
const at = new Date().toISOString().slice(0, 10);
const build = path.basename(path.dirname(process.env.PLATFORM_BIN ?? 'target/debug/platform'));
const log = (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const paths = await measure({ size: SIZE, runs: Number(RUNS), secondRound: SECOND_ROUND, redisUrl: REDIS_URL, log });
await mkdir(OUT, { recursive: true });
const file = path.join(OUT, 'gains.json');
await writeFile(file, `${JSON.stringify({ size: SIZE, runs: Number(RUNS), secondRound: SECOND_ROUND, at, build, paths })}\n`);
log(`written to ${file}`);
