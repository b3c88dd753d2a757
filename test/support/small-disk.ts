/**
 * A small file system for one machine: a tmpfs in a mount namespace that the daemon has for itself,
 * so that it goes away with the daemon, however the test ends. It takes root and Linux.
 */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MachineOptions } from './machine.ts'

type SmallDisk = {
  readonly directory: string
  /** For the machine whose database is there. */
  readonly machine: Pick<MachineOptions, 'database' | 'prefix' | 'shellPrefix'>
}

/** A disk of this size in a directory of the test, for the machine of this name. */
export function smallDisk(inDirectory: string, name: string, mebibytes: number): SmallDisk {
  const directory = join(inDirectory, 'small')
  mkdirSync(directory)
  const database = join(directory, `${name}.db`)
  const prefix = onSmallDisk(directory, mebibytes)
  return { directory, machine: { database, prefix, shellPrefix: besideProcess } }
}

/** The words to run a program by, in a namespace where `directory` is a tmpfs of this size. */
function onSmallDisk(directory: string, mebibytes: number): string[] {
  const script = `mount -t tmpfs -o size=${mebibytes}m tmpfs "$0" && exec "$@"`
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, directory]
}

/** The words to run another program by in the namespace of process `pid`. */
export function besideProcess(pid: number): string[] {
  return ['nsenter', `--mount=/proc/${pid}/ns/mnt`, '--']
}

/** A file that fills the disk of process `pid`, and a function that removes it. */
export function fillDisk(pid: number, directory: string, mebibytes: number): () => void {
  const ballast = `/proc/${pid}/root${directory}/ballast`
  writeFileSync(ballast, Buffer.alloc(mebibytes * 1_048_576))
  return () => rmSync(ballast)
}

/** The same, until nothing fits any more. */
export function fillDiskWhole(pid: number, directory: string): () => void {
  const ballast = `/proc/${pid}/root${directory}/ballast`
  for (const bytes of [1_048_576, 4_096, 1]) {
    try {
      for (;;) appendFileSync(ballast, Buffer.alloc(bytes))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  return () => rmSync(ballast)
}
