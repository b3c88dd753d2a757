/**
 * The scenarios that are played with a fault at each of their statements. Must never be used
 * outside tests.
 */
import type { Play, Stage } from './fixture.ts'

/** A table says whether it rejects: to make and drop a trigger compiles every statement again. */
const picky = `CREATE TABLE mood (bad INTEGER);
  CREATE TRIGGER picky BEFORE INSERT ON mqin
  WHEN NEW.token = 'bad' AND EXISTS (SELECT 1 FROM mood)
  BEGIN SELECT RAISE(ABORT, 'not this one'); END`

export const plays: readonly Play[] = [
  {
    name: 'rows for two peers, and both ways at once',
    act: (stage) => {
      const { a, b } = stage
      for (const host of ['b', 'c', 'b', 'c', 'b']) stage.send(a, host)
      stage.send(b, 'a')
      stage.transfer()
    },
  },
  {
    name: 'rows that come while lanes are open',
    act: (stage) => {
      const { a } = stage
      for (const host of ['b', 'c']) stage.send(a, host)
      stage.transfer(4)
      for (let row = 0; row < 3; row++) for (const host of ['c', 'b']) stage.send(a, host)
      stage.transfer(3)
      stage.send(a, 'b')
      stage.transfer()
    },
  },
  {
    name: 'a row that is rejected, parked and tried again',
    stride: 5,
    prepare: ({ b }) => void b.user.exec(picky),
    act: (stage) => {
      const { a, b } = stage
      stage.send(a, 'b')
      b.user.exec('INSERT INTO mood VALUES (1)')
      stage.send(a, 'c')
      const number = stage.send(a, 'b', '', 'bad')
      stage.forget(number)
      stage.send(a, 'b')
      stage.expect('b', `${number}:`)
      stage.transfer(12)
      b.user.exec('DELETE FROM mood')
    },
    events: ['PARKED', 'RELEASED', 'TINYMQ_REFUSED'],
  },
  {
    name: 'rows that are sent elsewhere before they have left',
    act: (stage) => {
      const { a } = stage
      const numbers = [stage.send(a, 'x'), stage.send(a, 'x')]
      stage.send(a, 'b')
      stage.transfer(3)
      a.user.exec("UPDATE mqout SET host = 'c' WHERE host = 'x'")
      for (const number of numbers) {
        stage.forget(number)
        stage.expect('c', `${number}:`)
      }
      stage.transfer()
    },
  },
  {
    name: 'a receiver that dies, so that its session is superseded or begun again',
    stride: 5,
    act: (stage) => {
      const { a, b } = stage
      for (let row = 0; row < 3; row++) stage.send(a, 'b')
      stage.transfer(4, 100)
      stage.crash(a)
      stage.transfer(3)
      stage.crash(b)
      stage.transfer()
    },
  },
  {
    name: 'a large row between small ones',
    stride: 5,
    act: (stage) => {
      const { a } = stage
      stage.send(a, 'b')
      stage.send(a, 'b', 'large'.repeat(60_000))
      stage.send(a, 'c')
      stage.send(a, 'b')
      stage.transfer()
    },
  },
  {
    name: 'a sender that was restored from before it sent',
    stride: 5,
    act: (stage) => {
      const { a } = stage
      stage.send(a, 'b')
      stage.send(a, 'c')
      stage.send(a, 'b')
      const backup = `${a.path}-backup`
      a.backup(backup)
      stage.transfer()
      stage.restore(a, backup)
      stage.transfer()
    },
    events: ['SELF_ROLLED_BACK'],
  },
  {
    name: 'a receiver that was restored from before it received',
    stride: 5,
    act: (stage) => {
      const { a, b } = stage
      const backup = `${b.path}-backup`
      b.backup(backup)
      const lost = stage.send(a, 'b')
      stage.transfer(8)
      stage.forget(lost)
      stage.restore(b, backup)
      stage.send(a, 'b')
      stage.transfer()
    },
    events: ['PEER_ROLLED_BACK', 'INBOX_ROLLED_BACK'],
  },
  {
    name: "a trigger of the owner's that replaces a row in the turn that numbers it",
    prepare: ({ a }) => {
      a.user.exec(`CREATE TABLE mine (number INTEGER, id INTEGER);
        CREATE TRIGGER mine AFTER INSERT ON mqin BEGIN
          INSERT OR REPLACE INTO mqout (id, host, data)
            SELECT id, 'b', number || ':of the trigger' FROM mine;
        END`)
    },
    act: replaceWithTrigger,
  },
]

function replaceWithTrigger(stage: Stage): void {
  const { a, b } = stage
  const number = stage.send(a, 'b')
  stage.transfer(1)
  const mine = stage.nextNumber()
  stage.replace(number)
  stage.expect('b', `${mine}:of the trigger`)
  a.user.exec('DELETE FROM mine')
  a.user
    .prepare('INSERT INTO mine SELECT CAST(? AS INTEGER), id FROM mqout WHERE data = ?')
    .run(mine, `${number}:`)
  stage.send(b, 'a')
  stage.transfer()
}
