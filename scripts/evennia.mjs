#!/usr/bin/env node
// The game's side: finds a Python, keeps a virtual environment with Evennia in `.venv-evennia/`, and runs the Python package's tests in it.
//
//   node scripts/evennia.mjs           make the environment, say what is in it
//   node scripts/evennia.mjs python    print its interpreter's path
//   node scripts/evennia.mjs test      run the tests with coverage; counts in test-results/python.json
//
// Where there is no fitting Python, or its packages cannot be fetched, it says SKIPPED and ends well, unless MANCIPLE_REQUIRE_EVENNIA is set.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** By the newest Python that will do. Evennia 6 needs 3.12. */
const PYTHONS = [
  { version: '3.13', evennia: 'evennia==6.1.*' },
  { version: '3.12', evennia: 'evennia==6.1.*' },
  { version: '3.11', evennia: 'evennia==5.0.*' },
]
const TOOLS = ['coverage==7.*', 'tzdata']
const LEAST_COVERAGE = 95
const EXIT_SKIPPED = 3
/** Nobody takes longer to make the environment. */
const ABANDONED_MS = 600_000

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const home = join(root, 'packages', 'evennia-adapter', 'evennia')
const environment = join(root, '.venv-evennia')
const scripts = join(environment, process.platform === 'win32' ? 'Scripts' : 'bin')
const stamp = join(environment, '.manciple-stamp')
const python = join(scripts, process.platform === 'win32' ? 'python.exe' : 'python')

const TASKS = {
  setup: () => console.log(versions()),
  python: () => console.log(python),
  test,
}

const [task = 'setup'] = process.argv.slice(2)
if (!(task in TASKS)) fail(`There is no task ${task}: setup, python or test.`)
const missing = prepare()
if (missing === undefined) TASKS[task]()
else skip(missing)

/** @returns why there is no environment, or nothing. */
function prepare() {
  // Not by the Python that is found: who runs it from another shell, with another path, gets the same environment.
  const wanted = createHash('sha256')
    .update(readFileSync(join(home, 'pyproject.toml')))
    .update(JSON.stringify([PYTHONS, TOOLS]))
    .digest('hex')
  if (isMade(wanted)) return undefined
  const found = findPython()
  if (found === undefined) return 'no Python 3.11 or later was found'
  lock()
  return isMade(wanted) ? undefined : make(found, wanted)
}

function isMade(wanted) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(python)
}

function make(found, wanted) {
  console.error(`Making .venv-evennia with Python ${found.version} and ${found.evennia} …`)
  rmSync(environment, { recursive: true, force: true })
  const steps = [
    [found.path, ['-m', 'venv', environment]],
    [python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', found.evennia, ...TOOLS, '--editable', home]],
  ]
  for (const [command, args] of steps) {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'inherit', 'pipe'] })
    if (status !== 0) {
      rmSync(environment, { recursive: true, force: true })
      return `${basename(command)} ${args.slice(0, 3).join(' ')} failed: ${stderr?.trim().split('\n').at(-1) ?? ''}`
    }
  }
  writeFileSync(stamp, wanted)
  console.error(versions())
  return undefined
}

/** Two that make it at once would tear down each other's. Held until this process ends. */
function lock() {
  const folder = `${environment}.lock`
  for (;;) {
    try {
      mkdirSync(folder)
      process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const since = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    if (Date.now() - since > ABANDONED_MS) rmSync(folder, { recursive: true, force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  }
}

/** By its own word: a pyenv shim of a version that is not set up fails here. */
function findPython() {
  for (const { version, evennia } of PYTHONS) {
    for (const path of candidates(version)) {
      const asked = spawnSync(path, ['-c', 'import sys, venv, sqlite3, ssl; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' })
      if (asked.status === 0 && asked.stdout.trim() === version) return { path, version, evennia }
    }
  }
  return undefined
}

/** On the path, and among pyenv's, newest first. */
function candidates(version) {
  const pyenv = pyenvRoots().flatMap((folder) => {
    const versions = join(folder, 'versions')
    if (!existsSync(versions)) return []
    const fitting = readdirSync(versions).filter((name) => name.startsWith(`${version}.`))
    return fitting.sort((a, b) => b.localeCompare(a, 'en', { numeric: true })).map((name) => join(versions, name, 'bin', 'python3'))
  })
  return [`python${version}`, ...pyenv, 'python3', 'python'].filter((path) => !path.includes('/') || existsSync(path))
}

/** As pyenv says; else from where its shims or its interpreters lie on the path. */
function pyenvRoots() {
  const said = spawnSync('pyenv', ['root'], { encoding: 'utf8' })
  const roots = said.status === 0 ? [said.stdout.trim()] : []
  if (process.env.PYENV_ROOT) roots.push(process.env.PYENV_ROOT)
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (basename(folder) === 'shims') roots.push(dirname(folder))
    if (basename(folder) === 'bin' && basename(dirname(dirname(folder))) === 'versions') roots.push(dirname(dirname(dirname(folder))))
  }
  return [...new Set(roots.filter((folder) => existsSync(folder)).map((folder) => realpathSync(folder)))]
}

function versions() {
  const names = '("evennia", "django", "twisted", "manciple-evennia")'
  const code = `import sys; from importlib.metadata import version; print("Python", sys.version.split()[0], *(f"{name} {version(name)}" for name in ${names}), sep=", ")`
  return spawnSync(python, ['-c', code], { encoding: 'utf8' }).stdout.trim().replace('Python, ', 'Python ')
}

/** In a game folder of its own, which goes away with the run. */
function test() {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-evennia-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const created = run(['-m', 'evennia', '--init', 'game'], folder)
  if (created.status !== 0) fail(`evennia --init: ${created.stdout}${created.stderr}`)
  const game = join(folder, 'game')
  // The tables are made as they are now: to play through all of Evennia's migrations takes longer than the tests.
  const quick = "DATABASES['default']['TEST'] = {'MIGRATE': False}\n"
  appendFileSync(join(game, 'server', 'conf', 'settings.py'), settingsLines() + quick)
  const env = { COVERAGE_FILE: join(folder, 'coverage'), COVERAGE_CORE: 'sysmon' }
  const rc = ['--rcfile', join(home, 'pyproject.toml')]
  const ran = run(['-m', 'coverage', 'run', ...rc, '-m', 'evennia', 'test', '--settings', 'settings.py', 'manciple_evennia'], game, env)
  process.stderr.write(ran.stderr)
  const counts = countsOf(ran.stderr, ran.status)
  record(counts)
  const report = run(['-m', 'coverage', 'report', ...rc, `--fail-under=${LEAST_COVERAGE}`], game, env)
  process.stdout.write(report.stdout)
  if (counts.failed > 0 || counts.passed === 0) fail(`Python: ${counts.failed} of ${counts.passed + counts.failed} tests failed.\n${ran.stdout}`)
  if (report.status !== 0) fail(`Less than ${LEAST_COVERAGE} % of the package's lines are covered.`)
  console.log(`Python: ${counts.passed} tests passed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''} (${versions()}).`)
}

/** The very lines that the README asks for. */
function settingsLines() {
  const readme = readFileSync(join(home, 'README.md'), 'utf8')
  const lines = /```python\n# in mygame\/server\/conf\/settings\.py\n([\s\S]*?)```/.exec(readme)?.[1]
  if (lines === undefined) fail('README.md of the Python package shows no settings.')
  if (!readme.includes(`<<'EOF'\n${lines}EOF`)) fail('README.md of the Python package has other settings in what is to be copied and pasted.')
  return `\n${lines}`
}

/** In the environment. */
function run(args, cwd, env = {}) {
  const path = `${scripts}${delimiter}${process.env.PATH ?? ''}`
  const { status, stdout, stderr } = spawnSync(python, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: path, ...env },
  })
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' }
}

/** From unittest's last lines: `Ran 12 tests in 3.4s`, `FAILED (failures=1, errors=2, skipped=3)`. */
function countsOf(text, status) {
  const number = (pattern) => Number(pattern.exec(text)?.[1] ?? 0)
  const ran = number(/^Ran (\d+) tests?/m)
  const bad = number(/failures=(\d+)/) + number(/errors=(\d+)/)
  const skipped = number(/skipped=(\d+)/)
  const failed = bad === 0 && status !== 0 ? 1 : bad
  return { passed: Math.max(0, ran - bad - skipped), failed, skipped }
}

function record(counts) {
  mkdirSync(join(root, 'test-results'), { recursive: true })
  writeFileSync(join(root, 'test-results', 'python.json'), `${JSON.stringify(counts)}\n`)
}

function skip(reason) {
  const text = `SKIPPED: the Evennia package was not tested: ${reason}`
  if (process.env.MANCIPLE_REQUIRE_EVENNIA) fail(text)
  console.error(text)
  if (task === 'test') record({ passed: 0, failed: 0, skipped: 0 })
  else process.exit(EXIT_SKIPPED)
}

function fail(text) {
  console.error(text)
  process.exit(1)
}
