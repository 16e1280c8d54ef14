# fish completion for closewait(1). The program itself answers what can follow.
function __closewait_offers
    set -l offers (closewait completions fish -- (commandline -cp | string collect) 2>/dev/null)
    if test "$offers[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $offers
    end
end
complete -c closewait -f -a '(__closewait_offers)'
