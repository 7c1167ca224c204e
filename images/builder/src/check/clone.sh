# What a clone of the repository $1 prints, as `stdout = { like = … }` has it. $2 is what stands for the deltas, the rest are
# arguments of `git clone`, by which another one is made then: that one's is what is printed.
clone() {
    from=$1 deltas=$2
    shift 2
    work=$(mktemp -d)
    if [ $# = 0 ]; then
        ln -s "$from" "$work/r"
        git -C "$from" ls-remote . HEAD 'refs/heads/*' 'refs/tags/*'
    else
        git clone -q --bare "$@" "file://$from" "$work/r" 2>"$work/said"
        git -C "$from" ls-remote . HEAD
    fi
    cd "$work/r"
    git rev-list --objects --all | cut -d' ' -f1 | sort -u >"$work/ids"
    git cat-file --batch-check='%(objecttype)' <"$work/ids" >"$work/kinds"
    echo "objects $(wc -l <"$work/ids")"
    for kind in commit tree blob tag; do
        echo "${kind}s $(grep -c "^$kind$" "$work/kinds" || true)"
    done
    echo "names sha256:$(sha256sum <"$work/ids" | cut -d' ' -f1)"
    echo "pack * octets, $deltas deltas"
    test ! -e shallow || sort shallow | sed 's/^/shallow /'
    if git rev-parse -q --verify HEAD >"$work/tip"; then
        echo "tip $(cat "$work/tip") $(git log -1 --format=%s HEAD)"
        echo "tree $(git rev-parse HEAD:)"
        git ls-tree -r -t HEAD | cut -d' ' -f1 >"$work/modes"
        echo "files $(grep -c ^100 "$work/modes" || true)"
        echo "directories $(grep -c ^040 "$work/modes" || true)"
        echo "links $(grep -c ^120 "$work/modes" || true)"
        echo "submodules $(grep -c ^160 "$work/modes" || true)"
    fi
    rm -r "$work"
}

# What the program `push` prints of the repository $1, when all that it sent is there. That is taken away again.
pushed() {
    cd "$1"
    parent=$(git rev-parse HEAD)
    blob=$(echo pushed | git hash-object --stdin)
    tree=$(printf '100644 blob %s\tfile\n' "$blob" | git mktree)
    person='A <a@example.org> 1700000009 +0000'
    commit=$(printf 'tree %s\nparent %s\nauthor %s\ncommitter %s\n\npushed\n' "$tree" "$parent" "$person" "$person" |
        git hash-object -t commit --stdin)
    git cat-file -e "$commit"
    echo "made true $commit"
    echo "moved true $parent"
    echo "refused false $parent"
    echo "deleted true nothing"
    git for-each-ref refs/heads/pushed
    git prune --expire=now
}
