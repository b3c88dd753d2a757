/** The clipboard. Must never claim to have copied what it has not. */

/** Whether it is there now. Browsers offer it to pages from https and from localhost only. */
export async function copy(text: string): Promise<boolean> {
  try {
    // On a page over plain http there is no clipboard, whatever the types say.
    const clipboard = navigator.clipboard as Clipboard | undefined
    if (clipboard === undefined) return copyBySelection(text)
    await clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** The old way, which works over plain http too. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'off-screen'
  const before = document.activeElement
  // Within an open dialog nothing outside can have the focus.
  const place = before?.closest('dialog') ?? document.body
  place.append(area)
  area.select()
  // oxlint-disable-next-line typescript/no-deprecated -- there is no other way without https
  const done = document.execCommand('copy')
  area.remove()
  if (before instanceof HTMLElement) before.focus()
  return done
}
