"""Hours of recording and hundreds of thousands of frames through the program, without storing them: memory must stay flat and time
be linear.

A recording of a minute is named many times (`somata sort A A A ...` joins them), and a movie of some files lies in a folder of
symbolic links to them.

usage: python soak.py SOMATA WORK sort HOURS [--recording FOLDER] | image FRAMES [--size 64] [--movie FILE] [--memory 1GB]

`--size` is that of a movie's frames, in pixels, `--recording` and `--movie` (a TIFF file) are others that are named many times,
`--memory` what the program is told.
"""
import argparse, json, os, pathlib, subprocess, threading, time

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


def frames_of(somata, movie):
    """How many frames a movie has, as the program reads it."""
    told = subprocess.run([somata, "info", str(movie), "--json"], check=True, capture_output=True, text=True)
    return json.loads(told.stdout)["n_frames"]


def asked():
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("somata")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("kind", choices=["sort", "image"])
    parser.add_argument("amount", type=float, help="hours of a recording, frames of a movie")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--recording", type=pathlib.Path)
    parser.add_argument("--movie", type=pathlib.Path)
    parser.add_argument("--memory")
    return parser.parse_args()


def main():
    ask = asked()
    ask.work.mkdir(parents=True, exist_ok=True)
    if ask.kind == "sort":
        piece = ask.recording or ask.work / "sort_piece"
        if not piece.exists():
            subprocess.run([ask.somata, "simulate", "recording", "--kind", "tetrode", "--seconds", "60", str(piece)], check=True)
        alone = [ask.somata, "sort", str(piece), "--out", str(ask.work / "none"), "--dry-run", "--json"]
        seconds = json.loads(subprocess.run(alone, check=True, capture_output=True, text=True).stdout)["duration_s"]
        times = round(ask.amount * 3600 / seconds)
        command = [ask.somata, "sort", *[str(piece)] * times]
    else:
        piece = ask.movie
        if piece is None:
            made = ask.work / f"image_piece_{ask.size}"
            if not made.exists():
                subprocess.run(
                    [ask.somata, "simulate", "movie", "--kind", "small", "--size", str(ask.size), "--frames", "2000", "--cells", "8", str(made)],
                    check=True,
                )
            piece = made / "movie.tif"
        times = round(ask.amount / frames_of(ask.somata, piece))
        folder = ask.work / f"frames_{piece.parent.name}_{times}"
        if not folder.exists():
            linked([piece], times, folder)
        command = [ask.somata, "image", str(folder), "--frame-rate", "30"]
    command += ["--device", "cpu", "--threads", "2"]
    if ask.memory:
        command += ["--memory", ask.memory]
    plan = json.loads(subprocess.run([*command, "--out", str(ask.work / "none"), "--dry-run", "--json"], check=True, capture_output=True, text=True).stdout)
    out = ask.work / f"{ask.kind}_{piece.parent.name}_{times}_out"
    begun = time.monotonic()
    passes = watched(command, out)
    manifest = json.loads((out / "manifest.json").read_text())
    peak = manifest["peak_memory_bytes"] / 1e6
    print(f"{ask.kind}: {times} times the piece, {time.monotonic() - begun:.0f} s, peak {peak:.0f} MB, {plan['memory_bytes'] / 1e6:.0f} MB estimated\n")
    print("| pass | " + " | ".join(f"{10 * k + 10} %" for k in range(PIECES)) + " |")
    print("|---|" + "---|" * PIECES)
    for stage, rows in passes.items():
        print(f"| {stage}: processor, s | " + " | ".join(f"{busy:.1f}" for _, busy, _ in rows) + " |")
        print(f"| {stage}: memory, MB | " + " | ".join(f"{memory:.0f}" for _, _, memory in rows) + " |")


main()
