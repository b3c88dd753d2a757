/** `tinymq cancel`: takes messages back. */
import type { Command } from 'commander'
import { type Context, type DatabaseFlags, idList, Opened, withDatabase } from './command.ts'

export function addCancel(program: Command, context: Context): void {
  const command = program
    .command('cancel')
    .description('stop trying to send these rows of the outbox: deletes them')
    .argument('<id...>', 'ids of rows in mqout', idList)
  withDatabase(command).action(async (ids: readonly number[], flags: DatabaseFlags) => {
    using opened = new Opened(flags)
    for (const id of ids) await cancelOne(opened, id, context)
  })
}

async function cancelOne(opened: Opened, id: number, { terminal, end }: Context): Promise<void> {
  const before = opened.rows<{ state: string }>('SELECT state FROM mqstatus WHERE id = ?', id).at(0)
  if (opened.mq.cancel(id)) {
    const late =
      before?.state === 'in flight' ? '; it was in flight and may arrive all the same' : ''
    return terminal.out(`${id} cancelled${late}\n`)
  }
  terminal.say(`tinymq: row ${id} is not in the outbox: it was delivered or deleted.\n`)
  end(1)
}
