/**
 * What `require('tinymq')` loads: the same module, after a look at the version of Node.js, because
 * older ones reject to require an ES module in words that say nothing about it. For any Node.js
 * from 12 on; must never load anything else.
 */
'use strict'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 14)) {
  throw new Error(`tinymq: Node.js 22.14 or newer is needed, this is ${process.version}.`)
}

module.exports = require('./index.ts')
