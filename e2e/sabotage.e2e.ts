/** `npm run e2e:sabotage`: what a clean link is enough to notice. */
import { faults } from './faults.ts'
import { testFaults } from './sabotage.ts'

testFaults(faults, 60)
