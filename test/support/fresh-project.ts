/** A project of somebody who has installed the package: packed, and put in by npm. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')

export const installMs = 300_000

/** Makes the project, with other packages besides; the caller removes its directory. */
export async function freshProject(...packages: readonly string[]): Promise<string> {
  const project = mkdtempSync(join(tmpdir(), 'tinymq-package-'))
  await run('npm', ['pack', '--pack-destination', project], { cwd: root })
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  writeFileSync(join(project, 'package.json'), '{"name":"fresh","private":true}')
  const options = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--no-package-lock']
  await run('npm', [...options, `./tinymq-${version}.tgz`, ...packages], {
    cwd: project,
    timeout: installMs,
  })
  return project
}
