"""What every part of the proof says and insists on."""

import contextlib
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from emulators import Failure

_passed = 0
_one_at_a_time = threading.Lock()


def passed():
    """How many checks have held so far."""
    return _passed


@contextlib.contextmanager
def check(title):
    """One line of the proof, with what the block adds to it."""
    global _passed
    start = time.monotonic()
    line = [title]
    try:
        yield line
    except Failure as failure:
        print(f"  FAIL  {title}\n\n{failure}", flush=True)
        raise
    with _one_at_a_time:
        _passed += 1
        print(f"  ok    {': '.join(line)} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)


def section(title):
    print(f"\n{title}", flush=True)


def show(log):
    """The end of a log."""
    lines = log.read_text(errors="replace").splitlines()
    print(f"\n--- {log}, the last of {len(lines)} lines")
    print("\n".join(lines[-40:]))


def equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: wanted {wanted!r}, got {got!r}")


def run(*command):
    """Runs a program to its end; returns its standard output."""
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(what, look, seconds=30):
    """Looks again and again until there is something to see."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.3)
    return seen


def side_by_side(*paths):
    """Takes all the paths at the same time; what went wrong on one is raised when all have ended."""
    with ThreadPoolExecutor(len(paths)) as pool:
        taken = [pool.submit(path) for path in paths]
    for path in taken:
        path.result()
