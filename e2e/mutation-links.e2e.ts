/** `npm run e2e:mutation`: what takes a bad link or a full disk to notice. */
import { faultsOnLinks } from './faults.ts'
import { testFaults } from './mutation.ts'

testFaults(faultsOnLinks, 120)
