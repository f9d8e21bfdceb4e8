# Sourced by the scripts that fetch what tests need. They set `me`, the word before their messages,
# and hold a lock on descriptor 9, which no child may keep.

say() { echo "$me: $*"; }

# What this machine cannot have is said and no failure; whether it is one in CI the tests decide.
skip() {
    echo "SKIPPED: $*"
    exit 77
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        install --no-install-recommends "$@" 9>&-
}

# `install_packages PACKAGE...`: from this machine's own sources, as root. None is no error.
install_packages() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null || skip "missing $*, and this machine has no apt-get"
    [ "$(id -u)" = 0 ] || skip "missing $*; run this as root, or: apt-get install $*"
    say "installing $*"
    apt_log=$(mktemp)
    # The lists of a fresh machine may be empty or old, so a first failure means little.
    if ! apt_install "$@" >"$apt_log" 2>&1 &&
        ! { apt-get -q update && apt_install "$@"; } >"$apt_log" 2>&1; then
        cat "$apt_log" >&2
        rm -f "$apt_log"
        skip "apt-get could not install $* (its messages are above)"
    fi
    rm -f "$apt_log"
}
