/**
 * `tinymq/testing`: nodes of tinymq inside a test, on a network that loses, delays and doubles as a
 * seed decides. It needs nothing next to tinymq. What needs Docker is `tinymq/testing/containers`.
 */

export type { LinkConditions } from './link.ts'
export { type NodeLab, startNodes, type StartNodesOptions } from './node-lab.ts'
export type { TestNode, WaitOptions } from './test-node.ts'
