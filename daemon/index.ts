/**
 * `tinymq/daemon`: a daemon inside a program of your own. Importing it starts nothing.
 */
export { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts'
export { createLog, type Log, type LogLine } from './platform/log.ts'
export type { Config } from './platform/config/options.ts'
export { StartError, type StartErrorCode } from './platform/start-error.ts'
