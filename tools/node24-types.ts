/**
 * What Node 24 has and 22.14 lacks, for the files that are not published: `@types/node` is of the
 * oldest Node that tinymq runs on, and tsconfig.build.json leaves this file out.
 */

/// <reference lib="esnext.disposable" />

declare global {
  interface ImportMeta {
    main: boolean
  }
}
