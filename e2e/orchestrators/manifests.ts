/**
 * Checks Kubernetes manifests without a cluster, with what the Kubernetes project publishes:
 * kubectl builds them and reads them into the types of its own version, and the schema of the API
 * says what must and may be there. Neither knows what only a server checks, such as the range of a
 * number. Must never talk to a cluster.
 */
import { isDeepStrictEqual } from 'node:util'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { parseAllDocuments } from 'yaml'
import { output, run } from './command.ts'

type Json = null | boolean | number | string | readonly Json[] | JsonObject
type JsonObject = { readonly [key: string]: Json | undefined }

/** A manifest that can be sent to a cluster. */
export type Manifest = JsonObject & { readonly apiVersion: string; readonly kind: string }

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
const tools = join(cache, 'tinymq-e2e', 'kubernetes')
const kubectl = join(tools, 'usr', 'bin', 'kubectl')
const schemas = join(tools, 'usr/share/gocode/src/k8s.io/client-go/openapi/openapitest/testdata')

/** Why manifests cannot be checked here, and what to do; undefined when they can. */
export function manifestsObstacle(): string | undefined {
  if (existsSync(kubectl) && existsSync(schemas)) return undefined
  return `there is no kubectl in ${tools}: run e2e/orchestrators/kubernetes-tools`
}

/** Where no cluster answers, whatever the user has configured. */
const environment = { KUBECONFIG: '/dev/null' }

/** As `v1.32.3`. */
export async function kubectlVersion(): Promise<string> {
  const text = await output([kubectl, 'version', '--client', '--output=json'], { environment })
  const { clientVersion } = JSON.parse(text) as { clientVersion: { gitVersion: string } }
  return clientVersion.gitVersion
}

/** What `kubectl kustomize` makes of a directory. @throws Error with its complaint. */
export async function kustomize(directory: string): Promise<Manifest[]> {
  return manifestsOf(await output([kubectl, 'kustomize', directory], { environment }))
}

/** The documents of a YAML file. @throws Error for what is not YAML. */
export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    return document.toJS() as Manifest
  })
}

/** What is wrong with a manifest, one sentence a problem. */
export async function problemsOf(manifest: Manifest): Promise<string[]> {
  const problems = schemaProblems(manifest)
  return hasPods(manifest) ? [...problems, ...(await typeProblems(manifest))] : problems
}

function schemaProblems(manifest: Manifest): string[] {
  const validate = validatorOf(manifest)
  if (validate(manifest)) return []
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    `${instancePath} ${message ?? 'is wrong'} ${JSON.stringify(params)}`.trim(),
  )
}

const validators = new Map<string, ValidateFunction>()

function validatorOf({ apiVersion, kind }: Manifest): ValidateFunction {
  const key = `${apiVersion} ${kind}`
  const known = validators.get(key)
  if (known !== undefined) return known
  const file = `${apiVersion.includes('/') ? 'apis' : 'api'}__${apiVersion.replace('/', '__')}`
  const text = readFileSync(join(schemas, `${file}_openapi.json`), 'utf8')
  const { components } = JSON.parse(text, closed) as { components: { schemas: JsonObject } }
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', 'v1']
  const $ref = `#/components/schemas/io.k8s.api.${group}.${version}.${kind}`
  // Their formats only name the widths of numbers and the like.
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  const validator = ajv.compile({ $ref, components })
  validators.set(key, validator)
  return validator
}

/** A server rejects fields that it does not know; JSON Schema does so only when it is asked to. */
function closed(_key: string, value: Json): Json {
  const isClosed =
    value !== null &&
    typeof value === 'object' &&
    'properties' in value &&
    'type' in value &&
    value.type === 'object' &&
    !('additionalProperties' in value)
  return isClosed ? { ...value, additionalProperties: false } : value
}

const hasPods = ({ kind }: Manifest): boolean => ['DaemonSet', 'Deployment'].includes(kind)

/**
 * kubectl reads what has pods into its own types to change the image in it: what they do not know
 * is lost on the way, and what is of the wrong type is an error.
 */
async function typeProblems(manifest: Manifest): Promise<string[]> {
  const image = 'read/by:kubectl'
  const command = [kubectl, 'set', 'image', '--local', '--filename=-', `*=${image}`]
  const input = JSON.stringify(manifest)
  const read = await run([...command, '--output=json'], { input, environment })
  if (read.exitCode !== 0) return [read.stderr.trim()]
  const named = (key: string, value: Json): Json => (key === 'image' ? image : value)
  const given = filled(JSON.parse(input, named) as Json)
  const kept = filled(JSON.parse(read.stdout) as Json)
  if (isDeepStrictEqual(given, kept)) return []
  return [`kubectl does not know all of it, and keeps only ${JSON.stringify(kept)}`]
}

/** Without nulls, empty objects and the status, which kubectl adds. */
function filled(value: Json | undefined): Json | undefined {
  if (value === null || value === undefined || typeof value !== 'object') return value ?? undefined
  if (Array.isArray(value)) return value.map((item: Json) => filled(item) ?? null)
  const entries = Object.entries(value)
    .filter(([key]) => key !== 'status')
    .map(([key, inner]) => [key, filled(inner)] as const)
    .filter(([, inner]) => inner !== undefined)
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}
