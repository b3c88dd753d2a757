/**
 * A lab for the e2e: machines in containers whose network can be made as bad as networks are. It
 * takes Docker and dockerode. Must never be published: users have `tinymq/testing`.
 */

export { attachLab, type Lab } from './lab.ts'
export type { CommandResult } from './docker-command.ts'
export type { DatabaseCopy, LabMachine, StartOptions } from './lab-machine.ts'
export { listLabs, removeLab } from './lab-removal.ts'
export { describeLink, type LinkConditions } from '../../sdk/testing/link.ts'
export { type LabOptions, type MachineOptions, startLab } from './start-lab.ts'
export type { LinkState } from './wire.ts'
