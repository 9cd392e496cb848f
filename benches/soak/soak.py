"""Hours of recording and hundreds of thousands of frames through the program, without storing them: memory must stay flat and time
be linear.

A recording of a minute is named many times (`somata sort A A A ...` joins them), and a movie of some files lies in a folder of
symbolic links to them.

usage: python soak.py SOMATA WORK sort HOURS | image FRAMES
"""
import json, os, pathlib, subprocess, sys, threading, time

PIECES = 10  # parts of a pass for which time and memory are told


def status(pid, name):
    """A field of /proc/PID/status in MB."""
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1000
    except OSError:
        pass
    return None


def watched(command, out):
    """Runs a command and returns, a pass, the seconds and the largest memory of each tenth of it."""
    process = subprocess.Popen([*command, "--out", str(out), "--events", "-", "--quiet"], stdout=subprocess.PIPE, text=True)
    largest, lock, ended = [0.0], threading.Lock(), threading.Event()

    def sample():
        while not ended.wait(0.05):
            now = status(process.pid, "VmRSS")
            if now:
                with lock:
                    largest[0] = max(largest[0], now)

    threading.Thread(target=sample, daemon=True).start()
    passes, current, piece, begun = {}, "", 0, time.monotonic()
    cpu = lambda: sum(map(int, open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    used = 0.0
    for line in process.stdout:
        event = json.loads(line)
        fraction = event.get("fraction")
        if fraction is not None:
            while piece < PIECES and fraction >= (piece + 1) / PIECES:
                now, busy = time.monotonic(), cpu()
                with lock:
                    memory, largest[0] = largest[0], 0.0
                passes.setdefault(current, []).append((now - begun, busy - used, memory))
                begun, used, piece = now, busy, piece + 1
        else:
            # There is one long pass a stage.
            current, piece, begun = event.get("stage", current), 0, time.monotonic()
            try:
                used = cpu()
            except OSError:
                pass
            with lock:
                largest[0] = 0.0
    ended.set()
    if process.wait():
        raise SystemExit(f"the program ended with {process.returncode}")
    return passes


def linked(files, times, folder):
    """A folder of links to `files`, `times` times, in order."""
    folder.mkdir(parents=True)
    for turn in range(times):
        for number, file in enumerate(files):
            (folder / f"{turn:05}_{number:05}{file.suffix}").symlink_to(file.resolve())
    return folder


def main():
    somata, work, kind, amount = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    work.mkdir(parents=True, exist_ok=True)
    made = work / f"{kind}_piece"
    if kind == "sort":
        if not made.exists():
            subprocess.run([somata, "simulate", "recording", "--kind", "tetrode", "--seconds", "60", str(made)], check=True)
        times = round(amount * 60)
        command = [somata, "sort", *[str(made)] * times, "--device", "cpu", "--threads", "2"]
    else:
        if not made.exists():
            subprocess.run([somata, "simulate", "movie", "--kind", "small", "--size", "64", "--frames", "2000", "--cells", "8", str(made)], check=True)
        times = round(amount / 2000)
        folder = work / f"frames_{times}"
        if not folder.exists():
            linked([made / "movie.tif"], times, folder)
        command = [somata, "image", str(folder), "--frame-rate", "30", "--device", "cpu", "--threads", "2"]
    out = work / f"{kind}_{times}_out"
    begun = time.monotonic()
    passes = watched(command, out)
    manifest = json.loads((out / "manifest.json").read_text())
    print(f"{kind}: {times} times the piece, {time.monotonic() - begun:.0f} s, peak {manifest['peak_memory_bytes'] / 1e6:.0f} MB\n")
    print("| pass | " + " | ".join(f"{10 * k + 10} %" for k in range(PIECES)) + " |")
    print("|---|" + "---|" * PIECES)
    for stage, rows in passes.items():
        print(f"| {stage}: processor, s | " + " | ".join(f"{busy:.1f}" for _, busy, _ in rows) + " |")
        print(f"| {stage}: memory, MB | " + " | ".join(f"{memory:.0f}" for _, _, memory in rows) + " |")


main()
