swift build -c release --build-tests 2>&1 | grep -E 'error|warning: |Build' | head -${N:-40}
swift test -c release --skip-build "$@" > /tmp/lt.log 2>&1; echo rc $?; grep -E "✘|run with|left" /tmp/lt.log | cut -c1-600| head -60
