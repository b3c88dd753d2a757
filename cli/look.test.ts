import assert from 'node:assert/strict'
import { test } from 'node:test'
import { madeDatabase, run } from '../test/support/command-run.ts'
import { shell } from '../test/support/scratch.ts'

function fill(path: string): void {
  shell(
    path,
    `INSERT INTO mqout (host, data) VALUES ('b', 'x'), ('b', 'yy'), ('c', 'z');
    INSERT INTO mqlane (host, port, state, error_code, error, numbered_id, rtt_us, packets, lost)
      VALUES ('b', 9000, 'open', NULL, NULL, 0, 1500, 1000, 25),
        ('c', 9000, 'waiting', 'TINYMQ_NO_ANSWER', 'no answer', 0, NULL, 0, 0);
    INSERT INTO mqsender (database_id, stream, watermark, host, port, seen_at)
      VALUES (zeroblob(16), zeroblob(16), 1234567, 'd', 9001, 1425211200000);
    INSERT INTO mqparked (id, uid, lane, code, reason)
      SELECT id, uid, 1, 'TINYMQ_REFUSED', 'too large there' FROM mqout WHERE id = 2;`,
  )
}

test('status shows the totals, and of each row why it is there', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  const { out } = await run(path, ['status'])
  const lines = out.split('\n')
  assert.match(lines[0] ?? '', /^outbox 3, the oldest [\d.]+s, 1 parked; inbox 0$/)
  assert.match(lines[4] ?? '', /2 {2}b:9000 .*parked +too large there \(TINYMQ_REFUSED\)/)
  assert.match(lines[5] ?? '', /3 {2}c:9000 .*waiting +no answer \(TINYMQ_NO_ANSWER\)/)
  const cut = await run(path, ['status', '-n', '1'])
  assert.match(cut.out, /and 2 more\n$/)
  const one = await run(path, ['status', '--id', '7'])
  assert.deepEqual([one.code, one.out], [1, ''])
  assert.match(one.said, /row 7 is not in the outbox/)
})

test('status --json has the totals in the first line and a row in each that follows', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  const { out } = await run(path, ['status', '--json', '--host', 'c'])
  const [totals, row, ...rest] = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual([totals?.['type'], totals?.['outbox'], totals?.['parked']], ['totals', 3, 1])
  assert.deepEqual([row?.['type'], row?.['id'], row?.['state']], ['row', 3, 'waiting'])
  assert.deepEqual(rest, [])
})

test('a screen is never wider than it is', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  for (const command of ['status', 'peers']) {
    const { out } = await run(path, [command], { isTerminal: true })
    assert.ok(
      out.split('\n').every((line) => line.length <= 80),
      out,
    )
  }
})

test('peers has a line for each direction, with round trip and loss', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  const { out } = await run(path, ['peers'])
  const lines = out.split('\n')
  assert.match(lines[1] ?? '', /^out {2}b:9000 +open +2 +0 +1\.5 ms +2\.5 %/)
  assert.match(lines[2] ?? '', /^out {2}c:9000 +waiting .*no answer$/)
  assert.match(lines[3] ?? '', /^in +d:9001 .*1,234,567/)
  const json = (await run(path, ['peers', '--json'])).out.trimEnd().split('\n')
  assert.equal((JSON.parse(json[2] ?? '') as { watermark: number }).watermark, 1_234_567)
})

test('top shows rate and loss between two looks', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  const flags = ['top', '--json', '--interval', '0.1', '--count', '2']
  const { out } = await run(path, flags, {
    onOut: (sofar) => {
      const sql = 'UPDATE mqlane SET confirmed = 500, packets = 1100, lost = 35 WHERE host = '
      if (sofar.split('\n').length === 2) shell(path, `${sql}'b';`)
    },
  })
  const [first, second] = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Top)
  const pace = (look: Top | undefined): unknown => {
    const peer = look?.peers.find(({ host }) => host === 'b')
    return [peer?.packets, peer?.lost, (peer?.messagesPerSecond ?? 0) > 0]
  }
  assert.deepEqual(pace(first), [1_000, 25, false])
  assert.deepEqual(pace(second), [100, 10, true])
})

type Top = {
  readonly peers: readonly {
    readonly host: string
    readonly packets: number
    readonly lost: number
    readonly messagesPerSecond: number
  }[]
}

test('top has a screen of its own, and leaves its last picture', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  const flags = ['top', '--interval', '0.1', '--count', '2']
  const { out } = await run(path, flags, { isTerminal: true })
  const pictures = out.split('\u001b[H')
  // At once, and after each pause.
  assert.equal(pictures.length, 4)
  assert.equal(pictures[0], '\u001b[?1049h\u001b[?25l')
  assert.match(pictures[1] ?? '', /^\d\d:\d\d:\d\d {2}outbox 3, .*b:9000 /s)
  const [drawn = '', left = ''] = (pictures[3] ?? '').split('\u001b[?25h\u001b[?1049l')
  assert.ok(drawn.endsWith('\u001b[J'))
  assert.match(left, /^\d\d:\d\d:\d\d {2}outbox 3, .*no answer\n.*\n\n$/s)
})

test('top goes on below where there is no screen', async (t) => {
  const path = madeDatabase(t)
  fill(path)
  const { out } = await run(path, ['top', '--interval', '0.1', '--count', '2'])
  assert.equal(out.match(/^\d\d:\d\d:\d\d {2}outbox 3, /gm)?.length, 2)
  assert.ok(!out.includes('\u001b'))
  assert.ok(!out.includes('key'))
})
