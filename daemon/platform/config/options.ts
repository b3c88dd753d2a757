/**
 * What an operator may choose, as one table: the flags, the environment variables, `--help`, the
 * README's table and the type `Config` are derived from it. Must never read the environment itself.
 */
import { isIP } from 'node:net'
import { defaultDatabase } from '../../../sdk/schema/database-files.ts'

/** A value, or what is wrong with the text as the end of a sentence that begins with its name. */
type Parsed<Value> = { readonly value: Value } | { readonly problem: string }

export type Kind<Value> = {
  readonly placeholder: string
  readonly parse: (text: string) => Parsed<Value>
}

export type Option<Value> = {
  /** A flag unless it is given by its place on the command line. */
  readonly isArgument?: true
  readonly kind: Kind<Value>
  readonly default: Value
  /** What the default is in words, where the value does not say it. */
  readonly defaultText?: string
  readonly variable: string
  readonly sentence: string
}

/** Where the status page and its companions are; undefined where the operator said nothing. */
export type HttpEndpoint = 'off' | { readonly ip: string; readonly port: number }

type HostAndPort = { readonly host: string; readonly port: number | undefined }

function integer(placeholder: string, min: number, max: number): Kind<number> {
  return {
    placeholder,
    parse: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
      return value >= min && value <= max
        ? { value }
        : { problem: `must be a whole number from ${min} to ${max}` }
    },
  }
}

function choice<Name extends string>(...names: readonly Name[]): Kind<Name> {
  return {
    placeholder: names.join('|'),
    parse: (text) => {
      const value = names.find((name) => name === text)
      return value === undefined ? { problem: `must be one of ${names.join(', ')}` } : { value }
    },
  }
}

const path: Kind<string> = {
  placeholder: 'path',
  parse: (text) => (text === '' ? { problem: 'must be the path of a file' } : { value: text }),
}

const tokens: Kind<readonly string[]> = {
  placeholder: 'token,…',
  parse: (text) => {
    const value = text.split(',').map((token) => (token.trim() === '""' ? '' : token.trim()))
    const isList = text.split(',').every((token) => token.trim() !== '')
    return isList && value.every((token) => Buffer.byteLength(token) <= 255)
      ? { value: Array.from(new Set(value)) }
      : { problem: 'must be a list of tokens with commas between them, "" for the empty token' }
  },
}

const ipAddress: Kind<string> = {
  placeholder: 'address',
  parse: (text) => {
    const value = text.replace(/^\[(.*)\]$/, '$1')
    return isIP(value) === 0
      ? { problem: 'must be an IP address of this machine, or :: or 0.0.0.0 for all' }
      : { value }
  },
}

const hostAndPort: Kind<HostAndPort> = {
  placeholder: 'host[:port]',
  parse: (text) => {
    const match = /^(?:\[([\da-fA-F:.%\w]+)\]|([^:\s[\]]+))(?::(\d{1,5}))?$/.exec(text)
    const host = isIP(text) === 6 ? text : (match?.[1] ?? match?.[2])
    const port = match?.[3] === undefined ? undefined : Number(match[3])
    const isPort = port === undefined || (port >= 1 && port <= 65_535)
    return host !== undefined && Buffer.byteLength(host) <= 255 && isPort
      ? { value: { host, port } }
      : {
          problem:
            'must be a name or an address, with or without a port: host, host:9000, [::1]:9000',
        }
  },
}

const httpEndpoint: Kind<HttpEndpoint> = {
  placeholder: 'off|[address:]port',
  parse: (text) => {
    if (text === 'off') return { value: 'off' }
    const match = /^(?:\[([\da-fA-F:.%\w]+)\]:|([\d.]+):)?(\d{1,5})$/.exec(text)
    const ip = match?.[1] ?? match?.[2] ?? '127.0.0.1'
    const port = Number(match?.[3] ?? Number.NaN)
    return isIP(ip) !== 0 && port <= 65_535
      ? { value: { ip, port } }
      : {
          problem:
            'must be off, a port, or an IP address and a port: 9000, 0.0.0.0:9000, [::1]:9000',
        }
  },
}

const hostNames: Kind<readonly string[]> = {
  placeholder: 'name,…',
  parse: (text) => {
    const value = text.split(',').map((name) => name.trim().toLowerCase())
    return value.every((name) => /^[\w.-]{1,253}$/.test(name))
      ? { value }
      : { problem: 'must be a list of host names without ports, with commas between them' }
  },
}

type Row<Value, Default> = Omit<Option<unknown>, 'kind' | 'default'> & {
  readonly kind: Kind<Value>
  readonly default: Default
}

/**
 * Lets the compiler find the type of an option from its kind, and from whether there is a default.
 */
function option<Value, const Default extends Value | undefined>(
  row: Row<Value, Default>,
): Option<Value | Default> {
  return row
}

export const options = {
  port: option({
    isArgument: true,
    kind: integer('port', 0, 65_535),
    default: 9000,
    // Not TINYMQ_PORT: Kubernetes sets that one to tcp://… next to a service called tinymq.
    variable: 'TINYMQ_UDP_PORT',
    sentence: 'UDP port to listen on and to send from; 0 takes a free one.',
  }),
  database: option({
    isArgument: true,
    kind: path,
    default: defaultDatabase,
    variable: 'TINYMQ_DATABASE',
    sentence: 'SQLite file with the tables; made when it is not there.',
  }),
  create: option({
    kind: choice('auto', 'mounted', 'never'),
    default: 'auto',
    variable: 'TINYMQ_CREATE',
    sentence:
      'Whether a database is made where there is none: unless /etc/fstab has a volume there that ' +
      'is not mounted, only in a mounted volume, or never.',
  }),
  bind: option({
    kind: ipAddress,
    default: undefined,
    defaultText: 'all, IPv6 and IPv4',
    variable: 'TINYMQ_BIND',
    sentence: 'Address of this machine to listen on.',
  }),
  advertise: option({
    kind: hostAndPort,
    default: undefined,
    defaultText: 'where the packets come from',
    variable: 'TINYMQ_ADVERTISE',
    sentence: 'Where peers can answer: what their mqin shows as host and port.',
  }),
  keylessFrom: option({
    kind: choice('private', 'anywhere'),
    default: 'private',
    variable: 'TINYMQ_KEYLESS_FROM',
    sentence:
      'Who may send without a key: loopback, private, link-local and carrier-grade addresses ' +
      'only, or anybody.',
  }),
  keys: option({
    kind: path,
    default: undefined,
    defaultText: '/run/secrets/tinymq-keys if it is there',
    variable: 'TINYMQ_KEYS_FILE',
    sentence: 'File with the key ring: lines of name = key (tinymq keys --help).',
  }),
  keylessTokens: option({
    kind: tokens,
    default: [],
    defaultText: 'none',
    variable: 'TINYMQ_KEYLESS_TOKENS',
    sentence: 'With a key ring: tokens that are sent and taken without a key; "" is the empty one.',
  }),
  maxRate: option({
    kind: integer('bytes/s', 0, 1e12),
    default: 0,
    defaultText: '0, no limit',
    variable: 'TINYMQ_MAX_RATE',
    sentence: 'Bytes a second that this daemon sends to one peer at most.',
  }),
  http: option({
    kind: httpEndpoint,
    default: undefined,
    defaultText: '127.0.0.1 and the number of the UDP port',
    variable: 'TINYMQ_HTTP',
    sentence: 'Where the status page, /metrics, /healthz and /readyz are served over HTTP.',
  }),
  httpPasswordFile: option({
    kind: path,
    default: undefined,
    defaultText: '/run/secrets/tinymq-http-password if it is there',
    variable: 'TINYMQ_HTTP_PASSWORD_FILE',
    sentence: 'File with the password that HTTP asks for; beyond loopback there must be one.',
  }),
  httpNames: option({
    kind: hostNames,
    default: [],
    defaultText: 'localhost and literal addresses',
    variable: 'TINYMQ_HTTP_NAMES',
    sentence: 'Host names by which browsers and scrapers may ask for the page.',
  }),
  httpActions: option({
    kind: choice('off', 'on'),
    default: 'off',
    variable: 'TINYMQ_HTTP_ACTIONS',
    sentence: 'Whether the page may cancel, retry and redrive messages.',
  }),
  logLevel: option({
    kind: choice('debug', 'info', 'warn', 'error'),
    default: 'info',
    variable: 'TINYMQ_LOG_LEVEL',
    sentence: 'Least important lines to log.',
  }),
  logFormat: option({
    kind: choice('auto', 'text', 'json'),
    default: 'auto',
    variable: 'TINYMQ_LOG_FORMAT',
    sentence: 'How lines look on stderr; auto is text on a terminal, else JSON.',
  }),
}

export type OptionName = keyof typeof options

/** What the operator has chosen. */
export type Config = {
  readonly [Name in OptionName]: (typeof options)[Name] extends Option<infer Value> ? Value : never
}

/** What holds where the operator has chosen nothing. */
export function defaultConfig(): Config {
  const values = optionEntries().map(([name, row]) => [name, row.default])
  return Object.fromEntries(values) as Config
}

/** `[name, option]` of every option, in the order of the table. */
export function optionEntries(): [OptionName, Option<unknown>][] {
  return Object.entries(options) as [OptionName, Option<unknown>][]
}

/** How an option is written on the command line. */
export function optionLabel(name: OptionName): string {
  const row: Option<unknown> = options[name]
  if (row.isArgument === true) return name
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

export function defaultLabel(row: Option<unknown>): string {
  return row.defaultText ?? String(row.default)
}

/** The table of options that the README shows, in Markdown. */
export function optionsMarkdown(): string {
  const lines = optionEntries().map(([name, row]) => {
    const usage = row.isArgument === true ? name : `${optionLabel(name)} ${row.kind.placeholder}`
    const cells = [`\`${usage}\``, `\`${row.variable}\``, defaultLabel(row), row.sentence]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return ['| option | variable | default | |', '|---|---|---|---|', ...lines].join('\n')
}
