# bash completion for closewait(1). The program itself answers what can follow.
_closewait() {
    local line=${COMP_LINE:0:COMP_POINT} word kept
    word=${line##*[[:space:]]}
    # Readline replaces only what follows the last of these characters, such as the = of --state=.
    kept=${word%"${word##*["$COMP_WORDBREAKS"]}"}
    mapfile -t COMPREPLY < <(closewait completions bash -- "$line" 2>/dev/null)
    if [[ ${COMPREPLY[0]-} == :files ]]; then
        COMPREPLY=()
        compopt -o default 2>/dev/null
        return
    fi
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    # A name that a value follows.
    if [[ ${COMPREPLY[0]-} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _closewait closewait
