/**
 * What the operator reads when the files of the database are lost. Must never look at them.
 */
import { dirname } from 'node:path'
import { unreachable } from '../../protocol/assert.ts'
import type { Loss } from '../../store/thread/salvage.ts'
import { StartError } from '../start-error.ts'
import { withoutFullStop } from '../../../sdk/schema/errors.ts'

/** For the log and for `mqevent` of the file that is there now. */
export function replacedSentence(loss: Loss): string {
  const sentence =
    'The database file was removed or replaced: the daemon goes on with the file that is there now.'
  return [sentence, copySentence(loss)].filter((part) => part !== '').join(' ')
}

/** Why the daemon ends. */
export function lostError(path: string, loss: Loss): StartError {
  switch (loss.what) {
    case 'log':
      return new StartError('TINYMQ_LOG_REMOVED', logSentence(path, loss))
    case 'database':
      return new StartError('TINYMQ_DATABASE_REMOVED', removedSentence(path, loss))
    case 'directory':
      return new StartError(
        'TINYMQ_VOLUME_GONE',
        `The directory ${dirname(path)} is gone, or is another one without the database: its ` +
          'volume was unmounted, or it was renamed. The rows are where it is now. Mount it or ' +
          'rename it back, then start the daemon.',
      )
    default:
      return unreachable(loss.what)
  }
}

function logSentence(path: string, loss: Loss): string {
  const sentence =
    `The -wal or -shm of ${path} was removed or replaced while the daemon used it. Nothing was ` +
    'confirmed after that.'
  const rest =
    'End the programs that have the database open, for what they write now is lost; then start ' +
    'the daemon.'
  const saved =
    loss.copy === undefined && loss.problem === undefined
      ? 'All that the daemon had is in the database.'
      : `Another program has written without that log since. ${copySentence(loss)}`
  return `${sentence} ${saved} ${rest}`
}

function removedSentence(path: string, loss: Loss): string {
  const sentence = `The database ${path} was removed while the daemon used it.`
  const { copy } = loss
  if (copy === undefined) {
    return `${sentence} ${problemSentence(loss)}Put it back, or start the daemon for an empty one.`
  }
  return (
    `${sentence} Its rows are in ${copy}. To go on with them, move that file to ${path} and ` +
    'start the daemon; started without it, it begins an empty one.'
  )
}

function copySentence({ copy, problem }: Loss): string {
  if (copy !== undefined) return `What the daemon had is in ${copy} (docs/operations.md).`
  return problem === undefined ? '' : problemSentence({ problem }).trim()
}

const problemSentence = ({ problem }: Pick<Loss, 'problem'>): string =>
  problem === undefined ? '' : `What was in it could not be saved: ${withoutFullStop(problem)}. `
