#!/bin/sh
# Makes sure that something from outside the repository is there, and says in one sentence what to do when it is not.
#
#   need.sh python [CANDIDATE…]   prints the first candidate that is Python >= 3.11
#   need.sh venv PYTHON DIR       creates a virtual environment with pip in it
#   need.sh node                  checks for Node.js >= 20.19 (Vite asks for it) with npm
#   need.sh chromium              checks for Chromium or Chrome
#   need.sh postgres              checks for PostgreSQL's server programs
#
# On Debian and its kin, as root, what is missing is installed with apt-get.
set -eu

die() {
    echo "error: $*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# apt_install PACKAGE… installs, or fails when this is not a machine where we may.
apt_install() {
    have apt-get && [ "$(id -u)" = 0 ] || return 1
    echo "installing $* with apt-get" >&2
    log=$(mktemp)
    if DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$log" 2>&1 </dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
}

need_python() {
    for candidate in "$@"; do
        have "$candidate" || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        found="$("$candidate" -V 2>&1), "
    done
    die "rtserver needs Python 3.11 or newer (found: ${found:-}looked for: $*); install it, or name it: make PYTHON=/path/to/python3.11"
}

need_venv() {
    rm -rf "$2"
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        apt_install "$package" || die "$1 cannot create virtual environments; install its venv module (Debian, Ubuntu: apt-get install $package)"
    fi
    "$1" -m venv "$2" || {
        rm -rf "$2"
        die "$1 -m venv $2 failed, for the reason above"
    }
}

need_node() {
    hint="install Node.js 20.19 or newer with npm (Debian, Ubuntu: apt-get install nodejs npm; macOS: brew install node)"
    have node || die "the pages and the JavaScript tests need node, which is not on the PATH; $hint"
    have npm || die "node is here but npm is not; $hint"
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2019 ? 1 : 0)' || die "node $(node -p process.versions.node) is too old; $hint"
}

# The browser tests look for these themselves, and say what to install when there is none.
need_chromium() {
    for name in "${CHROMIUM:-chromium}" chromium chromium-browser google-chrome google-chrome-stable; do
        have "$name" && return
    done
    [ "$(uname)" = Darwin ] && return
    apt_install chromium fonts-liberation || echo "note: no Chromium here and it could not be installed; the browser tests will say so" >&2
}

# So do the tests that need a PostgreSQL.
need_postgres() {
    have initdb && return
    for program in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$program" ] && return
    done
    [ "$(uname)" = Darwin ] && return
    apt_install postgresql || echo "note: no PostgreSQL here and it could not be installed; its tests will say so" >&2
}

what=$1
shift
case $what in
    python | venv | node | chromium | postgres) "need_$what" "$@" ;;
    *) die "need.sh knows python, venv, node, chromium and postgres" ;;
esac
