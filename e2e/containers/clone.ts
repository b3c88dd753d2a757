/**
 * A fresh clone of this tree as an ordinary user has it on his machine: what git holds or would
 * hold, owned by him, with the certificate that this machine's TLS needs. Must never write to the
 * tree itself.
 */
import { chmodSync, cpSync, lchownSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listPaths } from '../../tools/lint/source.ts'
import { baseImage, outcomeOf, output } from './command.ts'

const root = join(import.meta.dirname, '..', '..')

/** Who clones: whoever runs the stories, or when that is root, the user 1000. */
const isRoot = process.getuid?.() === 0
export const uid = isRoot ? 1000 : (process.getuid?.() ?? 1000)
export const gid = isRoot ? 1000 : (process.getgid?.() ?? 1000)

/** The words to run a program by as that user. */
export const asUser: readonly string[] = isRoot
  ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
  : []

export class Clone {
  readonly directory: string
  readonly base: string

  private constructor(base: string) {
    this.base = base
    this.directory = mkdtempSync(join(tmpdir(), 'tinymq-clone-'))
    chmodSync(this.directory, 0o755)
    for (const path of [...listPaths(root, 'tracked'), ...listPaths(root, 'untracked')]) {
      cpSync(join(root, path), join(this.directory, path))
    }
    // As e2e/images does it, so that the engine finds the steps of that build again.
    const { SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env
    const certificates = SSL_CERT_FILE || NODE_EXTRA_CA_CERTS
    if (certificates !== undefined && certificates !== '') {
      cpSync(certificates, join(this.directory, 'docker', 'ca', 'this-machine.crt'))
    }
    if (isRoot) this.#giveToUser()
  }

  static async make(): Promise<Clone> {
    return new Clone(await baseImage(readFileSync(join(root, 'docker', 'Dockerfile'), 'utf8')))
  }

  #giveToUser(): void {
    lchownSync(this.directory, uid, gid)
    for (const path of readdirSync(this.directory, { recursive: true, encoding: 'utf8' })) {
      lchownSync(this.path(path), uid, gid)
    }
  }

  path(path: string): string {
    return join(this.directory, path)
  }

  /** The image of the tree as it stands. */
  async build(tag: string): Promise<void> {
    const args = ['--build-arg', `BASE=${this.base}`, '--file', 'docker/Dockerfile', '--tag', tag]
    await output(['docker', 'build', ...args, '.'], { cwd: this.directory })
  }

  /** Containers may have left files of any user: what this one may not remove, one of them does. */
  async remove(image: string): Promise<void> {
    const mount = `${this.directory}:/clone`
    const words = ['--rm', '--network=none', '--user=0', `--volume=${mount}`, '--entrypoint=find']
    await outcomeOf(['docker', 'run', ...words, image, '/clone', '-mindepth', '1', '-delete'])
    await output(['rm', '-rf', this.directory])
  }
}
