/** The place of the database: directory, file system, mounts, space. Must never change anything. */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { TinymqError } from '../../sdk/errors.ts'
import { cleanupWarning } from '../cleanup.ts'
import { checkPlace, realPath, type Surroundings } from '../database-file.ts'
import { volatilityOf } from '../mounts.ts'
import { StartError } from '../start-error.ts'
import { errorFinding, okFinding, splitAdvice, warnFinding, type Finding } from './finding.ts'

const about = 'directory'
const spaceMin = 64 * 1024 ** 2
const spacePartMin = 0.05

export function placeFindings(path: string, around: Surroundings): Finding[] {
  try {
    checkPlace(path, around)
  } catch (error) {
    return [refusal(error)]
  }
  const directory = dirname(realPath(path))
  const lost = volatilityOf(realPath(path), around.mounts, around.isContainer)
  const place =
    lost === undefined
      ? okFinding(
          about,
          `${directory} can be written, and its file system keeps SQLite's promises.`,
        )
      : lossWarning(lost)
  const cleanup = cleanupWarning(realPath(path))
  const cleaned = cleanup === undefined ? [] : [lossWarning(cleanup)]
  return [place, ...cleaned, spaceFinding(directory)]
}

function lossWarning(text: string): Finding {
  const { sentence, fix } = splitAdvice(text)
  return warnFinding(about, `${sentence}.`, fix)
}

function refusal(error: unknown): Finding {
  if (error instanceof StartError) {
    const { sentence, fix } = splitAdvice(error.message)
    return errorFinding(about, `${sentence} (${error.code}).`, fix)
  }
  if (error instanceof TinymqError) {
    return errorFinding(about, `${error.message} (${error.code})`, error.hint)
  }
  throw error
}

function spaceFinding(directory: string): Finding {
  const { bavail, blocks, bsize, ffree, files } = statfsSync(directory)
  const free = bavail * bsize
  const said = `${Math.floor(free / 1024 ** 2)} MiB free, ${percent(bavail, blocks)} of the disk`
  const fix = 'Free space, or move the database: without space nothing can be received or numbered.'
  if (files > 0 && ffree === 0)
    return errorFinding('disk', 'It has no inode left for a new file.', fix)
  if (free < spaceMin) return errorFinding('disk', `${said}.`, fix)
  return bavail < blocks * spacePartMin
    ? warnFinding('disk', `${said}.`, fix)
    : okFinding('disk', `${said}.`)
}

const percent = (part: number, whole: number): string =>
  `${whole === 0 ? 0 : Math.round((100 * part) / whole)} %`
