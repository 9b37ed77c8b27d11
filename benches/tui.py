#!/usr/bin/env python3
"""Drives a terminal program in a pty and measures it: a terminal that answers what programs ask of terminals.

  tui.py [--cols 200 --rows 50] [--mute] [--no-status] [--step STEP]... -- COMMAND...

A STEP is one of
  wait:REGEX[:SECONDS]   until the screen matches (prints the time since the step before, in ms)
  key:TEXT               send keys (\\r, \\t, \\x1b and so on are understood)
  idle:SECONDS           measure CPU %, bytes written to the terminal, writes, over that time
  rss                    resident memory, now and at most, MiB (of the process and its children)
  screen                 print the screen
  lat:N:KEY1:KEY2        send N keys, KEY1 and KEY2 in turn 80 ms apart; print p50 and p99 of the time to
                         the first byte that answers and to the last byte before quiet
Prints one JSON object a step. --no-status does not answer CSI 5 n, --mute answers nothing.
Needs psutil and pyte.
"""
import argparse, fcntl, json, os, pty, re, select, signal, struct, sys, termios, time
import psutil, pyte

# Status, place of the cursor, primary and secondary attributes, a mode's state, a colour.
ASKED = re.compile(rb"\x1b\[5n|\x1b\[\??6n|\x1b\[0?c|\x1b\[>0?c|\x1b\[\?(\d+)\$p|\x1b\](1[01]);\?(?:\x07|\x1b\\)")
# The beginning of one of these, cut off by the end of what was read.
CUT = re.compile(rb"\x1b(\[[?>]?\d*\$?|\](1[01]?;?\??\x1b?)?)?\Z")
# Set or reset modes that this terminal can have; others are not known to it.
MODES = {b"2026": b"2", b"2004": b"2", b"1004": b"2", b"25": b"1", b"7": b"1"}


def quantile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))] if values else None


def unescape(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


class Terminal:
    """A program in a terminal of its own. Bytes are read by `pump`, and drawn when somebody looks at the `display`."""

    def __init__(self, argv, cols=80, rows=24, env=None, mute=False, status=True):
        self.mute, self.status = mute, status
        self.screen = pyte.Screen(cols, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.undrawn, self.cut = [], b""
        self.bytes = self.writes = 0
        self.closed = False
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            for name in ("TMUX", "STY", "NO_COLOR"):
                os.environ.pop(name, None)
            os.environ.update(env or {})
            # The size is there before the program looks at it.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            try:
                os.execvp(argv[0], argv)
            finally:
                os._exit(127)
        self.process = psutil.Process(self.pid)

    def send(self, data):
        os.write(self.fd, data)

    def pump(self, seconds):
        """Reads what has come, for at most so long; answers questions. The number of bytes, -1 at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return 0
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return -1
        self.bytes += len(data)
        self.writes += 1
        self.undrawn.append(data)
        if not self.mute:
            self.answer(self.cut + data)
        return len(data)

    def answer(self, data):
        for asked in ASKED.finditer(data):
            what, mode, colour = asked[0], asked[1], asked[2]
            if what == b"\x1b[5n":
                reply = b"\x1b[0n" if self.status else b""
            elif what.endswith(b"6n"):
                self.draw()
                reply = b"\x1b[%d;%dR" % (self.screen.cursor.y + 1, self.screen.cursor.x + 1)
            elif mode:
                reply = b"\x1b[?%s;%s$y" % (mode, MODES.get(mode, b"0"))
            elif colour:
                reply = b"\x1b]%s;rgb:%s\x1b\\" % (colour, b"ffff/ffff/ffff" if colour == b"10" else b"0000/0000/0000")
            else:
                reply = b"\x1b[>41;354;0c" if b">" in what else b"\x1b[?62;22c"
            if reply:
                os.write(self.fd, reply)
        cut = CUT.search(data)
        self.cut = cut[0] if cut else b""

    def draw(self):
        for data in self.undrawn:
            try:
                self.stream.feed(data)
            except Exception:  # a sequence that pyte does not know; the rest of that read is lost
                pass
        self.undrawn.clear()

    @property
    def display(self):
        self.draw()
        return [line.rstrip() for line in self.screen.display]

    def wait(self, regex, seconds=60.0, tick=0.01):
        """Until the screen matches: seconds since the start, or none."""
        end, regex = time.perf_counter() + seconds, re.compile(regex)
        while time.perf_counter() < end:
            if self.pump(tick) == -1:
                return None
            now = time.perf_counter()
            if self.undrawn and regex.search("\n".join(self.display)):
                return now - self.began
        return None

    def processes(self):
        try:
            return [self.process] + self.process.children(recursive=True)
        except psutil.Error:
            return []

    def cpu(self):
        """Seconds of CPU, of the process and its children, those that have ended too."""
        total = 0.0
        for p in self.processes():
            try:
                total += sum(p.cpu_times()[:4])
            except psutil.Error:
                pass
        return total

    def memory(self):
        """Resident now and at most, MiB, of the process and its children."""
        now = most = 0
        for p in self.processes():
            try:
                status = open(f"/proc/{p.pid}/status").read()
            except OSError:
                continue
            kib = {k: int(v.split()[0]) for k, _, v in (l.partition(":") for l in status.splitlines()) if k in ("VmRSS", "VmHWM")}
            now, most = now + kib.get("VmRSS", 0), most + kib.get("VmHWM", 0)
        return now / 1024, most / 1024

    def settle(self, quiet=0.3, seconds=10.0):
        """Until nothing has come for `quiet` seconds; false when that never was."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if self.pump(quiet) <= 0:
                return True
        return False

    def idle(self, seconds):
        """CPU, bytes and writes while nothing is typed. A burst is what comes without half a second's pause."""
        cpu, count, writes, began = self.cpu(), self.bytes, self.writes, time.perf_counter()
        bursts, last = [], 0.0
        while (left := began + seconds - time.perf_counter()) > 0:
            got = self.pump(min(left, 0.5))
            if got == -1:
                break
            if got:
                now = time.perf_counter()
                if now - last > 0.5:
                    bursts.append(0)
                bursts[-1] += got
                last = now
        dt = time.perf_counter() - began
        return {"seconds": round(dt, 1), "cpu_pct": (self.cpu() - cpu) / dt * 100, "bytes_per_s": (self.bytes - count) / dt,
                "writes_per_s": (self.writes - writes) / dt, "bytes": self.bytes - count, "burst_bytes": bursts}

    def keys(self, keys, gap=0.08):
        """Sends keys one by one; for each the ms to the first byte and to the last before quiet, and the bytes."""
        first, last, sizes = [], [], []
        for key in keys:
            while self.pump(0.01) > 0:
                pass
            began, count = time.perf_counter(), self.bytes
            self.send(key)
            if self.pump(1.0) <= 0:
                first.append(1000.0), last.append(1000.0), sizes.append(0)
                continue
            at = time.perf_counter()
            first.append((at - began) * 1000)
            while (left := began + gap - time.perf_counter()) > 0:
                if self.pump(min(left, 0.005)) > 0:
                    at = time.perf_counter()
            last.append((at - began) * 1000)
            sizes.append(self.bytes - count)
        q = lambda v, p: round(quantile(v, p), 2)
        return {"n": len(first), "first_p50": q(first, .5), "first_p99": q(first, .99), "last_p50": q(last, .5), "last_p99": q(last, .99),
                "bytes_p50": q(sizes, .5), "bytes_p90": q(sizes, .9), "unanswered": first.count(1000.0)}

    def close(self, seconds=2.0):
        """Ends it: asked first, so that it leaves its state in order."""
        family = self.processes()
        for p in family:
            try:
                p.send_signal(signal.SIGTERM)
            except psutil.Error:
                pass
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and self.pump(0.05) != -1:
            pass
        for p in family:
            try:
                p.kill()
            except psutil.Error:
                pass
        os.close(self.fd)
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--cols", type=int, default=200); a.add_argument("--rows", type=int, default=50)
    a.add_argument("--mute", action="store_true"); a.add_argument("--no-status", action="store_true")
    a.add_argument("--step", action="append", default=[]); a.add_argument("command", nargs=argparse.REMAINDER)
    o = a.parse_args()
    command = o.command[1:] if o.command[:1] == ["--"] else o.command
    if not command:
        a.error("no command")
    rounded = lambda d: {k: round(v, 2) if isinstance(v, float) else v for k, v in d.items()}
    say = lambda **k: print(json.dumps(rounded(k)), flush=True)
    with Terminal(command, o.cols, o.rows, mute=o.mute, status=not o.no_status) as t:
        last = t.began
        for step in o.step:
            kind, _, rest = step.partition(":")
            if kind == "wait":
                m = re.match(r"(.*?)(?::(\d+))?$", rest)
                at = t.wait(m[1], float(m[2] or 60))
                say(step=kind, regex=m[1], ok=at is not None, ms=round((time.perf_counter() - last) * 1000), cpu_s=t.cpu())
                if at is None:
                    print("\n".join(t.display))
                    return 1
                last = time.perf_counter()
            elif kind == "key":
                t.send(unescape(rest)); last = time.perf_counter()
            elif kind == "idle":
                say(step=kind, **t.idle(float(rest))); last = time.perf_counter()
            elif kind == "rss":
                now, most = t.memory()
                say(step=kind, mib=now, most_mib=most)
            elif kind == "screen":
                print("\n".join(t.display))
            elif kind == "lat":
                n, *keys = rest.split(":")
                say(step=kind, **t.keys(unescape(keys[i % len(keys)]) for i in range(int(n)))); last = time.perf_counter()
            else:
                a.error(f"no such step: {step}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
