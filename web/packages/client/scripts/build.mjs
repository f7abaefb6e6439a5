/** Makes `dist`: ES modules and declarations, file by file, so that bundlers drop what is not used. */
import { execFileSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

export async function build() {
  const dist = path.join(root, 'dist');
  await rm(dist, { recursive: true, force: true });
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  for (const entry of await readdir(dist, { recursive: true })) {
    if (!entry.endsWith('.d.ts')) continue;
    const file = path.join(dist, entry);
    const text = await readFile(file, 'utf8');
    // The compiler rewrites the endings of imports in code, and leaves those in declarations as they were written.
    await writeFile(file, text.replace(/(['"])(\.{1,2}\/[^'"]+?)\.tsx?\1/g, '$1$2.js$1'));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
