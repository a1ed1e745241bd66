# Sourced by the scripts beside it: `use_venv EXTRAS` makes or reuses .venv, or $venv, with the project and EXTRAS in it,
# and leaves the interpreter's path in $python. Nothing is installed again while setup.cfg and pyproject.toml stay as they are.
use_venv() {
    local extras=$1 base=${PYTHON:-python3} stamp
    venv=${venv:-.venv}
    python=$venv/bin/python
    if ! "$base" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
        echo "Python 3.9 or newer is needed; '$base' is not one. Set PYTHON to one that is." >&2
        return 1
    fi
    [ -x "$python" ] || "$base" -m venv "$venv"
    stamp=$venv/installed-$(echo "$extras" | tr ',' '-')
    if ! cmp -s "$stamp" <(cat setup.cfg pyproject.toml); then
        echo "installing cartesia_sync[$extras] into $venv ..." >&2
        "$python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" || return
        cat setup.cfg pyproject.toml >"$stamp"
    fi
}
