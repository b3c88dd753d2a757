/**
 * The command `tinymq check`, for Docker's HEALTHCHECK and for monitoring: one line and a number.
 * It runs every few seconds, so it loads as little as it can. `--wait` is for scripts that have
 * just started a daemon. Must never change anything.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import {
  databaseOf,
  type JsonFlags,
  seconds,
  withDatabaseArgument,
  withJson,
} from './command-line.ts'
import type { Context } from './context.ts'
import { examine, healthText, type Health } from '../daemon/diagnostics/liveness.ts'

/** Docker gives a check ten seconds; a daemon whose loop stands for three serves nobody. */
const answerMs = 3_000
const pollMs = 50

type Flags = JsonFlags & { readonly wait: number }

export function addCheck(program: Command, { terminal, end }: Context): void {
  const check = program
    .command('check')
    .description('report whether the daemon of this database answers right now')
    .option('--wait <seconds>', 'wait so long, at most, for the daemon to answer', seconds, 0)
    .addHelpText(
      'after',
      '\nThe JSON object: healthy, database, code (of a fault), sentence, remedy.\n' +
        'It ends with 0 when all is well, 1 when it is not, 64 when it was called wrongly.',
    )
  withJson(withDatabaseArgument(check)).action(async (named: string | undefined, flags: Flags) => {
    const endMs = performance.now() + flags.wait * 1_000
    const health = await examineUntil(databaseOf(named, check), endMs)
    await terminal.out(flags.json === true ? `${JSON.stringify(health)}\n` : textOf(health))
    if (!health.healthy) end(1)
  })
}

/** A file that is not there yet, or not ours yet, may be so in a moment. */
async function examineUntil(database: string, endMs: number): Promise<Health> {
  for (;;) {
    const health = await examine(database, answerMs)
    if (health.healthy || performance.now() >= endMs) return health
    await sleep(pollMs)
  }
}

function textOf(health: Health): string {
  if (health.healthy) return `healthy: ${healthText(health)}.\n`
  return `not healthy: ${healthText(health)}. (${health.code})\n`
}
