#!/usr/bin/env python3
"""Measures this program and its peers on the same data in the same run. See docs/benchmarks.md.

    bench.py [--sets 1,2] [--peers restic,borg] [--runs 3] [--ours-only | --peers-only] [--work DIR] [--json FILE]
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import zipfile

import measure
from datasets import DataSet
from tools import PEERS, Ours

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = ["initial", "unchanged", "one file changed", "+200 MB", "duplicated tree", "restore to folder", "restore to ZIP",
         "diff", "find", "check", "check, all data", "forget", "prune"]


def main():
    options = arguments()
    os.makedirs(options.work, exist_ok=True)
    tools = [] if options.peers_only else [Ours]
    tools += [] if options.ours_only else [PEERS[name] for name in options.peers]
    for tool in [tool for tool in tools if not tool.installed(options)]:
        print(f"{tool.name} is not installed: left out")
        tools.remove(tool)
    if not tools:
        sys.exit("nothing to measure")
    result = {"machine": machine(), "runs": options.runs, "scale": options.scale,
              "versions": {tool.name: tool.version(options) for tool in tools}, "sets": {}}
    for number in options.sets:
        data = DataSet(options.work, number, options.scale)
        data.make()
        result["sets"][number] = costs = {tool.name: medians(tool, data, options) for tool in tools}
        print_table(number, data, costs)
    with open(options.json, "w") as f:
        json.dump(result, f, indent=1)
    print(f"\nas JSON: {options.json}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
    names = lambda text: [name for name in text.split(",") if name]
    parser.add_argument("--work", default="/tmp/cloudstic-bench", help="where all data goes (some 6 GB)")
    parser.add_argument("--bin", default=os.path.join(target, "release"), help="the folder of our programs")
    parser.add_argument("--sets", default=[1, 2], type=lambda text: [int(n) for n in names(text)])
    parser.add_argument("--peers", default=list(PEERS), type=names, help="of " + ", ".join(PEERS))
    parser.add_argument("--runs", default=3, type=int, help="the table shows medians")
    parser.add_argument("--scale", default=1.0, type=float, help="0.01 tries the program on a hundredth of the data")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--ours-only", action="store_true")
    only.add_argument("--peers-only", action="store_true")
    parser.add_argument("--json", default=None, metavar="FILE", help="default: WORK/result.json")
    options = parser.parse_args()
    if unknown := set(options.peers) - PEERS.keys():
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    if not set(options.sets) <= {1, 2}:
        parser.error("the sets are 1 and 2")
    options.work = os.path.abspath(options.work)
    options.json = options.json or os.path.join(options.work, "result.json")
    return options


def medians(tool, data, options):
    """The median cost of each step over all runs; a step that the program cannot do is None."""
    runs = []
    for run in range(options.runs):
        print(f"set {data.number}: {tool.name}, run {run + 1} of {options.runs}", flush=True)
        runs.append(one_run(tool, data, options))
    median = lambda step, field: statistics.median(run[step][field] for run in runs)
    return {step: {field: median(step, field) for field in runs[0][step]} if runs[0][step] else None for step in STEPS}


def one_run(tool_class, data, options):
    """All steps once, on a new repository. What is restored is the tree with one changed file."""
    folder = os.path.join(options.work, tool_class.name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    data.reset()
    tool = tool_class(folder, options)
    costs = {}

    def step(name, action):
        os.sync()
        cost = action()
        size = measure.folder_size(tool.repository)
        costs[name] = cost and {"wall": cost.wall, "cpu": cost.cpu, "rss": cost.rss, "size": size}

    try:
        tool.prepare()
        step("initial", lambda: tool.backup(data.path, 1))
        step("unchanged", lambda: tool.backup(data.path, 2))
        data.change_one_file()
        step("one file changed", lambda: tool.backup(data.path, 3))
        step("restore to folder", lambda: restore(tool, data, os.path.join(folder, "restored")))
        step("restore to ZIP", lambda: archive(tool, data, os.path.join(folder, "restored.zip")))
        data.add()
        step("+200 MB", lambda: tool.backup(data.path, 4))
        data.duplicate()
        step("duplicated tree", lambda: tool.backup(data.path, 5))
        step("diff", lambda: tool.diff(2, 3))
        step("find", lambda: tool.find("05?"))
        step("check", tool.check)
        step("check, all data", tool.check_data)
        # Of what the last two have added, all has to go.
        step("forget", tool.forget_latest)
        tool.forget_latest()
        step("prune", tool.prune)
    finally:
        tool.close()
    shutil.rmtree(folder)
    return costs


def restore(tool, data, target):
    os.mkdir(target)
    cost = tool.restore(data.path, target, 3)
    if data.files_and_bytes(target) != data.files_and_bytes():
        raise measure.Failed(f"{tool.name} restored {data.files_and_bytes(target)}, not {data.files_and_bytes()}")
    shutil.rmtree(target)
    return cost


def archive(tool, data, path):
    with open(path, "wb") as file:
        cost = tool.archive(data.path, file)
    if cost is not None:
        files = [info for info in zipfile.ZipFile(path).infolist() if not info.is_dir()]
        if (len(files), sum(info.file_size for info in files)) != data.files_and_bytes():
            raise measure.Failed(f"{tool.name} did not archive all of {data.path}")
    os.unlink(path)
    return cost


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}


def print_table(number, data, costs):
    """One block a step; the ratio is to the best wall time among the peers."""
    count, total = data.files_and_bytes()
    print(f"\nset {number} ({count:,} files, {total / 1e6:,.0f} MB with all additions)")
    print(f"{'step':<18} {'program':<10} {'wall s':>8} {'ratio':>7} {'CPU s':>8} {'RSS MB':>8} {'repository MB':>14}")
    for step in STEPS:
        walls = [cost[step]["wall"] for name, cost in costs.items() if cost[step] and name != Ours.name]
        best = min(walls, default=None)
        for name, cost in costs.items():
            if not (c := cost[step]):
                print(f"{step:<18} {name:<10} {'-':>8}")
                continue
            ratio = f"{c['wall'] / best:.2f}" if best else "-"
            print(f"{step:<18} {name:<10} {c['wall']:>8.2f} {ratio:>7} {c['cpu']:>8.2f} {c['rss'] / 1e6:>8.0f} "
                  f"{c['size'] / 1e6:>14.1f}")


if __name__ == "__main__":
    try:
        main()
    except measure.Failed as why:
        sys.exit(f"bench: {why}")
