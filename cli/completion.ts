// Completion scripts for bash, zsh and fish, made from the commands and options as they stand.
import type { Command } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

interface Choice {
  /** Words before it, such as `user add`. */
  path: string;
  words: string[];
}

function choicesOf(program: Command): Choice[] {
  const visit = (command: Command, path: string): Choice[] => {
    const options = command.options.flatMap(({ long }) => (long === undefined ? [] : [long]));
    const names = command.commands.map((child) => child.name());
    const below = command.commands.flatMap((child) => visit(child, `${path} ${child.name()}`.trim()));
    return [{ path, words: [...names, ...options, '--help'] }, ...below];
  };
  return visit(program, '');
}

function bash(choices: readonly Choice[]): string {
  const cases = choices.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`).join('\n');
  const parents = choices
    .filter(({ path }) => choices.some((below) => below.path.startsWith(`${path} `) && path !== ''))
    .map(({ path }) => path)
    .join(' | ');
  return `# bash completion for longshore
_longshore() {
  local path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) case "$path" in '' | ${parents}) path="\${path:+$path }$word" ;; esac ;; esac
  done
  case $path in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _longshore longshore
`;
}

function zsh(choices: readonly Choice[]): string {
  return `#compdef longshore
autoload -Uz bashcompinit && bashcompinit
${bash(choices)}`;
}

function fish(program: Command): string {
  const lines = program.commands.flatMap((command) => {
    const name = command.name();
    const own = `complete -c longshore -n __fish_use_subcommand -f -a ${name} -d '${command.summary().replaceAll("'", '')}'`;
    const nested = command.commands.map(
      (child) => `complete -c longshore -n '__fish_seen_subcommand_from ${name}' -f -a ${child.name()}`,
    );
    const options = command.options.flatMap(({ long }) =>
      long === undefined ? [] : [`complete -c longshore -n '__fish_seen_subcommand_from ${name}' -l ${long.slice(2)}`],
    );
    return [own, ...nested, ...options];
  });
  return `# fish completion for longshore\n${lines.join('\n')}\n`;
}

/** The script that the shell is to read. */
export function completionScript(program: Command, shell: Shell): string {
  switch (shell) {
    case 'bash':
      return bash(choicesOf(program));
    case 'zsh':
      return zsh(choicesOf(program));
    case 'fish':
      return fish(program);
  }
}
