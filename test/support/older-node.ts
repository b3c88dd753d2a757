/**
 * Older versions of Node.js, from the registry that `npm ci` was served by: on the platforms that
 * it has them for. Each is fetched once, and then kept until the next `npm ci`.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const system = `${process.platform}-${process.arch}`
const cache = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'older-node')
const installMs = 300_000

/** What `engines` in package.json promises; undefined where there is none for this system. */
export const oldestNode = ['linux-x64', 'linux-arm64'].includes(system) ? '22.14.0' : undefined

/** The versions to try: the oldest that is supported, and two that are too old. */
export const olderNodes = oldestNode === undefined ? [] : [oldestNode, '20.19.0', '18.9.1']

/** The program of this version, which is installed if it is not there yet. */
export async function nodeProgram(version: string): Promise<string> {
  if (version === process.versions.node) return process.execPath
  const directory = join(cache, version)
  if (!existsSync(directory)) await install(version, directory)
  return join(directory, 'node_modules', 'node', 'bin', 'node')
}

async function install(version: string, directory: string): Promise<void> {
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, 'new-'))
  writeFileSync(join(fresh, 'package.json'), '{"private":true}')
  const options = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--no-package-lock']
  const alias = `node@npm:node-${system}@${version}`
  await promisify(execFile)('npm', [...options, alias], { cwd: fresh, timeout: installMs })
  // Another test may have been quicker.
  if (existsSync(directory)) rmSync(fresh, { recursive: true })
  else renameSync(fresh, directory)
}
