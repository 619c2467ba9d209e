/** Completions for shells, made of the tables of commands and options. */
import { COMMANDS, optionOf } from './commands.js';
import { UsageError } from './mistakes.js';
import { OPTIONS } from './options.js';
import { nearest } from '../checks.js';
import { harmless } from './text.js';

const PROGRAM = 'absolutejs-runtime';
/** @type {Record<string, () => string>} */
const SHELLS = { bash, zsh, fish };

/** @type {import('./commands.js').Run} */
export async function run({ words: [shell = ''] }, io) {
  const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (script === undefined) {
    const near = nearest(shell, Object.keys(SHELLS));
    const hint = near === undefined ? '; there are bash, zsh and fish' : `; did you mean ${near}?`;
    throw new UsageError(`Unknown shell: ${harmless(shell)}${hint}`);
  }
  io.print(script());
}

/** The flags of `doctor` are its own. */
const DOCTOR_FLAGS = ['--tenants', '--json', '--help'];

/** @param {string} command @returns {string[]} */
const flagsOf = (command) =>
  command === 'doctor'
    ? DOCTOR_FLAGS
    : (COMMANDS[command]?.options ?? []).map((name) => `--${name}`);

/** What completes the first argument: known words; null for keys, undefined for nothing. */
function argumentsOf(/** @type {string} */ command) {
  const { completes, words } = /** @type {import('./commands.js').Command} */ (COMMANDS[command]);
  if (completes !== undefined) return completes;
  return words === undefined ? [] : null;
}

const optionEntries = () => Object.entries(OPTIONS).filter(([, { value }]) => value !== undefined);

/**
 * `compgen -W` runs what its words contain, so only words of ours may be given to it: keys are
 * compared one by one, and quoted.
 */
function bash() {
  const name = `_${PROGRAM.replace('-', '_')}`;
  const values = optionEntries().map(([option, { words, path }]) => {
    const files = path && `compgen -${path === 'directory' ? 'd' : 'f'} -- "$word"`;
    const reply = words ? `compgen -W '${words.join(' ')}' -- "$word"` : files;
    const body = reply === undefined ? 'COMPREPLY=()' : `mapfile -t COMPREPLY < <(${reply})`;
    return `    *' --${option}') ${body}; return ;;`;
  });
  // What takes a value elsewhere is a switch here.
  const switches = Object.entries(COMMANDS).flatMap(([command, { own = {} }]) =>
    Object.entries(own).map(([option, { value }]) =>
      value === undefined ? `    '${command} --${option}') ;;` : '',
    ),
  );
  const commands = Object.keys(COMMANDS).map((command) => {
    const words = argumentsOf(command);
    const flags = `words='${[...flagsOf(command), ...(words ?? [])].join(' ')}'`;
    const more = words === null ? `${name}_keys` : command === 'serve' ? `${name}_directories` : '';
    return `    ${command}) ${[flags, more].filter(Boolean).join('; ')} ;;`;
  });
  return `${name}_keys() {
  local key
  while IFS= read -r key; do
    # One that looks like a flag is a key after -- alone.
    [[ $key == -* && -z $after ]] && continue
    [[ $key == "$word"* ]] && COMPREPLY+=("$(printf %q "$key")")
  done < <(${PROGRAM} ps --quiet 2>/dev/null)
}
${name}_directories() { mapfile -t COMPREPLY < <(compgen -d -- "$word"); }
${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words= flag after=
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W '${Object.keys(COMMANDS).join(' ')}' -- "$word")
    return
  fi
  for flag in "\${COMP_WORDS[@]:2:COMP_CWORD-2}"; do [[ $flag == -- ]] && after=yes; done
  [[ -n $after ]] || case "\${COMP_WORDS[1]} $previous" in
${[...switches, ...values].filter(Boolean).join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${commands.join('\n')}
  esac
  [[ -n $after ]] && return
  while IFS= read -r flag; do COMPREPLY+=("$flag"); done < <(compgen -W "$words" -- "$word")
}
complete -F ${name} ${PROGRAM}`;
}

/** @param {string} text within single quotes of a shell */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function zsh() {
  const described = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`,
  );
  const commands = Object.entries(COMMANDS).map(([name, { options }]) => {
    const flags =
      name === 'doctor'
        ? DOCTOR_FLAGS.map(quoted)
        : options.map((option) => {
            const { help, value, short, words, path } = optionOf(name, option);
            const about = help.replaceAll(/[[\]:]/g, '\\$&');
            const files = path === 'directory' ? '_files -/' : path ? '_files' : ' ';
            const action = words ? `(${words.join(' ')})` : files;
            const takes = value === undefined ? '' : `:${value.replaceAll(':', '\\:')}:${action}`;
            const forms = short === undefined ? [`--${option}`] : [`-${short}`, `--${option}`];
            return forms.map((form) => quoted(`${form}[${about}]${takes}`)).join(' ');
          });
    const words = argumentsOf(name);
    const positional =
      name === 'serve'
        ? `'1:directory:_files -/'`
        : words === null
          ? `'*:key:_${PROGRAM}_keys'`
          : words.length > 0 && `'1:word:(${words.join(' ')})'`;
    return `    ${name}) _arguments -S ${[...flags, positional].filter(Boolean).join(' ')} ;;`;
  });
  return `#compdef ${PROGRAM}
_${PROGRAM}_keys() {
  local -a keys=(\${(f)"$(${PROGRAM} ps --quiet 2>/dev/null)"})
  # One that looks like a flag is a key after -- alone.
  (( \${words[(I)--]} && \${words[(I)--]} < CURRENT )) || keys=(\${keys:#-*})
  compadd -a -- keys
}
_${PROGRAM}() {
  local -a commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.join('\n')}
  esac
}
# In a directory of $fpath this file is the function itself.
if [[ $funcstack[1] == _${PROGRAM} ]]; then
  _${PROGRAM} "$@"
else
  compdef _${PROGRAM} ${PROGRAM}
fi`;
}

function fish() {
  const is = `__${PROGRAM.replace('-', '_')}_is`;
  // The command is the first word alone: a tenant may be called as another command is.
  const lines = [
    `function ${is}`,
    '  set -l words (commandline -opc)',
    '  test "$words[2]" = "$argv[1]"',
    'end',
    // A key that looks like a flag is one after -- alone.
    `function ${is}_key`,
    `  set -l keys (${PROGRAM} ps --quiet 2>/dev/null)`,
    '  if contains -- -- (commandline -opc)',
    "    printf '%s\\n' $keys",
    '  else',
    "    string match -rv -- '^-' $keys",
    '  end',
    'end',
    `complete -c ${PROGRAM} -f`,
  ];
  for (const [name, { summary, options }] of Object.entries(COMMANDS)) {
    lines.push(`complete -c ${PROGRAM} -n '${is} ""' -a ${name} -d ${quoted(summary)}`);
    const within = `-n '${is} ${name}'`;
    for (const option of options) {
      const { help, value, short, words, path } = optionOf(name, option);
      const parts = [
        `complete -c ${PROGRAM} ${within} -l ${option}`,
        short && `-s ${short}`,
        value !== undefined && (path ? '-r -F' : '-x'),
        words && `-a ${quoted(words.join(' '))}`,
        `-d ${quoted(help)}`,
      ];
      lines.push(parts.filter(Boolean).join(' '));
    }
    if (name === 'doctor') {
      for (const flag of DOCTOR_FLAGS) {
        lines.push(`complete -c ${PROGRAM} ${within} -l ${flag.slice(2)}`);
      }
    }
    const known = argumentsOf(name);
    if (name === 'serve') {
      lines.push(`complete -c ${PROGRAM} ${within} -a '(__fish_complete_directories)'`);
    } else if (known === null) {
      lines.push(`complete -c ${PROGRAM} ${within} -a '(${is}_key)'`);
    } else if (known.length > 0) {
      lines.push(`complete -c ${PROGRAM} ${within} -a ${quoted(known.join(' '))}`);
    }
  }
  return lines.join('\n');
}
