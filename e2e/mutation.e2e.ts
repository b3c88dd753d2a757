/** `npm run e2e:mutation`: what a clean link is enough to notice. */
import { faults } from './faults.ts'
import { testFaults } from './mutation.ts'

testFaults(faults, 60)
