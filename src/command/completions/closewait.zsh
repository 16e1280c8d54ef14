#compdef closewait
# zsh completion for closewait(1). The program itself answers what can follow.
_closewait() {
    local -a offers options
    offers=("${(@f)$(closewait completions zsh -- "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    if [[ $offers[1] == :files ]]; then
        _files
        return
    fi
    [[ -n $offers[1] ]] || return 1
    # A name that a value follows.
    [[ $offers[1] == *=:* ]] && options=(-S '')
    _describe -V closewait offers "${options[@]}"
}
# Loaded by compinit the file is the function; read by source it defines it.
if [[ $funcstack[1] == _closewait ]]; then
    _closewait "$@"
else
    compdef _closewait closewait
fi
