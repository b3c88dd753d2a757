/** What a message holds: its headers, and the beginning of its data as text or as hexdump -C. */
import type { JSX } from 'preact'
import type { Message, Preview } from '../../observe/page-api.ts'
import type { Row } from '../client/api.ts'
import { bytesText } from '../model/quantity.ts'
import type { Box } from '../model/route.ts'
import { defaultDatabase, wholeDataLine } from '../model/shell-line.ts'
import { hexLines, prettyJson, shortened, shownBlock } from '../model/shown-text.ts'
import { usePage } from './page-context.ts'
import { CodeBlock } from './code-block.tsx'

/** Somebody may put a book there; the button copies all of it. */
const headerCharsMax = 8_192

type Props = { readonly message: Message<Row>; readonly box: Box }

export function MessageContent({ message, box }: Props): JSX.Element {
  const { preview, headers, row } = message
  const { overview } = usePage().state
  const database = overview?.node.database ?? defaultDatabase
  const whole = wholeDataLine(database, box, row.id, row.state === 'dead')
  return (
    <section aria-labelledby="content-title">
      <h2 id="content-title">Content</h2>
      {headers === null ? null : (
        <CodeBlock title="Headers" text={headers}>
          {shownBlock(shortened(prettyJson(headers), headerCharsMax))}
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
        <CodeBlock title="All of it, on the machine" text={whole}>
          {whole}
        </CodeBlock>
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
