"""How long a report takes to open, what it costs, and how fast a click is answered: each page in a fresh browser, several times, the median.

    python load_times.py PAGE... [--repeat N] [--trace FOLDER]

From the start of the navigation: `painted` is the first content on the screen, `usable` the view at the top drawn and answering, `ready` every
drawing of the page made. `processor` is the time that the page's main thread worked until then, which other programs do not lengthen, `heap` the memory of the script, `process` that of the
page's process (proportional set size). `click` is the time from choosing a unit or cell to the drawings in view having followed.
"""

import argparse
import json
import statistics
from pathlib import Path

from browser import Browser, find_browser


def children(parent):
    """Processes below one, with their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text()
            if entry.name.isdigit() and int(stat.rsplit(")", 1)[1].split()[1]) == parent:
                found.append((int(entry.name), (entry / "cmdline").read_text()))
                found += children(int(entry.name))
        except OSError:
            continue
    return found


def page_memory_mb(browser):
    """Memory of the process of the page."""
    sizes = []
    for process, command in children(browser.process.pid):
        if "--type=renderer" in command:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            sizes.append(next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1000)
    return max(sizes, default=0.0)


def trace_of(browser):
    """Ends a trace; gives its events."""
    browser.session, session = None, browser.session
    events, note = [], browser.note

    def collect(message):
        if message.get("method") == "Tracing.dataCollected":
            events.extend(message["params"]["value"])
        note(message)

    browser.note = collect
    browser.call("Tracing.end")
    while "Tracing.tracingComplete" not in browser.events:
        collect(browser.message(120))
    browser.note, browser.session = note, session
    return events


def processor_until(events, name):
    """Seconds that the main thread of the page worked until a mark."""
    mark = next(e for e in events if e.get("name") == name)
    ours = [e for e in events if (e["pid"], e.get("tid")) == (mark["pid"], mark["tid"]) and e.get("ph") == "X" and e["ts"] < mark["ts"]]
    start = max(e["ts"] for e in events if e.get("name") == "navigationStart" and e["pid"] == mark["pid"] and e["ts"] < mark["ts"])
    worked = end = 0
    # Of events inside of each other the outermost counts.
    for event in sorted(ours, key=lambda e: (e["ts"], -e["dur"])):
        if event["ts"] >= max(start, end):
            end = event["ts"] + event["dur"]
            worked += event.get("tdur", 0)
    return worked / 1e6


def measure(path, trace=None):
    with Browser(find_browser()) as browser:
        browser.call("Performance.enable", timeDomain="threadTicks")
        categories = ["devtools.timeline", "blink.user_timing", *(["v8", "disabled-by-default-v8.cpu_profiler"] if trace else [])]
        browser.session, session = None, browser.session
        browser.call("Tracing.start", transferMode="ReportEvents", traceConfig={"includedCategories": categories})
        browser.session = session
        browser.open(path)
        marks = browser.run(
            "Object.fromEntries([...performance.getEntriesByType('mark'), ...performance.getEntriesByType('paint')].map((e) => [e.name, e.startTime / 1000]))"
        )
        metrics = {entry["name"]: entry["value"] for entry in browser.call("Performance.getMetrics")["metrics"]}
        memory = page_memory_mb(browser)
        events = trace_of(browser)
        if trace:
            Path(trace).write_text(json.dumps({"traceEvents": events}))
        clicks, works = [], []
        for k in range(1, 8):
            before = {entry["name"]: entry["value"] for entry in browser.call("Performance.getMetrics")["metrics"]}
            clicks.append(browser.run(
                f"new Promise((done) => {{ const start = performance.now(); choose({k * 7 % 40 + 1}); requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000))); }})"
            ))
            browser.settle()
            after = {entry["name"]: entry["value"] for entry in browser.call("Performance.getMetrics")["metrics"]}
            works.append(after["TaskDuration"] - before["TaskDuration"])
        return {
            "painted s": marks.get("first-contentful-paint", float("nan")),
            "usable s": marks.get("somata-usable", float("nan")),
            "ready s": marks.get("somata-ready", float("nan")),
            "processor-until-usable s": processor_until(events, "somata-usable"),
            "processor s": metrics["TaskDuration"],
            "heap MB": metrics["JSHeapUsedSize"] / 1e6,
            "process MB": memory,
            "click s": statistics.median(clicks),
            "processor-of-click s": statistics.median(works),
        }


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("pages", nargs="+", type=Path)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--trace", type=Path, help="folder for a trace of each page")
    given = arguments.parse_args()
    for path in given.pages:
        runs = [measure(path) for _ in range(given.repeat)]
        print(f"{path.name}, {path.stat().st_size / 1e6:.1f} MB: " + ", ".join(f"{name.split()[0]} {statistics.median(run[name] for run in runs):.2f} {name.split()[1]}" for name in runs[0]), flush=True)
        if given.trace:
            given.trace.mkdir(parents=True, exist_ok=True)
            measure(path, given.trace / f"{path.stem}.json")


if __name__ == "__main__":
    main()
