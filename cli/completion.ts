/** `tinymq completion`: what a shell needs to complete the commands and their options. */
import { Argument, type Command } from 'commander'
import type { Context } from './context.ts'

const shells = ['bash', 'zsh', 'fish'] as const

/** Commands that live outside this program. */
export const elsewhere: readonly string[] = ['daemon']

type Words = { readonly command: string; readonly words: readonly string[] }

export function addCompletion(program: Command, { terminal }: Context): void {
  program
    .command('completion')
    .description('print completions: add `eval "$(tinymq completion bash)"` to ~/.bashrc')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .action((shell: (typeof shells)[number]) => {
      const all = wordsOf(program)
      if (shell === 'fish') return terminal.out(fish(all))
      // zsh understands bash's own way.
      const first = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''
      return terminal.out(first + bash(all))
    })
}

function wordsOf(program: Command): Words[] {
  return program.commands.map((command) => ({
    command: command.name(),
    words: [
      ...command.commands.map((sub) => sub.name()),
      ...new Set([command, ...command.commands].flatMap(longOptions)),
    ],
  }))
}

const longOptions = (command: Command): string[] =>
  [...command.options.map(({ long }) => long), '--help'].filter((long) => typeof long === 'string')

function bash(all: readonly Words[]): string {
  const names = [...all.map(({ command }) => command), ...elsewhere].join(' ')
  const cases = all.map(({ command, words }) => `    ${command}) words='${words.join(' ')}' ;;`)
  return `_tinymq() {
  local words current=\${COMP_WORDS[COMP_CWORD]}
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words='${names}'; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -F _tinymq tinymq
`
}

function fish(all: readonly Words[]): string {
  const names = [...all.map(({ command }) => command), ...elsewhere].join(' ')
  const lines = all.map(({ command, words }) => {
    const condition = `__fish_seen_subcommand_from ${command}`
    return `complete -c tinymq -n '${condition}' -a '${words.join(' ')}'`
  })
  const first = `complete -c tinymq -n __fish_use_subcommand -a '${names}'`
  return `${[first, ...lines].join('\n')}\n`
}
