import { deepEqual, equal, ok } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { parse } from 'yaml'
import { AppBench } from '../../test/support/app-fixture.ts'
import { readExposition } from '../../test/support/exposition-grammar.ts'

const root = join(import.meta.dirname, '..', '..')
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Every name that /metrics gives when everything has happened once. */
async function metricNames(context: TestContext): Promise<Map<string, string>> {
  const bench = new AppBench(context)
  bench.db.exec(`
    INSERT INTO mqout (host, data) VALUES ('b', '');
    INSERT INTO mqlane (host, port, rtt_us) VALUES ('b', 9000, 1);
    INSERT INTO mqsender (database_id, stream, host, port, seen_at)
      VALUES (zeroblob(16), zeroblob(16), 'd', 9001, 1);`)
  bench.counters.sendsFailed['EPERM'] = 1
  bench.counters.receivesFailed['EPERM'] = 1
  bench.counters.events['lane-open'] = 1
  await bench.ask('/', { headers: { host: 'evil' } })
  const families = readExposition(await (await bench.ask('/metrics')).text())
  return new Map(families.map(({ name, help }) => [name, help]))
}

/** The names of metrics in PromQL. */
const namesIn = (text: string): string[] => [
  ...new Set(text.match(/\b(?:tinymq|process)_[a-z_]+\b/g)),
]

type Panel = { targets: { expr: string }[] }

test('every metric of the dashboard and of the alerts is one that /metrics gives', async (t) => {
  const names = await metricNames(t)
  const dashboard = JSON.parse(textOf('docker/grafana/dashboards/tinymq.json')) as {
    panels: Panel[]
    templating: { list: { query: { query: string } }[] }
  }
  const { groups } = parse(textOf('docker/prometheus/alerts.yaml')) as {
    groups: { rules: { expr: string }[] }[]
  }
  const expressions = [
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.map(({ query }) => query.query),
    ...groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
  ]
  const used = namesIn(expressions.join(' '))
  ok(used.length > 15)
  const unknown = used.filter(
    (name) => !names.has(name) && !names.has(name.replace(/_bucket$/, '')),
  )
  deepEqual(unknown, [])
})

test('the compose file, the scrape and Grafana fit together', () => {
  type Service = { volumes?: string[]; environment: Record<string, string>; secrets: string[] }
  const compose = parse(textOf('compose.observe.yaml'), { merge: true }) as {
    services: { [name: string]: Service & { ports: string[]; profiles?: string[] } }
    secrets: object
  }
  const { tinymq, prometheus, grafana } = compose.services
  const scrape = parse(textOf('docker/prometheus/prometheus.yaml')) as {
    scrape_configs: {
      basic_auth: { password_file: string }
      static_configs: { targets: string[] }[]
    }[]
  }
  const [job] = scrape.scrape_configs
  deepEqual(job?.static_configs[0]?.targets, ['tinymq:9000'])
  deepEqual(
    [tinymq?.environment['TINYMQ_HTTP'], tinymq?.environment['TINYMQ_HTTP_NAMES']],
    ['0.0.0.0:9000', 'tinymq'],
  )
  equal(job?.basic_auth.password_file, tinymq?.environment['TINYMQ_HTTP_PASSWORD_FILE'])
  for (const service of [tinymq, prometheus, grafana]) {
    deepEqual(service?.secrets, Object.keys(compose.secrets))
    // Nothing is published beyond this host.
    for (const port of service?.ports ?? []) ok(port.startsWith('127.0.0.1:'), port)
    for (const volume of service?.volumes ?? []) {
      ok(existsSync(join(root, volume.split(':')[0] ?? '')), volume)
    }
  }
  deepEqual([prometheus?.profiles, grafana?.profiles], [['metrics'], ['metrics']])
  const source = parse(textOf('docker/grafana/provisioning/datasources/prometheus.yaml')) as {
    datasources: { uid: string; url: string }[]
  }
  equal(source.datasources[0]?.url, 'http://prometheus:9090')
  const dashboard = textOf('docker/grafana/dashboards/tinymq.json')
  const uids = Array.from(dashboard.matchAll(/"uid": "([^"]+)"/g), ([, uid]) => uid)
  deepEqual(new Set(uids), new Set(['tinymq', source.datasources[0]?.uid]))
})

test('docs/observability.md has the table of the metrics as they are', async (t) => {
  const rows = Array.from(await metricNames(t), ([name, help]) => `| \`${name}\` | ${help} |`)
  ok(textOf('docs/observability.md').includes(rows.join('\n')), `\n${rows.join('\n')}\n`)
})
