/**
 * Faults that a change of the product could bring, each as an exact change of its sources, and the
 * stories that must notice it. Must never be less than two stories: one alone may be changed away.
 */

export type Change = { readonly file: string; readonly old: string; readonly new: string }

export type Fault = {
  /** As the end of "the stories fail when …". */
  readonly name: string
  readonly changes: readonly Change[]
  /** The stories that must notice it, by the files that they are in. */
  readonly stories: Readonly<Record<string, readonly string[]>>
  /** How they report it. */
  readonly symptom: RegExp
}

const sizes = 'rows of every size and kind between three machines'
const rerouted = 'rows that are deleted or rerouted while they wait'
const parked = 'a row that the peer rejects is parked, overtaken, and sent when the peer takes it'
const refused = 'a row that a trigger of the inbox rejects, and takes later'
const outboxes = 'two outboxes for one inbox, each in order'
const killed = 'kill -9 of the sender and of the receiver in mid-drain'
const senderRestored = 'a sender restored in mid-drain, on a clean link'
const waitingRestored = 'a sender restored with rows that wait for another machine'
const killedAgain = 'kill -9 of the receiver again and again'

const change = (file: string, old: string, changed: string): Change => ({ file, old, new: changed })

const taken = (changed: string): Change[] => [
  change('daemon/store/inbox/message-writer.ts', 'messages.push(message)', changed),
]
const inboxRows = (old: string, changed: string): Change[] => [
  change('daemon/store/inbox/row-writer.ts', old, changed),
]
const bulkInsert = (old: string, changed: string): Change[] => [
  change('daemon/store/inbox/row-writer.ts', old, changed),
]

const isChanged = /changed: /

const both = { rows: [refused, outboxes] }

/** These are noticed on a clean link. */
export const faults: readonly Fault[] = [
  {
    name: 'a byte is flipped in rows of 300 bytes and more',
    changes: taken('if (data.length >= 300) data[100]! ^= 1\n    messages.push(message)'),
    stories: both,
    symptom: isChanged,
  },
  {
    name: 'rows of 1,024 bytes are confirmed and not stored',
    changes: inboxRows(
      'this.#insertAll(messages, arrival, nowMs)',
      'this.#insertAll(messages.filter((it) => it.data.length !== 1024), arrival, nowMs)',
    ),
    stories: both,
    // One story waits for the number of rows, which is never reached.
    symptom: /missing: |count\(\*\) FROM mqin at MachineB/,
  },
  {
    name: 'rows for other peers are deleted after SELF_ROLLED_BACK',
    changes: [
      change(
        'daemon/store/outbox/identity-check.ts',
        'lane.peer = peer\n    beginStream(',
        `if (event.code.startsWith('SELF_')) {
          connection.prepareChange('DELETE FROM mqout WHERE host <> ?').run(host)
        }
        lane.peer = peer
        beginStream(`,
      ),
    ],
    stories: { drains: [senderRestored, waitingRestored] },
    symptom: /missing: /,
  },
  {
    name: 'the log of identities is not looked at',
    changes: [
      change(
        'daemon/store/inbox/inbox.ts',
        'const relatives = relativesOf(session.sender, family)',
        'const relatives: Sender[] = []',
      ),
    ],
    stories: { drains: [senderRestored, waitingRestored] },
    symptom: /duplicate: |unknown: /,
  },
  {
    name: 'headers are lost',
    changes: inboxRows('headers ?? null', 'null'),
    stories: both,
    symptom: /headers are null/,
  },
  {
    name: 'a row gets the token of the row before',
    changes: inboxRows('values.push(token,', 'values.push(messages[0]!.token,'),
    stories: both,
    symptom: /token is |unknown: /,
  },
  {
    name: 'a BLOB becomes text',
    changes: bulkInsert('const isText = first.isText ? 1 : 0', 'const isText = 1'),
    stories: both,
    symptom: /data is TEXT/,
  },
  {
    name: 'text becomes a BLOB when it is alone',
    changes: inboxRows('headers ?? null, isText ? 1 : 0, data', 'headers ?? null, 0, data'),
    stories: both,
    symptom: /data is BLOB/,
  },
  {
    name: 'a NUL at the end is cut',
    changes: taken(
      'messages.push(data.at(-1) === 0 ? { ...message, data: data.subarray(0, -1) } : message)',
    ),
    stories: both,
    symptom: isChanged,
  },
  {
    name: 'rows without data become NULL',
    changes: inboxRows(
      'iif(column5, CAST(column6 AS TEXT), column6)',
      "nullif(iif(column5, CAST(column6 AS TEXT), column6), '')",
    ).concat(
      bulkInsert(
        'CAST(${dataSql} AS TEXT), ${dataSql})',
        "nullif(CAST(${dataSql} AS TEXT), ''), nullif(${dataSql}, x''))",
      ),
    ),
    stories: both,
    symptom: /data is NULL/,
  },
  {
    name: 'rows that are inserted at once are in the wrong order',
    changes: bulkInsert('WHERE i < @count ORDER BY i', 'WHERE i < @count ORDER BY -i'),
    stories: both,
    symptom: /out of order: /,
  },
  {
    name: 'data is cut after 65,536 bytes',
    changes: taken('messages.push({ ...message, data: data.subarray(0, 65_536) })'),
    stories: { rows: [sizes, parked] },
    symptom: isChanged,
  },
  {
    name: 'a row is sent under the id of the row before',
    changes: inboxRows('push(token, timeMs, row,', 'push(token, timeMs, row - 1,'),
    stories: both,
    symptom: /sender_row is |count\(\*\) FROM mqin at MachineB/,
  },
  {
    name: 'the time of sending is the time of arrival',
    changes: inboxRows('values.push(token, timeMs,', 'values.push(token, nowMs,'),
    stories: both,
    symptom: /sent_at is /,
  },
  {
    name: 'the host in mqin is the receiver’s own',
    changes: inboxRows('[host, port, nowMs, sender]', "['127.0.0.1', port, nowMs, sender]"),
    stories: both,
    symptom: /wrong host: /,
  },
  {
    name: 'a row that is rejected is dropped',
    changes: [
      change(
        'daemon/store/outbox/parked-rows.ts',
        'this.#insert.run(id, uid, lane, code, reason, attempts, retryAtMs, nowMs)',
        `this.#connection.prepareChange('DELETE FROM mqout WHERE id = ?').run(id)`,
      ),
    ],
    stories: { rows: [parked, refused] },
    symptom: /^Waited |missing: |kept/,
  },
  {
    name: 'rows that were rerouted or freed are not found again',
    changes: [
      change(
        'daemon/store/outbox/parked-rows.ts',
        'const found = this.#select.all(this.#passedId, rowsPerLook)',
        'const found: never[] = []',
      ),
    ],
    stories: { rows: [rerouted, refused] },
    symptom: /^Waited /,
  },
  {
    name: 'the watermark is committed after the rows',
    changes: [
      change(
        'daemon/store/store.ts',
        `      senders.write(nowMs)
      const heldUs = this.#connection.commit()`,
        `      const heldUs = this.#connection.commit()
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60)
      this.#connection.begin()
      senders.write(nowMs)
      this.#connection.commit()`,
      ),
    ],
    stories: { drains: [killed, killedAgain] },
    symptom: /duplicate: |unknown: |PEER_ROLLED_BACK/,
  },
]

const early: readonly Change[] = [
  change(
    'daemon/store/store.ts',
    '      this.#commit(memory, nowMs)\n',
    `      const early = answers.map(resultOf).filter(({ type }) => type === 'received')
      if (early.length > 0) {
        globalThis.tinymqEarly(early)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40)
      }
      this.#commit(memory, nowMs)
`,
  ),
  change(
    'daemon/store/thread/runner.ts',
    'this.#events = events\n',
    `this.#events = events
    globalThis.tinymqEarly = (results) => events.onResults(results, this.#takeUsage())
`,
  ),
]

/** These take a bad link or a full disk. */
export const faultsOnLinks: readonly Fault[] = [
  {
    name: 'the confirm leaves before the commit',
    changes: early,
    // Without the wait of 40 ms a kill found it only now and then.
    stories: {
      surroundings: ['a full disk, and kill -9 on it'],
      crashes: ['3 times kill -9 of the receiver under load'],
    },
    symptom: /missing: |PEER_ROLLED_BACK/,
  },
  {
    name: 'the retransmission timer never runs',
    changes: [
      change(
        'daemon/protocol/recovery/send-controller.ts',
        'return this.#ledger.deadlineUs()',
        'return undefined',
      ),
    ],
    stories: { 'bad-links': ['all to all', 'a burst of 4,000'] },
    symptom: /^Waited /,
  },
]
