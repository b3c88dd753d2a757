import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { containerAdvice, ownUserNamespace, UserNamespace } from './database-path.ts'

const all = '         0          0 4294967295\n'
/** dockerd --userns-remap. */
const remapped = '         0     200000      65536\n'
/** An engine of user 1000. */
const rootless = '         0       1000          1\n         1     100000      65536\n'

function adviceIn(map: string, owner: number, own = { uid: 1000, gid: 1000 }): string {
  return containerAdvice({ uid: owner, gid: owner }, own, new UserNamespace(map, map))
}

test('ids are translated as the kernel does it', () => {
  equal(new UserNamespace(all, all).isTrivial, true)
  equal(new UserNamespace('', '').isTrivial, true)
  const namespace = new UserNamespace(rootless, rootless)
  equal(namespace.isTrivial, false)
  deepEqual(
    [0, 1, 1000, 65_534, 70_000].map((id) => namespace.onHost(id, id)),
    ['1000:1000', '100000:100000', '100999:100999', '165533:165533', undefined],
  )
  equal(ownUserNamespace().onHost(0, 0) === undefined, false)
})

test('without a user namespace: the chown, or to run as the owner', () => {
  const chown = 'On the host, sudo chown -R 1000:1000 the directory that is mounted'
  equal(adviceIn(all, 0), `${chown}.`)
  const become = 'TINYMQ_UID=33 TINYMQ_GID=33 in .env (docker run: --user 33:33)'
  equal(adviceIn(all, 33), `${chown}, or let the container run as its owner: ${become}.`)
})

test('with ids remapped: the id that the host knows, and what works without a chown', () => {
  // What belongs to nobody in there shows as 65534.
  const advice = adviceIn(remapped, 65_534)
  equal(
    advice,
    'The ids in this container are not those of the host. On the host, sudo chown -R ' +
      '201000:201000 the directory that is mounted, or take a named volume, or docker run ' +
      '--userns=host.',
  )
})

test('under an engine without root: the user of the host is root in there', () => {
  const advice = adviceIn(rootless, 0)
  equal(
    advice,
    'The ids in this container are not those of the host. On the host, sudo chown -R ' +
      '100999:100999 the directory that is mounted, or let the container run as its owner: ' +
      'TINYMQ_UID=0 TINYMQ_GID=0 in .env (docker run: --user 0:0).',
  )
})
