/**
 * How the ids of users in a container stand for those of the host (user_namespaces(7)). Must never
 * be asked about processes other than this one.
 */
import { readFileSync } from 'node:fs'

type Range = { readonly inside: number; readonly outside: number; readonly count: number }

export class UserNamespace {
  readonly #uids: readonly Range[]
  readonly #gids: readonly Range[]

  /** What `/proc/self/uid_map` and `gid_map` say; '' where there are none. */
  constructor(uidMap: string, gidMap: string) {
    this.#uids = rangesOf(uidMap)
    this.#gids = rangesOf(gidMap)
  }

  /** Ids are the same on both sides. */
  get isTrivial(): boolean {
    return [...this.#uids, ...this.#gids].every(({ inside, outside }) => inside === outside)
  }

  /** `uid:gid` as the host has it; undefined for what has no id there. */
  onHost(uid: number, gid: number): string | undefined {
    const [hostUid, hostGid] = [outsideOf(this.#uids, uid), outsideOf(this.#gids, gid)]
    return hostUid === undefined || hostGid === undefined ? undefined : `${hostUid}:${hostGid}`
  }
}

/** The one of this process. */
export function ownUserNamespace(): UserNamespace {
  return new UserNamespace(mapOf('uid'), mapOf('gid'))
}

function mapOf(kind: 'uid' | 'gid'): string {
  try {
    return readFileSync(`/proc/self/${kind}_map`, 'utf8')
  } catch {
    return ''
  }
}

function rangesOf(map: string): Range[] {
  return map
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, outside, count]) =>
      inside === undefined || outside === undefined || count === undefined
        ? []
        : [{ inside, outside, count }],
    )
}

function outsideOf(ranges: readonly Range[], id: number): number | undefined {
  if (ranges.length === 0) return id
  const range = ranges.find(({ inside, count }) => id >= inside && id < inside + count)
  return range && range.outside + id - range.inside
}
