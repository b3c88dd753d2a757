// Ends npm's scripts with a sentence where they would run on a Node that cannot read TypeScript.
// Plain JavaScript for any Node; must never load anything.

if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `These scripts need Node 24 and got ${process.version}. The lockfile brings one, which ` +
      'npm 10 forgets to link: run `npm rebuild` once, or install with npm 11.\n',
  )
  process.exitCode = 1
}
