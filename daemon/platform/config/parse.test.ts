import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseConfig, type Environment } from './parse.ts'
import { optionEntries, optionsMarkdown, type Config } from './options.ts'
import { StartError } from '../start-error.ts'

function configOf(args: readonly string[], environment: Environment = {}): Config {
  const line = parseConfig(args, environment)
  ok(line.type === 'run')
  return line.config
}

function problemsOf(args: readonly string[], environment: Environment = {}): string {
  try {
    parseConfig(args, environment)
  } catch (error) {
    ok(error instanceof StartError)
    equal(error.code, 'TINYMQ_INVALID_OPTION')
    return error.message
  }
  return ''
}

test('without a word every option has its default', () => {
  deepEqual(configOf([]), {
    port: 9000,
    database: '/var/lib/tinymq/tinymqdb',
    create: 'auto',
    bind: undefined,
    advertise: undefined,
    keylessFrom: 'private',
    keys: undefined,
    keylessTokens: [],
    maxRate: 0,
    http: undefined,
    httpPasswordFile: undefined,
    httpNames: [],
    httpActions: 'off',
    logLevel: 'info',
    logFormat: 'auto',
  })
})

test('port and database go by their place, as in the original', () => {
  const config = configOf(['9001', '/srv/queue'])
  deepEqual([config.port, config.database], [9001, '/srv/queue'])
})

test('the command line counts before the environment, the environment before the default', () => {
  const environment = { TINYMQ_LOG_LEVEL: 'debug', TINYMQ_UDP_PORT: '9002', TINYMQ_BIND: '' }
  const config = configOf(['9001'], environment)
  deepEqual([config.port, config.logLevel, config.bind], [9001, 'debug', undefined])
})

test('every option is taken from its flag and from its variable', () => {
  const args = ['1', 'x', '--bind=[::1]', '--advertise', 'MachineA:9', '--keyless-from', 'anywhere']
  args.push('--create', 'never')
  args.push('--keys', '/run/ring', '--keyless-tokens', 'a, "",b,a')
  args.push('--http', '0.0.0.0:80', '--http-password-file', '/run/pw')
  args.push('--http-names', 'Ops.example, b', '--http-actions', 'on')
  args.push('--max-rate', '1000', '--log-level=warn', '--log-format', 'json')
  const environment = {
    TINYMQ_UDP_PORT: '1',
    TINYMQ_DATABASE: 'x',
    TINYMQ_CREATE: 'never',
    TINYMQ_BIND: '::1',
    TINYMQ_ADVERTISE: 'MachineA:9',
    TINYMQ_KEYLESS_FROM: 'anywhere',
    TINYMQ_KEYS_FILE: '/run/ring',
    TINYMQ_KEYLESS_TOKENS: 'a,"",b',
    TINYMQ_MAX_RATE: '1000',
    TINYMQ_HTTP: '0.0.0.0:80',
    TINYMQ_HTTP_PASSWORD_FILE: '/run/pw',
    TINYMQ_HTTP_NAMES: 'ops.example,b',
    TINYMQ_HTTP_ACTIONS: 'on',
    TINYMQ_LOG_LEVEL: 'warn',
    TINYMQ_LOG_FORMAT: 'json',
  }
  deepEqual(Object.keys(environment).length, optionEntries().length)
  deepEqual(configOf(args), configOf([], environment))
  deepEqual(configOf(args).advertise, { host: 'MachineA', port: 9 })
  deepEqual(configOf(args).keylessTokens, ['a', '', 'b'])
})

test('HTTP is off, a port of this machine, or an address and a port', () => {
  const places = ['off', '8080', '10.0.0.1:80', '[::1]:9', '0'].map(
    (text) => configOf(['--http', text]).http,
  )
  deepEqual(places, [
    'off',
    { ip: '127.0.0.1', port: 8080 },
    { ip: '10.0.0.1', port: 80 },
    { ip: '::1', port: 9 },
    { ip: '127.0.0.1', port: 0 },
  ])
  for (const text of ['', 'on', 'host:80', '::1:80', '70000', '1.2.3:80', '[::1]']) {
    ok(problemsOf(['--http', text]).includes('--http must be off, a port'), text)
  }
  ok(problemsOf(['--http-names', 'a:80']).includes('--http-names must be a list'))
})

test('an advertised address may be a name, IPv4 or IPv6, with or without a port', () => {
  const advertised = ['host', '10.0.0.1:9', 'fe80::1', '[fe80::1%eth0]:9'].map(
    (text) => configOf(['--advertise', text]).advertise,
  )
  deepEqual(advertised, [
    { host: 'host', port: undefined },
    { host: '10.0.0.1', port: 9 },
    { host: 'fe80::1', port: undefined },
    { host: 'fe80::1%eth0', port: 9 },
  ])
  for (const text of ['', ':9', 'a b', 'host:0', 'host:65536', '[::1']) {
    ok(problemsOf(['--advertise', text]).includes('--advertise must be'), text)
  }
})

test('all problems are reported at once', () => {
  const args = ['70000', 'x', 'y', '--nope', '--log-level', 'loud', '--bind', 'here']
  const text = problemsOf(args, { TINYMQ_MAX_RATE: '-1' })
  for (const words of [
    'port must be a whole number from 0 to 65535, not "70000"',
    'y: one argument too many',
    '--nope: there is no such option',
    '--log-level must be one of debug, info, warn, error, not "loud"',
    '--bind must be an IP address',
    'TINYMQ_MAX_RATE must be a whole number',
  ]) {
    ok(text.includes(words), `${words}\n${text}`)
  }
})

test('variables that are not ours stop nothing, and are named', () => {
  const environment = { TINYMQ_UID: '1000', TINYMQ_LOGLEVEL: 'debug', TINYMQ_MAX_RATE: '5', T: '1' }
  const line = parseConfig([], environment)
  ok(line.type === 'run')
  deepEqual(line.ignored, ['TINYMQ_UID', 'TINYMQ_LOGLEVEL'])
  deepEqual([line.config.logLevel, line.config.maxRate], ['info', 5])
})

test('a flag without its value is a problem, not a crash', () => {
  ok(problemsOf(['--bind']).includes("'--bind <address>' argument missing"))
})

test('what Kubernetes says about a service called tinymq is not ours', () => {
  const environment = {
    TINYMQ_SERVICE_HOST: '10.0.0.1',
    TINYMQ_SERVICE_PORT: '9000',
    TINYMQ_PORT: 'udp://10.0.0.1:9000',
    TINYMQ_PORT_9000_UDP_ADDR: '10.0.0.1',
    TINYMQ_NODE_SERVICE_HOST: '10.0.0.1',
  }
  deepEqual(configOf([], environment), configOf([]))
})

test('--help names every option, its default and its variable, whatever else is reported', () => {
  const line = parseConfig(['9000', '--help'], { TINYMQ_NOPE: '' })
  ok(line.type === 'help')
  for (const [name, row] of optionEntries()) {
    ok(line.text.includes(row.variable), name)
    ok(optionsMarkdown().includes(`\`${row.variable}\``), name)
  }
})

test('the README shows the table of options as it is', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
  ok(readme.includes(optionsMarkdown()), optionsMarkdown())
})

test('nothing is read from a file or opened', () => {
  throws(() => parseConfig(['--database', 'x'], {}), StartError)
  equal(configOf(['9000', '/no/such/directory/x']).database, '/no/such/directory/x')
})
