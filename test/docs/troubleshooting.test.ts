import { deepEqual, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { optionEntries } from '../../daemon/platform/config/options.ts'

const root = join(import.meta.dirname, '..', '..')
const page = readFileSync(join(root, 'docs', 'troubleshooting.md'), 'utf8')
/** All sources of the daemon, the SDK and the command, strings in several parts put together. */
const sources = ['daemon', 'sdk', 'cli']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(
        (path) => /\.[jt]s$/.test(path) && !/\.test\.ts$|(?:^|\/)(?:testing|page)\//.test(path),
      )
      .map((path) => readFileSync(join(root, folder, path), 'utf8')),
  )
  .join('\n')
  .replaceAll(/['`"]\s*\+\s*['`"]/g, '')

/** Next to the options: set by Compose, made up by Kubernetes, or the beginning of a pattern. */
const notCodes = new Set(['TINYMQ_UID', 'TINYMQ_GID', 'TINYMQ_PORT', 'TINYMQ_E'])

const codesIn = (text: string): Set<string> =>
  new Set(text.match(/\bTINYMQ_[A-Z_]*[A-Z]\b/g)?.filter((code) => !notCodes.has(code)))

test('every code is documented, and every documented code exists', () => {
  const variables = new Set(optionEntries().map(([, { variable }]) => variable))
  const [there, reported] = [codesIn(sources), codesIn(page)]
  deepEqual(
    Array.from(there).filter((code) => !variables.has(code) && !reported.has(code)),
    [],
  )
  deepEqual(
    Array.from(reported).filter((code) => !there.has(code)),
    [],
  )
})

test('every documented message is one of the sources', () => {
  const messages = Array.from(page.matchAll(/^\|(.*)\|$/gm), ([, row = '']) => row)
    .flatMap((row) => Array.from(row.matchAll(/`([^`]+)`/g), ([, text = '']) => text))
    .filter((text) => / /.test(text) && !/^(?:UPDATE|tinymq|mkdir|chmod|ss|ip|--)/.test(text))
  ok(messages.length > 25)
  const unknown = messages.filter((message) =>
    message.split('…').some((part) => !sources.includes(part.trim())),
  )
  deepEqual(unknown, [])
})

/** Of the events that are the operator's. */
const kinds = '(?:PEER|SELF|INBOX|OUTBOX|SCHEMA|KEYS|DATABASE)_[A-Z_]+|AMBIGUOUS'
const eventCode = new RegExp(`(?:code: |note\\(|Event\\(db, )'(${kinds})'`, 'g')

test('every event that the operator is informed of is listed', () => {
  const events = new Set(Array.from(sources.matchAll(eventCode), ([, code = '']) => code))
  ok(events.size > 6)
  deepEqual(
    Array.from(events).filter((code) => !page.includes(`\`${code}\``)),
    [],
  )
})
