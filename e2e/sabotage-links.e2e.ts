/** `npm run e2e:sabotage`: what takes a bad link or a full disk to notice. */
import { faultsOnLinks } from './faults.ts'
import { testFaults } from './sabotage.ts'

testFaults(faultsOnLinks, 120)
