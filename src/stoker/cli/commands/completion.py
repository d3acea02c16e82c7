"""`completion`: a few lines of shell that ask this program what may come next."""

from typing import Final

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError
from stoker.cli.output import put
from stoker.cli.session import Session

_BASH: Final = """\
_stoker() {
    local IFS=$'\\n' words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    # Bash takes the colon of a tag for a separator of words; put such names together again.
    if declare -F _get_comp_words_by_ref >/dev/null; then
        local cur cword; _get_comp_words_by_ref -n : cur words cword
        words=("${words[@]:1:cword}")
    fi
    COMPREPLY=($(stoker __complete "${words[@]}" 2>/dev/null | grep -v '^:' | cut -f1))
    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
}
complete -o default -F _stoker stoker
"""
_ZSH: Final = """\
#compdef stoker
_stoker() {
    local -a found
    found=("${(@f)$(stoker __complete "${(@)words[2,CURRENT]}" 2>/dev/null | grep -v '^:' |
        sed -e 's/:/\\\\:/g' -e 's/\\t/:/')}")
    [[ -n "$found" ]] && _describe stoker found || _files
}
compdef _stoker stoker
"""
_FISH: Final = """\
function __stoker_complete
    set -l words (commandline -opc) (commandline -ct)
    stoker __complete $words[2..] 2>/dev/null | string match -v ':*'
end
complete -c stoker -f -a '(__stoker_complete)'
"""
SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


class Options(cli.Options):
    pass


def arguments(parser: cli.Parser) -> None:
    parser.epilog = (
        "Put it where your shell looks for completions:\n"
        "  bash  stoker completion bash > ~/.local/share/bash-completion/completions/stoker\n"
        "  zsh   stoker completion zsh > ~/.zfunc/_stoker     (a directory in fpath)\n"
        "  fish  stoker completion fish > ~/.config/fish/completions/stoker.fish"
    )


def run(options: Options, _session: Session) -> int:
    script = SCRIPTS.get(options.words[0])
    if script is None:
        raise UsageError(f"unknown shell: {options.words[0]}", hint="bash, zsh or fish")
    put(script)
    return 0
