"""`tandem completion`: what a shell needs to complete commands, agents, methods and fields."""

from __future__ import annotations

import click

from tandemkit.cli.output import as_json, emit, examples

# Set by the scripts below; click reads it, and answers instead of running the command.
VARIABLE = "_TANDEM_COMPLETE"

_BASH = """\
_tandem_completion() {
  local line kind value
  COMPREPLY=()
  while IFS= read -r line; do
    kind=${line%%,*} value=${line#*,}
    case $kind in
      plain)
        COMPREPLY+=("$value")
        [[ $value == */ ]] && compopt -o nospace ;;
      file) compopt -o default ;;
      dir) compopt -o dirnames ;;
    esac
  done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
    VARIABLE=bash_complete "$1" 2>/dev/null </dev/null)
}
complete -F _tandem_completion tandem
"""
_ZSH = """\
#compdef tandem
_tandem_completion() {
  local kind value help
  local -a plain described open
  env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
    VARIABLE=zsh_complete "${words[1]}" 2>/dev/null </dev/null |
  while IFS= read -r kind && IFS= read -r value && IFS= read -r help; do
    case $kind in
      plain)
        if [[ $value == */ ]]; then open+=("$value")
        elif [[ $help == _ ]]; then plain+=("$value")
        else described+=("$value:$help"); fi ;;
      file) _files ;;
      dir) _files -/ ;;
    esac
  done
  (( $#described )) && _describe -V tandem described
  (( $#plain )) && compadd -U -V tandem -a plain
  (( $#open )) && compadd -U -V tandem -S '' -a open
}
compdef _tandem_completion tandem
"""
_FISH = """\
function _tandem_completion
  for line in (env COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \\
      VARIABLE=fish_complete (commandline -opc)[1] 2>/dev/null </dev/null)
    set -l parts (string split -m 1 , -- $line)
    switch $parts[1]
      case plain
        echo $parts[2]
      case file
        __fish_complete_path (commandline -ct)
      case dir
        __fish_complete_directories (commandline -ct)
    end
  end
end
complete --no-files --command tandem --arguments '(_tandem_completion)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(
    short_help="Print what a shell needs to complete commands and calls.",
    epilog=examples(
        'eval "$(./tandem completion bash)"      this shell, now',
        "./tandem completion bash >> ~/.bashrc   each shell",
        "./tandem completion zsh > ~/.zfunc/_tandem",
        "./tandem completion fish | source",
    ),
)
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
@as_json
def completion(*, shell: str, as_json: bool) -> None:
    """Print what SHELL needs: then Tab completes commands, options, agents, hosts, methods, and
    the fields of a request, from the fleet that runs, or from this checkout where none does.
    """
    script = _SCRIPTS[shell].replace("VARIABLE", VARIABLE)
    emit({"shell": shell, "script": script}, as_json=as_json, text=script.rstrip)
