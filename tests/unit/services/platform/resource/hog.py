"""A process that takes as many MiB as it is told, and as many again on SIGUSR1 until SIGUSR2."""

import signal
import sys

_MIB = 1024 * 1024


def filled(size_mib: int) -> bytearray:
    """Written to, so that it is really there."""
    return bytearray(b"x") * (size_mib * _MIB)


def main() -> None:
    size_mib = int(sys.argv[1])
    held = [filled(size_mib)]
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        if signal.sigwait({signal.SIGUSR1, signal.SIGUSR2}) == signal.SIGUSR1:
            held.append(filled(size_mib))
        else:
            del held[1:]


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
    main()
