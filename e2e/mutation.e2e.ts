/** `npm run e2e:mutation`: what a clean link is enough to notice. */
import { faults } from './faults.ts'
import { testFaults } from './mutation.ts'

// A session that rests for 60 s is closed, and the next one finds what was overlooked.
testFaults(faults, 45)
