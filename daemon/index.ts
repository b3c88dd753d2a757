/**
 * `tinymq/daemon`: a daemon inside a program of your own. Importing it starts nothing.
 */
export { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts'
export { createLog, type Log, type LogLine } from './log.ts'
export type { Config } from './options.ts'
export { StartError, type StartErrorCode } from './start-error.ts'
