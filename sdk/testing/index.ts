/**
 * `tinymq/testing/containers`, for tests of programs that use tinymq: a daemon in a container, and
 * a lab of machines whose network can be made as bad as networks are. It takes Docker, and the
 * packages testcontainers (for `TinymqContainer`) and dockerode (for the lab), which are optional
 * peers of tinymq.
 */

export { attachLab, type Lab } from './lab.ts'
export type { CommandResult } from './docker-command.ts'
export type { DatabaseCopy, LabMachine, StartOptions } from './lab-machine.ts'
export { listLabs, removeLab } from './lab-removal.ts'
export { describeLink, type LinkConditions } from './link.ts'
export { type LabOptions, type MachineOptions, startLab } from './start-lab.ts'
export { type StartedTinymqContainer, TinymqContainer } from './tinymq-container.ts'
export type { LinkState } from './wire.ts'
