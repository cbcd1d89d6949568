import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { PLAYER_PASSWORD, waitFor, type Game } from './evennia-support.ts'

const libraries = createRequire(import.meta.url)
const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome']

/** Debian's `chromium`, or what else is there; undefined, and said, where there is none, or where what Evennia's page loads is not installed. */
export function chromiumPath(): string | undefined {
  const found = EXECUTABLES.find((path) => existsSync(path))
  const missing = LIBRARIES.map(([, file]) => file).filter((file) => !isInstalled(file))
  if (found !== undefined && missing.length === 0) return found
  const reason = found === undefined ? 'there is no Chromium (`apt-get install chromium`)' : `these are not installed: ${missing.join(', ')}`
  process.stderr.write(`SKIPPED: the screenshot of the webclient: ${reason}\n`)
  return undefined
}

function isInstalled(file: string): boolean {
  try {
    return libraries.resolve(file) !== ''
  } catch {
    return false
  }
}

/** What Evennia's page asks the network for; here it comes from the packages themselves, byte for byte. */
const LIBRARIES: readonly (readonly [RegExp, string])[] = [
  [/jquery-3\.2\.1\.min\.js$/, 'jquery/dist/jquery.min.js'],
  [/goldenlayout\.min\.js$/, 'golden-layout/dist/goldenlayout.min.js'],
  [/goldenlayout-base\.css$/, 'golden-layout/src/css/goldenlayout-base.css'],
  [/goldenlayout-dark-theme\.css$/, 'golden-layout/src/css/goldenlayout-dark-theme.css'],
  [/bootstrap\.min\.css$/, 'bootstrap/dist/css/bootstrap.min.css'],
  [/bootstrap\.min\.js$/, 'bootstrap/dist/js/bootstrap.min.js'],
  [/popper\.min\.js$/, 'popper.js/dist/umd/popper.min.js'],
  [/favico-0\.3\.10\.min\.js$/, 'favico.js/favico-0.3.10.min.js'],
]

/** Evennia's own webclient in a headless browser. */
export interface Webclient {
  text(): Promise<string>
  say(line: string): Promise<void>
  sees(text: string): Promise<void>
  screenshot(path: string): Promise<void>
  close(): Promise<void>
}

export async function openWebclient(game: Game, executablePath: string, name: string): Promise<Webclient> {
  const profile = mkdtempSync(join(tmpdir(), 'manciple-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1180, height: 820 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  const close = async (): Promise<void> => {
    await context.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  }
  try {
    const page = await context.newPage()
    await page.route(/^https:/, (route) => {
      const file = LIBRARIES.find(([url]) => url.test(route.request().url()))?.[1]
      if (file === undefined) return route.abort()
      return route.fulfill({ path: libraries.resolve(file), headers: { 'access-control-allow-origin': '*' } })
    })
    await page.goto(`${game.webUrl}/webclient/`)
    const client = clientOf(page, close)
    await client.sees('connect <username> <password>')
    await client.say(`connect ${name} ${PLAYER_PASSWORD}`)
    await client.sees('You become')
    return client
  } catch (error) {
    await close()
    throw error
  }
}

function clientOf(page: Page, close: () => Promise<void>): Webclient {
  const text = async (): Promise<string> => (await page.locator('body').innerText()).replaceAll('\u00A0', ' ')
  return {
    text,
    close,
    say: async (line) => {
      const input = page.locator('.inputfield, #inputfield').last()
      await input.fill(line)
      await input.press('Enter')
    },
    sees: (wanted) => waitFor(`${wanted} on the page`, async () => (await text()).includes(wanted), 40_000),
    screenshot: async (path) => void (await page.screenshot({ path })),
  }
}
