# Prints what zsh offers for the line $1, one a line. An interactive zsh in a pseudo-terminal completes it; its
# compadd, which every completion ends in, prints what it is given.
if [[ $2 != inner ]]; then
    zmodload zsh/zpty || exit 1
    zpty shell zsh -f -i
    zpty -w shell "source ${(q)0} '' inner"
    zpty -r shell ready '*@ready@*'
    zpty -w -n shell "$1"$'\t'
    zpty -r shell answer '*@end@*'
    print -r -- "$answer" | tr -d '\r' | grep -o '@offer@.*' | cut -c8-
    exit
fi
PROMPT=
autoload -Uz compinit && compinit -D -u
source <(closewait completions zsh)
bindkey '^I' complete-word
compadd() {
    local -a offers
    # -O, -A and -D only fill arrays.
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        builtin compadd -A offers "$@"
        (( $#offers )) && print -r && print -rl -- @offer@${^offers}
    fi
    builtin compadd "$@"
}
finish() { print -r -- @end@ }
comppostfuncs=(finish)
print -r -- @"ready"@
