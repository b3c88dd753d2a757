/**
 * A daemon in a container, for tests of programs that send or receive through it. What it offers
 * runs inside the container, so that it works wherever Docker does; `open` alone needs the file.
 */

import { join } from 'node:path'
import {
  AbstractStartedContainer,
  GenericContainer,
  type StartedTestContainer,
  Wait,
} from 'testcontainers'
import { TinymqError } from '../schema/errors.ts'
import { type Message, parseMessage, type Row } from '../inbox-reader.ts'
import { type OutgoingMessage, outgoingValues, sendSql } from '../outgoing-message.ts'
import type { SqliteValue } from '../schema/sqlite-handle.ts'
import { open } from '../open.ts'
import type { Tinymq } from '../client.ts'
import { shellCommand, watchCommand, watchTimedOut } from './watch-script.ts'

const defaultImage = 'tinymq:e2e'
const directory = '/data'
const file = 'tinymqdb'
const path = `${directory}/${file}`
const waitMsDefault = 60_000

// Linux takes at most 128 KiB in one argument of a command.
const statementBytesMax = 131_071

/** A daemon to be started, with all that testcontainers' `GenericContainer` can be given. */
export class TinymqContainer extends GenericContainer {
  #hostDirectory: string | undefined

  /** @param image of tinymq: `tinymq:e2e` when left out, which e2e/images builds. */
  constructor(image = defaultImage) {
    super(image)
    this.withEnvironment({ TINYMQ_DATABASE: path, TINYMQ_LOG_FORMAT: 'json' })
    this.withWaitStrategy(Wait.forLogMessage(/"event":"started"/))
  }

  /**
   * Keeps the database in this directory of the host, which uid 1000 must be able to write, or
   * whom `withUser` names. On Linux `open` works then.
   */
  withDirectory(hostDirectory: string): this {
    this.#hostDirectory = hostDirectory
    return this.withBindMounts([{ source: hostDirectory, target: directory }])
  }

  /** Keeps the database in this volume of Docker, which outlives the container. */
  withVolume(name: string): this {
    return this.withBindMounts([{ source: name, target: directory }])
  }

  override async start(): Promise<StartedTinymqContainer> {
    return new StartedTinymqContainer(await super.start(), this.#hostDirectory)
  }
}

/** A daemon that runs. */
export class StartedTinymqContainer extends AbstractStartedContainer {
  readonly #hostDirectory: string | undefined

  /** @internal */
  constructor(container: StartedTestContainer, hostDirectory: string | undefined) {
    super(container)
    this.#hostDirectory = hostDirectory
  }

  /** Runs statements in the `sqlite3` shell on its database. Returns what the shell prints. */
  async sql(statements: string): Promise<string> {
    return this.#shell(statements)
  }

  /**
   * Puts a message into its outbox. Returns the id of the row.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT for one too large for a command;
   * TINYMQ_TEST_ENVIRONMENT with what the shell says.
   */
  async send(message: OutgoingMessage): Promise<number> {
    const literals = outgoingValues(message).map(literal)
    const statement = sendSql.replaceAll('?', () => literals.shift() ?? 'NULL')
    return Number(await this.#shell(`${statement} RETURNING id`))
  }

  /** The messages in its inbox, in the order of arrival. */
  async inbox(): Promise<Message[]> {
    const select = `SELECT id, host, port, token, sent_at, arrived_at, sender, sender_row, headers,
      typeof(data) AS type, hex(CAST(data AS BLOB)) AS hex FROM mqin ORDER BY id`
    const json = await this.#shell(select, '-json')
    const rows = json === '' ? [] : (JSON.parse(json) as (Row & { readonly hex: string })[])
    return rows.map((row) => parseMessage({ ...row, bytes: Buffer.from(row.hex, 'hex') }))
  }

  /**
   * Resolves with the first row of `select` once its first column is neither NULL, 0 nor empty.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT with the last row when that takes longer than
   * `withinMs`.
   */
  async waitFor(select: string, withinMs = waitMsDefault): Promise<Record<string, unknown>> {
    const result = await this.exec(watchCommand(path, select, withinMs))
    if (result.exitCode === 0) return JSON.parse(result.stdout) as Record<string, unknown>
    const sentence =
      result.exitCode === watchTimedOut
        ? `waited ${withinMs / 1_000} s for ${select}; it gave ${result.stdout}`
        : `${select}: ${result.stderr.trim()}`
    throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', sentence)
  }

  /** Resolves with the inbox once it holds so many messages. */
  async waitForInbox(messages: number, withinMs = waitMsDefault): Promise<Message[]> {
    await this.waitFor(`SELECT count(*) >= ${messages}, count(*) AS messages FROM mqin`, withinMs)
    return this.inbox()
  }

  /** Resolves once everything in its outbox has been delivered. */
  async waitForEmptyOutbox(withinMs = waitMsDefault): Promise<void> {
    await this.waitFor('SELECT count(*) = 0, count(*) AS waiting FROM mqout', withinMs)
  }

  /**
   * Its database by the SDK. It takes `withDirectory`, and Linux: elsewhere the file is another
   * kernel's.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT where it is not so, and as `open` does.
   */
  open(): Tinymq {
    if (this.#hostDirectory !== undefined && process.platform === 'linux') {
      return open(join(this.#hostDirectory, file))
    }
    const sentence = 'open() takes withDirectory(…) and Linux: use sql, send and inbox instead'
    throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
  }

  async #shell(statements: string, ...options: string[]): Promise<string> {
    if (Buffer.byteLength(statements) > statementBytesMax) {
      const sentence = 'this is too large for a command: use open(), or a program in the container'
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
    }
    const { exitCode, stdout, stderr } = await this.exec(shellCommand(path, statements, ...options))
    if (exitCode === 0) return stdout.trimEnd()
    throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', stderr.trim() || stdout.trim())
  }
}

/** The value as SQL, in letters that no shell and no command line changes. */
function literal(value: SqliteValue): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `CAST(X'${Buffer.from(value).toString('hex')}' AS TEXT)`
  if (value instanceof Uint8Array) return `X'${Buffer.from(value).toString('hex')}'`
  return String(value)
}
