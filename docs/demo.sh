#!/bin/sh
# `make demo`: the real command line on real text that every machine with Python has.
set -eu

here=$(pwd)
library=$(python -c 'import sysconfig; print(sysconfig.get_paths()["stdlib"])')
demo=$(mktemp -d)
trap 'localembed serve --stop >/dev/null; rm -rf "$demo"' EXIT
export LOCALEMBED_WORKSPACE="$demo/workspace"
cd "$library"

show() {
	printf '\n\033[1m$ localembed'
	for word in "$@"; do
		case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
	done
	printf '\033[0m\n'
	localembed "$@"
}

show index asyncio json sqlite3 http email "$here/docs"
show query "wait for several tasks to finish" -k 3
show query "parse a date from a mail header" -k 3
show index
show status
