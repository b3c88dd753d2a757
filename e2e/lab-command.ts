/**
 * `npm run lab`: three machines to try things on by hand, and the faults of their network. Each
 * command says what it did in the words of the kernel or of Docker. It must never touch containers
 * without the label of a lab.
 */

import { Command } from 'commander'
import { TinymqError } from '../sdk/schema/errors.ts'
import {
  attachLab,
  describeLink,
  type Lab,
  type LabMachine,
  type LinkConditions,
  listLabs,
  removeLab,
  startLab,
} from './lab/index.ts'

const defaultName = 'lab'

const program = new Command('lab')
  .description('Three machines in containers, and the faults of the network between them.')
  .option('--name <name>', 'which lab', defaultName)
  .addHelpText('after', '\nA machine is MachineA, MachineB or MachineC, or A, B or C for short.')

const attached = async (): Promise<Lab> => attachLab(program.opts<{ name: string }>().name)

/** A command on one machine. */
function onMachine(
  name: string,
  sentence: string,
  act: (it: LabMachine, lab: Lab) => unknown,
): void {
  program
    .command(`${name} <machine>`)
    .description(sentence)
    .action(async (machine: string) => {
      const lab = await attached()
      await act(lab.machine(machine), lab)
      await show(lab.machine(machine))
    })
}

/** A command that changes some conditions of a link and leaves the others. */
function onLink(
  words: string,
  sentence: string,
  change: (...values: number[]) => LinkConditions,
): void {
  const [name = '', ...values] = words.split(' ')
  program
    .command([name, '<machine>', ...values].join(' '))
    .description(sentence)
    .action(async (machine: string, ...rest: unknown[]) => {
      const given = rest.slice(0, values.length).filter((value) => typeof value === 'string')
      const lab = await attached()
      const { conditions } = await lab.machine(machine).linkState()
      const numbers = given.map((value) => parseNumber(name, value))
      const { text } = await lab.link(machine, { ...conditions, ...change(...numbers) })
      console.log(`${lab.machine(machine).name}: ${text}`)
    })
}

/** `30%`, `50ms` and `1000kbit` are 30, 50 and 1000. */
function parseNumber(name: string, word: string): number {
  const digits = /^(\d+(?:\.\d+)?)(?:%|ms|kbit)?$/.exec(word)?.[1]
  if (digits !== undefined) return Number(digits)
  const sentence = `${name} takes numbers such as 30% or 50ms, and ${word} is none`
  throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
}

async function show(machine: LabMachine): Promise<void> {
  const [address, status, link] = await Promise.all([
    machine.address(),
    machine.status(),
    machine.linkState(),
  ])
  const refused = link.refused.length === 0 ? '' : `, rejects ${link.refused.join(' and ')}`
  const state = link.isUp ? describeLink(link.conditions) : 'its interface is down'
  console.log(`${machine.name}  ${address}  ${status}  ${state}${refused}`)
}

function hints(lab: Lab): string {
  const shell = (machine: string): string =>
    `docker exec tinymq-${lab.name}-${machine} sqlite3 -cmd '.timeout 5000' /data/tinymqdb`
  const insert =
    "INSERT INTO mqout (host,port,token,data) VALUES ('MachineB','9000','token','Hello')"
  const again = `npm run lab --${lab.name === defaultName ? '' : ` --name ${lab.name}`}`
  return `
Try:
  ${shell('MachineA')} "${insert}"
  ${shell('MachineB')} "SELECT * FROM mqin"
  ${shell('MachineA')} "SELECT * FROM mqstatus"
  ${again} loss MachineB 30%
  ${again} partition A C
  ${again} heal
  ${again} down`
}

async function up(): Promise<void> {
  const { TINYMQ_E2E_IMAGE: image, TINYMQ_E2E_TOOLS: toolsImage } = process.env
  const lab = await startLab({
    name: program.opts<{ name: string }>().name,
    ...(image === undefined ? {} : { image }),
    ...(toolsImage === undefined ? {} : { toolsImage }),
  })
  await status(lab)
  console.log(hints(lab))
}

async function status(lab: Lab): Promise<void> {
  for (const machine of lab.machines) await show(machine)
}

async function down({ all }: { all?: true }): Promise<void> {
  const { name } = program.opts<{ name: string }>()
  const names = all === true ? await listLabs() : [name]
  for (const each of names) {
    await removeLab(each)
    console.log(`The lab ${each} is gone, with its containers, network and volumes.`)
  }
}

program.command('up').description('make the lab: about ten seconds').action(up)
program
  .command('status')
  .description('addresses, daemons and links')
  .action(async () => status(await attached()))
onLink('loss <percent>', 'lose so much of what it sends: 30%', (lossPercent = 0) => ({
  lossPercent,
}))
onLink('delay <ms> [jitter]', 'delay what it sends: 50ms 20ms', (delayMs = 0, jitterMs = 0) => ({
  delayMs,
  jitterMs,
}))
onLink('reorder <percent>', 'let so much overtake; needs a delay', (reorderPercent = 0) => ({
  reorderPercent,
}))
onLink('duplicate <percent>', 'send so much twice', (duplicatePercent = 0) => ({
  duplicatePercent,
}))
onLink('corrupt <percent>', 'flip a bit in so much', (corruptPercent = 0) => ({ corruptPercent }))
onLink('rate <kbit>', 'send no faster: 1000kbit', (rateKbit = 0) => ({ rateKbit }))
program
  .command('partition <one> <other>')
  .description('let nothing through between two machines')
  .action(async (one: string, other: string) => {
    const lab = await attached()
    await lab.partition(one, other)
    for (const machine of [one, other]) await show(lab.machine(machine))
  })
program
  .command('heal')
  .description('end all of these faults')
  .action(async () => {
    const lab = await attached()
    await lab.heal()
    await status(lab)
  })
onMachine('link-down', 'take its interface down', async ({ name }, lab) => lab.linkDown(name))
onMachine('link-up', 'take it up', async ({ name }, lab) => lab.linkUp(name))
onMachine('move', 'give it another address', async ({ name }, lab) => lab.move(name))
onMachine('kill', 'kill -9 its daemon', async (machine) => machine.kill())
onMachine('stop', 'stop its daemon', async (machine) => machine.stop())
onMachine('start', 'start its daemon', async (machine) => machine.start())
onMachine('pause', 'freeze its daemon', async (machine) => machine.pause())
onMachine('unpause', 'let it go on', async (machine) => machine.unpause())
program
  .command('sql <machine> <statements>')
  .description('run statements on its database')
  .action(async (machine: string, statements: string) => {
    console.log(await (await attached()).machine(machine).sql(statements))
  })
program
  .command('logs <machine>')
  .description('what its daemon has logged')
  .action(async (machine: string) => {
    process.stdout.write(await (await attached()).machine(machine).logs())
  })
program
  .command('down')
  .description('remove the lab')
  .option('--all', 'every lab on this engine, whoever left it')
  .action(down)

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof TinymqError)) throw error
  console.error(`lab: ${error.message} (${error.code})`)
  process.exitCode = 1
}
