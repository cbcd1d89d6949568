import type { BridgeSettingsInput } from '@manciple/evennia-adapter'
import type { Command } from 'commander'
import { printable, terminalOf, type Io } from '../terminal.ts'

interface EvenniaOptions {
  readonly config?: string
  readonly url?: string
  readonly account?: string
  readonly passwordEnv?: string
  readonly passwordFile?: string
  readonly ledger?: string
  readonly latest?: true
  readonly allowPlaintext?: true
}

const EXAMPLES = `
The password is never an argument: others on the machine could read it.
Everything that is not given as an option comes from the file, where one is
named.

Exit codes: 0 ended by Ctrl-C, 2 wrong use, or settings with mistakes.

Examples:
  $ manciple evennia --password-file secrets/evennia
  $ manciple evennia --config configs/evennia.yaml
  $ manciple evennia --url wss://game.example.com/ws --account manciple`

export function defineEvennia(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('evennia')
    .summary('carry notices and figures into an Evennia game')
    .description(
      'Carries the notices and figures of a ledger into an Evennia game until Ctrl-C. Reads beside a running router, and never writes; game and router may stop and start as they like.',
    )
    .option('--config <file>', 'settings in YAML, as configs/evennia.yaml')
    .option('--url <url>', "the game's webclient websocket; ws://127.0.0.1:4002/ unless given")
    .option('--account <name>', "the bridge's account, made by `evennia costs_setup`; manciple unless given")
    .option('--password-env <name>', 'the environment variable with its password; MANCIPLE_EVENNIA_PASSWORD unless given')
    .option('--password-file <file>', 'the file with its password, which only its owner may read')
    .option('--ledger <folder>', 'folder of the ledger; data/ledger unless given')
    .option('--latest', "figures as of the ledger's last record, where the router runs on a clock of its own")
    .option('--allow-plaintext', 'ws:// to another machine: where the network is private')
    .addHelpText('after', EXAMPLES)
    .action(async (options: EvenniaOptions) => done(await evennia(io, options)))
}

async function evennia(io: Io, { config, url, account, passwordEnv, passwordFile, ledger, latest, allowPlaintext }: EvenniaOptions): Promise<number> {
  // No other command needs it, and each of them would wait for it to be loaded.
  const { bridgeSettings, readBridgeSettings, runBridge } = await import('@manciple/evennia-adapter')
  const given: BridgeSettingsInput = {
    url,
    account,
    password_env: passwordEnv,
    password_file: passwordFile,
    ledger,
    latest,
    allow_plaintext: allowPlaintext,
  }
  const settings = config === undefined ? bridgeSettings(given) : readBridgeSettings(config, given)
  const { dim } = terminalOf(io).colours
  const say = (text: string): void => void io.stdout.write(`${dim(new Date().toISOString())}  ${printable(text)}\n`)
  say(`Carrying ${settings.ledger} to ${settings.url} as ${settings.account}; Ctrl-C ends it.`)
  await runBridge(settings, io.signal ?? new AbortController().signal, say)
  return 0
}
