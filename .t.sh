swift build -c release --build-tests 2>&1 | grep -E 'error|warning: |Build' | head -${N:-40}
[ ${PIPESTATUS[0]} = 0 ] || exit 1
swift test -c release --skip-build "$@" > /tmp/lt.log 2>&1; echo rc $?; grep -a -E "^✘|run with|left" /tmp/lt.log | cut -c1-600| cat -v | head -60
