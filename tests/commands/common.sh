# common.sh - sourced by every tests/commands/test_*.sh, which are called with
#     PROGRAM  SOURCE_FOLDER  TINY_MODEL  WORK_FOLDER
# Leaves the script in an empty work folder; the script ends with `finish`.
set -u
PROGRAM=$1
SOURCE=$2
TINY=$3
WORK=$4
FIXTURES=$SOURCE/tests/fixtures
WAVE=$FIXTURES/great_wave.jpg
QUICK="--model $TINY --duration 1 --steps 2"

rm -rf "$WORK"
mkdir -p "$WORK"
cd "$WORK" || exit 1
failures=0
checks=0

arttomus() { "$PROGRAM" "$@"; }

fail()
{
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# expect CODE REGEX COMMAND...: the exit code, and one line on stderr that matches.
# Nothing may be left behind that was not there before.
expect()
{
    local code=$1 regex=$2 before after rc
    shift 2
    checks=$((checks + 1))
    before=$(find . | sort)
    "$@" > "$WORK.stdout" 2> "$WORK.stderr"
    rc=$?
    after=$(find . | sort)
    [ "$rc" = "$code" ] || fail "exit code $rc, not $code: $* ($(head -c 300 "$WORK.stderr"))"
    grep -Eq -- "$regex" "$WORK.stderr" || fail "no '$regex' on stderr: $* ($(head -c 300 "$WORK.stderr"))"
    [ "$(grep -vc 'warning:' "$WORK.stderr")" = 1 ] || fail "not one line on stderr: $* ($(cat "$WORK.stderr"))"
    [ "$before" = "$after" ] || fail "files appeared or vanished: $* ($(diff <(echo "$before") <(echo "$after")))"
}

# works COMMAND...: exit code 0.
works()
{
    checks=$((checks + 1))
    "$@" > "$WORK.stdout" 2> "$WORK.stderr" || fail "exit code $?: $* ($(head -c 300 "$WORK.stderr"))"
}

same() { checks=$((checks + 1)); cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
differ() { checks=$((checks + 1)); ! cmp -s "$1" "$2" || fail "$1 and $2 are the same"; }
exists() { checks=$((checks + 1)); for f in "$@"; do [ -s "$f" ] || fail "$f is not there, or empty"; done; }
absent() { checks=$((checks + 1)); for f in "$@"; do [ ! -e "$f" ] || fail "$f is there"; done; }

finish()
{
    echo "$checks checks, $failures failures"
    [ "$failures" = 0 ]
    exit
}
