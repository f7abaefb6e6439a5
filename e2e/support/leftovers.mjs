import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

// Both wait for the end of their input, which is the end of this process, even if it is killed.
const KEEPER = `
read -r end
for try in 1 2 3 4 5 6 7 8; do rm -rf "$1" 2>/dev/null && exit; done
exec rm -rf "$1"
`;
const LEASH = `
exec 3<&0
( read -r end <&3; kill -9 $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
`;

/** A temporary folder that is gone when this process is, however that ends. */
export function temporaryFolder(prefix) {
  const folder = mkdtempSync(path.join(tmpdir(), prefix));
  // In a group of its own, so that Ctrl-C does not end it.
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', folder], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
  keeper.unref();
  keeper.stdin.unref();
  const remove = async () => {
    await rm(folder, { recursive: true, force: true });
    keeper.stdin.end();
  };
  return { folder, remove };
}

/** As `spawn` with pipes, of a program that is killed when this process is gone, however that ends. */
export function spawnLeashed(program, args, options) {
  return spawn('sh', ['-c', LEASH, 'sh', program, ...args], { ...options, stdio: 'pipe', detached: true });
}
