# What the scripts of this folder share; they source it.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where Debian keeps nginx and dockerd, and not on a user's PATH

step() { printf -- '-----> %s\n' "$*"; }
detail() { printf '       %s\n' "$*"; }
warn() { printf ' !     %s\n' "$*" >&2; }
die() {
    warn "$@"
    exit 1
}

set -E
trap 'warn "${0##*/} stopped at line $LINENO: $BASH_COMMAND"' ERR

# quietly SENTENCE COMMAND…: run COMMAND; when it fails, show its last lines and SENTENCE, and return its exit code.
quietly() {
    local sentence=$1 log code=0
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || code=$?
    if ((code)); then
        tail -n 15 "$log" | sed 's/^/       /' >&2
        warn "$sentence"
    fi
    rm -f "$log"
    return "$code"
}

has() { command -v "$1" >/dev/null; }

can_be_root() { ((EUID == 0)) || { has sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; }

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

docker_answers() { has docker && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# join_docker_group "$@": when only the missing group keeps Docker from answering, run this script again with it.
join_docker_group() {
    if docker_answers || ((EUID == 0)) || [[ -n ${JOINED_DOCKER_GROUP-}${DOCKER_HOST-} ]] || ! can_be_root; then
        return 0
    fi
    if as_root docker version >/dev/null 2>&1; then
        exec 9<&- # the lock that bootstrap holds
        exec sudo -E -u "#$EUID" -g docker env "PATH=$PATH" JOINED_DOCKER_GROUP=1 "$root/script/${0##*/}" "$@"
    fi
}

# python_at VERSION CANDIDATE…: the path of the first candidate that runs, is that Python and is whole.
# pyenv's shims are there for versions that are not enabled, and fail; so each candidate is run.
python_at() {
    local version=$1 candidate
    shift
    for candidate in "$@"; do
        "$candidate" - "$version" 2>/dev/null <<'PYTHON' && return
import ctypes, sqlite3, ssl, sys, venv
if "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit(1)
print(sys._base_executable)
PYTHON
    done
    return 1
}

locked_uv() { awk '/^name = "uv"$/ { getline; gsub(/version = |"/, ""); print; exit }' "$root/uv.lock"; }

# uv and pip trust what the machine trusts, unless the user chose: a company's proxy may inspect TLS.
trust_the_hosts_certificates() {
    local bundle=/etc/ssl/certs/ca-certificates.crt
    [[ -f $bundle ]] || return 0
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS-1}" UV_NATIVE_TLS="${UV_NATIVE_TLS-1}"
    if [[ -z ${PIP_CERT-}${REQUESTS_CA_BUNDLE-}${CURL_CA_BUNDLE-} ]]; then
        export PIP_CERT="${SSL_CERT_FILE-$bundle}"
    fi
}

# sync_environment FOLDER PYTHON [dev]: what uv.lock says is installed in the virtual environment FOLDER of the
# checkout, with the tools of the tests if `dev` is given or they are there already. A stamp makes it quick.
sync_environment() {
    local folder=$root/$1 python=$2 groups=(--no-default-groups --group stack) stamp
    if [[ ${3-} == dev || -x $folder/bin/pytest ]]; then groups+=(--group dev); fi
    stamp=$(echo "$folder ${groups[*]}" | cat - "$root/uv.lock" "$root/pyproject.toml" | sha256sum)
    if [[ -f $folder/synced && $(<"$folder/synced") == "$stamp" ]] && "$folder/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    step "Installing Python packages into $1 ($("$python" --version))"
    trust_the_hosts_certificates
    export UV_PYTHON_DOWNLOADS=never
    # a checkout that was moved or copied has the old path in its programs
    if [[ ! -f $folder/made-at || $(<"$folder/made-at") != "$folder" ]] || ! "$folder/bin/python" -c '' 2>/dev/null; then
        make_environment "$folder" "$python"
    fi
    if [[ $("$folder/bin/uv" --version 2>/dev/null) != "uv $(locked_uv)"* ]]; then
        install_uv "$folder"
    fi
    quietly "The Python packages could not be installed; is PyPI, or the index in UV_DEFAULT_INDEX, reachable?" \
        install_locked "$folder" "${groups[@]}" || exit 1
    echo "$stamp" >"$folder/synced"
}

make_environment() {
    local folder=$1 python=$2 package
    rm -rf "$folder"
    if has uv && uv venv --quiet --python "$python" "$folder" 2>/dev/null; then
        :
    elif ! "$python" -m venv "$folder" >/dev/null 2>&1; then
        # Debian keeps what `venv` needs in a package of its own
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        apt_install "$package"
        quietly "$python makes no virtual environment; install $package by hand" "$python" -m venv "$folder" || exit 1
    fi
    echo "$folder" >"$folder/made-at"
}

# The very uv of uv.lock, by whatever installer there is; an older one may not read the lock.
install_uv() {
    local folder=$1 installer=("$1/bin/python" -m pip --quiet --disable-pip-version-check install)
    if has uv; then installer=(uv pip install --quiet --python "$folder/bin/python"); fi
    quietly "uv $(locked_uv) could not be installed; is PyPI, or the index in UV_DEFAULT_INDEX, reachable?" \
        "${installer[@]}" "uv==$(locked_uv)" || exit 1
}

# uv checks that the lock is of the index in use; behind a mirror the locked versions and hashes are asked of the mirror.
install_locked() {
    local folder=$1 mirror=${UV_DEFAULT_INDEX-${UV_INDEX_URL-${PIP_INDEX_URL-}}} requirements
    shift
    if [[ -z $mirror ]]; then
        UV_PROJECT_ENVIRONMENT=$folder "$folder/bin/uv" sync --project "$root" --locked "$@"
        return
    fi
    requirements=$(mktemp)
    "$folder/bin/uv" export --project "$root" --frozen --no-emit-project --output-file "$requirements" "$@" &&
        UV_DEFAULT_INDEX=$mirror "$folder/bin/uv" pip install --python "$folder/bin/python" -r "$requirements" &&
        UV_DEFAULT_INDEX=$mirror "$folder/bin/uv" pip install --python "$folder/bin/python" --no-deps --editable "$root"
    local code=$?
    rm -f "$requirements"
    return "$code"
}

# apt_install PACKAGE…: with one `apt-get update` if they are not to be had without, and without starting a service.
apt_install() {
    has apt-get || die "This is not Debian or Ubuntu; install by hand: $*"
    can_be_root || die "Neither root nor sudo; install by hand: $*"
    step "Installing Debian packages: $*"
    trap 'allow_service_starts' EXIT
    forbid_service_starts
    if ! apt_get install --no-install-recommends "$@" >/dev/null 2>&1 </dev/null; then
        quietly "apt-get could not read its lists; is there a network?" apt_get update || true
        quietly "These packages could not be installed; install them by hand and run this again: $*" \
            apt_get install --no-install-recommends "$@" || exit 1
    fi
    allow_service_starts
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 "$@"
}

# Debian starts a service when its package is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d
policy_is_ours=
forbid_service_starts() {
    [[ ! -e $policy ]] || return 0
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}
allow_service_starts() {
    [[ -z $policy_is_ours ]] || as_root rm -f "$policy"
    policy_is_ours=
}
