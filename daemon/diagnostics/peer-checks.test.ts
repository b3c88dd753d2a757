import { deepEqual, match } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startDaemon } from '../daemon.ts'
import { peerFindings } from './peer-checks.ts'

// It goes after the tests: a daemon whose files go first writes a copy of them.
const scratch = mkdtempSync(join(tmpdir(), 'tinymq-doctor-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

test('the answer of the own daemon is not taken for that of the peer', async (context) => {
  const place = mkdtempSync(join(scratch, 'test-'))
  const daemon = await startDaemon({ database: join(place, 'db'), port: 0, http: 'off' })
  context.after(async () => daemon.stop())
  const { port: ownPort } = daemon.address
  const waiting = { key: '', error: null, errorCode: null, waiting: 3 }
  const findingOf = async (ips: readonly string[]): Promise<string> => {
    const [finding] = await peerFindings([{ ...waiting, host: 'MachineB', port: ownPort }], {
      ownPort,
      ownIps: ['127.0.0.1'],
      names: (_, callback) =>
        callback(
          null,
          ips.map((address) => ({ address, family: 4 })),
        ),
    })
    return `${finding?.level} ${finding?.sentence}`
  }
  deepEqual(await findingOf(['127.0.0.1']), 'ok It answers; 3 rows wait.')
  // Nobody lives in 192.0.2.0/24 (RFC 5737).
  const said = await findingOf(['127.0.0.1', '192.0.2.7'])
  match(said, /^warn (?:No answer from 192\.0\.2\.7|This machine sends nothing there)/)
})
