/**
 * With which number a program of tinymq ends because of an error: those of sysexits.h, and stable.
 * The whole table is in daemon/start-error.ts and docs/cli.md.
 */
import type { TinymqErrorCode } from './errors.ts'

/** The command line is wrong. */
export const exitUsage = 64
/** A bug of ours. */
export const exitBug = 70
/** A disk is full or broken. */
export const exitIo = 74
/** Ctrl-C came while something was being printed. */
export const exitInterrupted = 130
/** Nobody reads stdout any more: what a shell reports of a program that SIGPIPE has ended. */
export const exitReaderGone = 141
/** The answer to what was asked is no: not healthy, no such row. */
export const exitNo = 1

const exitCodes: { readonly [Code in TinymqErrorCode]?: number } = {
  TINYMQ_BAD_ARGUMENT: exitUsage,
  TINYMQ_NOT_A_DATABASE: 65,
  TINYMQ_CORRUPT: 65,
  TINYMQ_FOREIGN_TABLE: 65,
  TINYMQ_BAD_ENCODING: 65,
  TINYMQ_NO_DATABASE: 66,
  TINYMQ_NO_TABLES: 66,
  TINYMQ_UNSAFE_FILESYSTEM: 72,
  TINYMQ_DISK_FULL: exitIo,
  TINYMQ_IO: exitIo,
  TINYMQ_CANNOT_OPEN: exitIo,
  TINYMQ_SQLITE: exitIo,
  TINYMQ_BUSY: 75,
  TINYMQ_SCHEMA_NEWER: 76,
  TINYMQ_READ_ONLY: 77,
  TINYMQ_NODE_TOO_OLD: 78,
  TINYMQ_NO_DRIVER: 78,
}

/** Undefined for what only the caller of a function can have done. */
export function exitCodeOfTinymq(code: TinymqErrorCode): number | undefined {
  return exitCodes[code]
}
