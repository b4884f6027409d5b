#!/bin/bash
# needs.sh WHAT…: sees to it that the system has what a step needs. Root on Debian gets what is missing installed;
# anybody else is told what to install. WHAT: cc, make, python, venv; servers (tests that miss one are skipped and say so).
set -euo pipefail

missing=()
# Tests do without, but only root gets them installed.
wanted=()
for what in "$@"; do
    case $what in
        cc) command -v cc >/dev/null || missing+=(build-essential) ;;
        make) command -v make >/dev/null || missing+=(make) ;;
        python) python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || missing+=(python3) ;;
        servers)
            command -v ssh >/dev/null || wanted+=(openssh-client)
            [ -x /usr/sbin/sshd ] || wanted+=(openssh-server)
            ;;
        venv) python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv) ;;
        *) echo "needs.sh: do not know $what" >&2; exit 2 ;;
    esac
done
if [ "$(id -u)" = 0 ]; then missing+=("${wanted[@]}"); fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Who gets a server for tests does not want it to listen.
    quiet=/usr/sbin/policy-rc.d
    if [[ " ${missing[*]} " == *" openssh-server "* && ! -e $quiet ]]; then
        printf '#!/bin/sh\nexit 101\n' >$quiet
        chmod 755 $quiet
        trap 'rm -f $quiet' EXIT
    fi
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    if [[ " ${missing[*]} " == *" openssh-server "* && -d /run/systemd/system ]]; then
        systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || true
    fi
else
    echo "please install: ${missing[*]} (on Debian: sudo apt-get install ${missing[*]})" >&2
    exit 1
fi
