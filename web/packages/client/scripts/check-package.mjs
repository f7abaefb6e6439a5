/**
 * The package as its users get it: built, packed, linted (publint, attw), used by a project that has only the tarball,
 * and weighed. Fails if any of it is not right.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

/** Most bytes of each entry, minified and compressed, with all that it brings along but React and TanStack Query. */
const LIMITS = {
  '@unstale/client': 6_000,
  '@unstale/client/live': 6_000,
  '@unstale/client/react': 16_750,
  '@unstale/client/offline': 2_000,
  '@unstale/client/vitals': 5_000,
};

const say = (text) => process.stdout.write(`${text}\n`);

/** Runs a script; what it says matters only if it fails. */
function run(file, args, cwd = root) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${path.basename(file)} ${args.join(' ')}:\n${stdout}${stderr}`);
}

/** The file that a package's command is. */
async function command(name, bin) {
  const manifest = path.join(root, '../../node_modules', name, 'package.json');
  const { bin: bins } = JSON.parse(await readFile(manifest, 'utf8'));
  return path.join(path.dirname(manifest), typeof bins === 'string' ? bins : bins[bin]);
}

/** What a project has that installs the package: what it says it needs, and what such a project is checked with. */
const OWN = ['@types/react', '@types/react-dom', 'react-dom'];

/** The oldest peers that the package says it works with, by the names under which the workspace has them. */
const OLDEST = { '@tanstack/react-query': 'react-query-oldest' };

/** Installs the tarball into a copy of `consumer`, with what the package declares and nothing else of the workspace. */
async function install(tarball, renamed = {}) {
  // Elsewhere, so that nothing is found that was not put there.
  const project = await realpath(await mkdtemp(path.join(tmpdir(), 'unstale-consumer-')));
  await cp(path.join(root, 'consumer'), project, { recursive: true });
  const modules = path.join(project, 'node_modules');
  const target = path.join(modules, '@unstale/client');
  await mkdir(target, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]);
  const { dependencies, peerDependencies } = JSON.parse(
    await readFile(path.join(target, 'package.json'), 'utf8'),
  );
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), ...OWN]) {
    const place = path.join(modules, name);
    await mkdir(path.dirname(place), { recursive: true });
    await symlink(path.join(root, '../../node_modules', renamed[name] ?? name), place, 'dir');
  }
  return project;
}

async function weigh(project) {
  for (const [entry, limit] of Object.entries(LIMITS)) {
    const bundle = await rolldown({
      input: 'entry',
      cwd: project,
      platform: 'browser',
      external: [/^react($|\/)/, /^react-dom/, /^@tanstack\//],
      plugins: [
        {
          name: 'entry',
          resolveId: (id) => (id === 'entry' ? path.join(project, 'entry.js') : null),
          load: (id) => (id.endsWith('entry.js') ? `export * from '${entry}'` : null),
        },
      ],
    });
    const { output } = await bundle.generate({ format: 'esm', minify: true, codeSplitting: false });
    const bytes = output.reduce((sum, { code }) => sum + gzipSync(code ?? '', { level: 9 }).length, 0);
    say(`${entry}: ${bytes} of at most ${limit} bytes`);
    if (bytes > limit) throw new Error(`${entry} is too heavy: ${bytes} bytes, at most ${limit}`);
  }
}

// Builds first (`prepack`), as publishing does.
const [{ filename }] = JSON.parse(
  execFileSync('npm', ['pack', '--json', '--silent'], { cwd: root, encoding: 'utf8' }),
);
const tarball = path.join(root, filename);
const projects = [];
try {
  run(await command('publint', 'publint'), ['run', tarball, '--strict']);
  run(await command('@arethetypeswrong/cli', 'attw'), [
    tarball,
    '--profile',
    'esm-only',
    '--format',
    'ascii',
  ]);
  const tsc = require.resolve('typescript/bin/tsc');
  for (const renamed of [{}, OLDEST]) {
    const project = await install(tarball, renamed);
    projects.push(project);
    for (const config of ['tsconfig.bundler.json', 'tsconfig.nodenext.json'])
      run(tsc, ['-p', config], project);
    run(path.join(project, 'run.mjs'), [], project);
  }
  await weigh(projects[0]);
} finally {
  await rm(tarball, { force: true });
  for (const project of projects) await rm(project, { recursive: true, force: true });
}
say('The package is right.');
