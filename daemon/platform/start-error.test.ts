import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { TinymqError, type TinymqErrorCode } from '../../sdk/schema/errors.ts'
import { describeError, exitCodeOf, StartError, type StartErrorCode } from './start-error.ts'

const startCodes: readonly (readonly [StartErrorCode, number])[] = [
  ['TINYMQ_INVALID_OPTION', 64],
  ['TINYMQ_NO_DIRECTORY', 66],
  ['TINYMQ_SINGLE_FILE_MOUNT', 72],
  ['TINYMQ_PORT_IN_USE', 69],
  ['TINYMQ_HTTP_PORT_IN_USE', 69],
  ['TINYMQ_HTTP_PASSWORD_REQUIRED', 64],
  ['TINYMQ_INVALID_PASSWORD_FILE', 67],
  ['TINYMQ_INVALID_ADDRESS', 69],
  ['TINYMQ_TOO_MANY_FILES', 71],
  ['TINYMQ_ALREADY_RUNNING', 75],
]

const databaseCodes: readonly (readonly [TinymqErrorCode, number])[] = [
  ['TINYMQ_NOT_A_DATABASE', 65],
  ['TINYMQ_CORRUPT', 65],
  ['TINYMQ_FOREIGN_TABLE', 65],
  ['TINYMQ_INVALID_ENCODING', 65],
  ['TINYMQ_UNSAFE_FILESYSTEM', 72],
  ['TINYMQ_DISK_FULL', 74],
  ['TINYMQ_IO', 74],
  ['TINYMQ_CANNOT_OPEN', 74],
  ['TINYMQ_SQLITE', 74],
  ['TINYMQ_BUSY', 75],
  ['TINYMQ_SCHEMA_NEWER', 76],
  ['TINYMQ_READ_ONLY', 77],
]

test('the numbers that a process ends with stay what they are', () => {
  for (const [code, number] of startCodes) equal(exitCodeOf(new StartError(code, '')), number, code)
  for (const [code, number] of databaseCodes) {
    equal(exitCodeOf(new TinymqError(code, '')), number, code)
  }
})

test('what nobody foresaw is a bug of ours: 70', () => {
  for (const error of [
    new Error('x'),
    'x',
    undefined,
    new TinymqError('TINYMQ_HISTORY_EXPIRED', 'x'),
  ]) {
    equal(exitCodeOf(error), 70)
  }
})

test('an error is reported in a line with its code, and a bug with its stack', () => {
  const known = describeError(new StartError('TINYMQ_PORT_IN_USE', 'UDP port 1 is taken.'))
  equal(known, 'tinymq: UDP port 1 is taken. (TINYMQ_PORT_IN_USE)')
  const database = describeError(new TinymqError('TINYMQ_IO', 'The disk is broken.'))
  match(database, /^tinymq: The disk is broken\. Check the disk.* \(TINYMQ_IO\)$/)
  match(describeError(new Error('planted')), /^tinymq: A bug of its own .*planted\n {4}at /)
})
