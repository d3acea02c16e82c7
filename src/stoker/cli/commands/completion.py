"""`completion`: a few lines of shell that ask this program what may come next."""

from typing import Final

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError
from stoker.cli.output import put
from stoker.cli.session import Session

_BASH: Final = """\
_stoker() {
    local line="${COMP_LINE:0:COMP_POINT}" words found last
    # Not COMP_WORDS: bash takes the colon of a tag for a separator of words.
    IFS=' ' read -ra words <<< "$line"
    [[ "$line" == *' ' ]] && words+=("")
    last="${words[${#words[@]}-1]}"
    local IFS=$'\\n'
    found=($(stoker __complete "${words[@]:1}" 2>/dev/null | cut -f1))
    local count=$((${#found[@]} - 1))
    # The last line says whether names of files fit.
    [[ "${found[$count]}" == :0 ]] && compopt -o default 2>/dev/null
    # Bash replaces only what follows the last colon or equal sign.
    COMPREPLY=("${found[@]:0:$count}")
    COMPREPLY=("${COMPREPLY[@]#"${last%"${last##*[:=]}"}"}")
}
complete -F _stoker stoker
"""
_ZSH: Final = """\
#compdef stoker
_stoker() {
    local -a found
    found=("${(@f)$(stoker __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    # The last line says whether names of files fit.
    [[ "$found[-1]" == :0 ]] && { _files; return }
    found=("${(@)found[1,-2]}")
    (( $#found )) || return 1
    # A colon parts a candidate from its description, so others are escaped.
    found=("${(@)found//:/\\\\:}")
    found=("${(@)found//$'\\t'/:}")
    _describe stoker found
}
compdef _stoker stoker
"""
_FISH: Final = """\
function __stoker_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (stoker __complete $words[2..] 2>/dev/null)
    # The last line says whether names of files fit.
    if test "$found[-1]" = :0
        __fish_complete_path (commandline -ct)
    else
        string match -v ':*' -- $found
    end
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
