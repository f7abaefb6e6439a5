// Runs the public suite of HTTP cache tests (npm `http-cache-tests`) against the gateway, and reports.
//
//   node run.mjs --gateway target/debug/unstale     starts the suite's origin and the gateway, on free ports
//   node run.mjs --base http://127.0.0.1:8004 --origin-port 8000   against a cache that runs already
//   … --id freshness-max-age                        one test, with what was sent and answered
//
// `not-passed.json` names every test that is known not to pass, with the reason. The run fails if a test does not pass
// that is not named there, or passes although it is. The last line counts: what passed, and what was not as expected.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import suites from 'http-cache-tests/tests/index.mjs'
import surrogate from 'http-cache-tests/tests/surrogate-control.mjs'
import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'
import fetch from 'node-fetch'

const here = dirname(fileURLToPath(import.meta.url))
const suite = dirname(fileURLToPath(import.meta.resolve('http-cache-tests/package.json')))
const START_MS_MAX = 20_000
const KINDS = ['required', 'optimal', 'check']

const { values: options } = parseArgs({
  options: {
    gateway: { type: 'string' },
    base: { type: 'string' },
    'origin-port': { type: 'string' },
    id: { type: 'string' },
  },
})
if (!options.gateway === !options.base) {
  throw new Error('say either --gateway <binary> or --base <URL of a cache that runs>')
}

async function freePort () {
  // On every address, as the suite's origin will.
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function listening (port, child) {
  for (const until = Date.now() + START_MS_MAX; Date.now() < until;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    const socket = connect(port, '127.0.0.1')
    const came = await Promise.race([once(socket, 'connect').then(() => true, () => false)])
    socket.destroy()
    if (came) return
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`${child.spawnfile} does not listen on ${port} after ${START_MS_MAX} ms`)
}

function start (command, args, settings) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...settings })
  children.push(child)
  return child
}

const children = []
const work = await mkdtemp(join(tmpdir(), 'http-cache-tests-'))

async function startOrigin (port) {
  const env = {
    ...process.env,
    npm_config_protocol: 'http',
    npm_config_port: String(port),
    npm_config_pidfile: join(work, 'origin.pid'),
  }
  await listening(port, start(process.execPath, [join(suite, 'server/server.mjs')], { cwd: suite, env }))
}

async function startGateway (binary, originPort) {
  const port = await freePort()
  const template = await readFile(join(here, 'gateway.toml'), 'utf8')
  const config = join(work, 'gateway.toml')
  await writeFile(config, template.replaceAll('{port}', port).replaceAll('{origin_port}', originPort))
  await listening(port, start(resolve(binary), ['gateway', 'run', config], {}))
  return `http://127.0.0.1:${port}`
}

function chosen () {
  const all = [...suites, surrogate]
  if (!options.id) return all
  const tests = all.flatMap(({ tests }) => tests).filter(({ id }) => id === options.id)
  if (tests.length === 0) throw new Error(`the suite has no test ${options.id}`)
  return [{ name: options.id, id: options.id, tests: tests.map((test) => ({ ...test, dump: true })) }]
}

// The suite leaves a test out of account that depends on one that does not pass.
function applies (test, tests, results) {
  const needed = (test.depends_on ?? []).map((id) => tests.find((other) => other.id === id)).filter(Boolean)
  return needed.every((other) => results[other.id] === true && applies(other, tests, results))
}

function report (tests, results, reasons) {
  const lines = new Map(KINDS.map((kind) => [kind, { passed: 0, not: [], left: 0 }]))
  const unexpected = []
  for (const test of tests) {
    const line = lines.get(test.kind ?? 'required')
    const passed = results[test.id] === true
    const reason = reasons[test.id]
    if (passed) line.passed += 1
    else line.not.push(test.id)
    if (!passed && !options.id && !applies(test, tests, results)) line.left += 1
    if (passed && reason) unexpected.push(`${test.id} passed; take it out of not-passed.json`)
    if (!passed && !reason) unexpected.push(`${test.id} did not pass: ${JSON.stringify(results[test.id])}`)
  }
  for (const [kind, { not }] of lines) {
    for (const id of not.filter((id) => reasons[id])) console.log(`${kind}  ${id}\n    ${reasons[id]}`)
  }
  console.log()
  for (const [kind, { passed, not, left }] of lines) {
    const leaving = left ? ` (${left} of the others depend on what is not so, and do not count for the suite)` : ''
    console.log(`${kind.padEnd(8)} ${String(passed).padStart(3)} of ${passed + not.length} passed${leaving}`)
  }
  const known = new Set(tests.map(({ id }) => id))
  if (!options.id) {
    for (const id of Object.keys(reasons)) if (!known.has(id)) unexpected.push(`${id} is no test of the suite`)
  }
  for (const line of unexpected) console.log(`unexpected: ${line}`)
  const passed = [...lines.values()].reduce((sum, line) => sum + line.passed, 0)
  console.log(`${passed} passed, ${unexpected.length} failed`)
  return unexpected.length === 0
}

let good = false
try {
  const originPort = options['origin-port'] ?? (await freePort())
  await startOrigin(originPort)
  const base = options.base ?? (await startGateway(options.gateway, originPort))
  const selected = chosen()
  await runTests(selected, fetch, false, base)
  const reasons = JSON.parse(await readFile(join(here, 'not-passed.json'), 'utf8'))
  // Those that a client cannot make that is no browser are left out by the suite itself.
  const tests = selected.flatMap(({ tests }) => tests).filter((test) => !test.browser_only)
  good = report(tests, getResults(), reasons)
} finally {
  for (const child of children.reverse()) child.kill('SIGTERM')
  await rm(work, { recursive: true, force: true })
}
process.exit(good ? 0 : 1)
