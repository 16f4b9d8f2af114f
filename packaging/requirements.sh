#!/usr/bin/env bash
# requirements.sh GROUP...: see that this machine has what the groups (run, test, lint, fuzz, bench) need.
#
# What is missing is installed where root and apt-get are there; elsewhere one line for each names it, and the exit code
# is 1 if the group cannot do without it. What only some tests use is optional: they skip.
#
# requirements.sh python: print the interpreter for the virtual environment, /usr/bin/python3 where it will do.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# group  need       check             Debian packages              what it is
table='
  run  | needed   | has_python      | python3-venv python3-dev   | Python 3.11 or later with venv and headers
  run  | needed   | has cc          | gcc libc6-dev              | a C compiler
  run  | optional | has_ffi         | libffi-dev                 | libffi headers, for where pip has no built cffi
  test | optional | has mosquitto   | mosquitto                  | Mosquitto, to compare with
  test | optional | has mosquitto_pub | mosquitto-clients        | mosquitto_pub and mosquitto_sub
  test | optional | has zsh         | zsh                        | zsh, whose completions are tried
  lint | needed   | has_formatter   | clang-format               | clang-format
  fuzz | needed   | has_fuzzer      | clang libclang-rt-dev      | clang with libFuzzer
  bench | needed  | has cc          | gcc libc6-dev              | a C compiler
  bench | needed  | has mosquitto   | mosquitto                  | Mosquitto, to compare with
  bench | needed  | has taskset     | util-linux                 | taskset
'

has() { command -v "$1"; }
has_python() { find_python; }
has_ffi() { compgen -G '/usr/include/ffi.h' || compgen -G '/usr/include/*/ffi.h'; }
has_formatter() { has clang-format || has clang-format-14; }
has_fuzzer() { echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer,address -x c -o /dev/null -; }

# A Python with the modules of a virtual environment and the headers that the C core is compiled with.
find_python() {
    local candidate suitable='
import os, sys, sysconfig, ensurepip, venv
assert sys.version_info >= (3, 11)
os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))'
    for candidate in /usr/bin/python3 $(type -ap python3 python3.{14,13,12,11}); do
        if "$candidate" -c "$suitable" 2>/dev/null; then echo "$candidate"; return; fi
    done
    return 1
}

# The rows of these groups whose check fails, as "need|packages|what".
missing() {
    local group need check packages what
    while IFS='|' read -r group need check packages what; do
        # Unquoted: the words without the blanks of the table.
        [[ " $* " == *" ${group// /} "* ]] || continue
        $check >/dev/null 2>&1 || echo "${need// /}|$(echo $packages)|$(echo $what)"
    done <<<"$table"
}

# Installing Mosquitto must not start its service: the packages' scripts ask policy-rc.d, which says no meanwhile.
install() {
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'rm -f '"$policy" EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq -y --no-install-recommends install "$@" >/dev/null
}

main() {
    if [[ ${1-} == python ]]; then find_python; return; fi
    local lacks need packages what status=0
    lacks=$(missing "$@")
    if [[ $lacks && $EUID -eq 0 ]] && has apt-get >/dev/null; then
        packages=$(cut -d'|' -f2 <<<"$lacks" | tr '\n' ' ')
        echo "installing $packages"
        install $packages || echo "apt-get could not install them all" >&2
        lacks=$(missing "$@")
    fi
    [[ $lacks ]] || return 0
    while IFS='|' read -r need packages what; do
        echo "missing ($need): $what; Debian packages: $packages" >&2
        [[ $need == optional ]] || status=1
    done <<<"$lacks"
    return "$status"
}

main "$@"
