/** What a message holds: its headers, and the beginning of its data as text or as hexdump -C. */
import type { JSX } from 'preact'
import type { Message, Preview } from '../../observe/page-api.ts'
import { bytesText } from '../model/quantity.ts'
import { hexLines, prettyJson, shownBlock } from '../model/shown-text.ts'
import { CodeBlock } from './code-block.tsx'

export function MessageContent({ message }: { readonly message: Message<unknown> }): JSX.Element {
  const { preview, headers } = message
  return (
    <section aria-labelledby="content-title">
      <h2 id="content-title">Content</h2>
      {headers === null ? null : (
        <CodeBlock title="Headers" text={headers}>
          {shownBlock(prettyJson(headers))}
        </CodeBlock>
      )}
      {preview.bytes === 0 ? (
        <p class="quiet">The data is empty: 0 bytes.</p>
      ) : (
        <CodeBlock title={titleOf(preview)} text={preview.isWhole ? preview.text : null}>
          {preview.type === 'text' ? (
            <bdi>{shownBlock(preview.text)}</bdi>
          ) : (
            <Hex preview={preview} />
          )}
        </CodeBlock>
      )}
      {preview.isWhole ? null : (
        <p class="quiet">
          The rest is in the database: <code>SELECT data</code> with the id of the row.
        </p>
      )}
    </section>
  )
}

function titleOf({ type, bytes, isWhole }: Preview): string {
  const kind = type === 'text' ? 'Text' : 'Binary data'
  return isWhole
    ? `${kind}, ${bytesText(bytes)}`
    : `${kind}, the first 4 KiB of ${bytesText(bytes)}`
}

function Hex({ preview }: { readonly preview: Preview }): JSX.Element {
  return (
    <>
      {hexLines(preview.text).map(({ offset, hex, ascii }) => (
        <span key={offset} class="hex-line">
          <span class="quiet">{offset}</span> <span class="hex">{hex.padEnd(47)}</span>{' '}
          <span class="quiet">{ascii}</span>
          {'\n'}
        </span>
      ))}
    </>
  )
}
