"""A program that tells what it was given and ends as it is told to: by a status, a signal, or an error."""

import atexit
import json
import os
import signal
import sys
import threading


def main() -> None:
    ends = sys.argv[1]
    about = {"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(), "session": os.getsid(0)}
    print(json.dumps(about | {"threads": threading.active_count(), "stdin": sys.stdin.read()}), flush=True)
    atexit.register(print, "tidied up")
    if ends == "waits":
        signal.pause()
    if ends == "crashes":
        os.abort()
    sys.exit(int(ends))


if __name__ == "__main__":
    main()
