#!/usr/bin/env python3
"""Prints docs/placement-figures.md: what policies find cached on the recorded traces, by `emberway replay`.

    scripts/placement-figures.py --emberway target/release/emberway --traces ../shared/traces > docs/placement-figures.md
"""

import argparse
import json
import pathlib
import subprocess
import sys

TRACES = ["mooncake_conversation.jsonl", "toolagent_like.jsonl.gz", "agentic_coding_replay.jsonl.gz", "gateway_mix.jsonl.gz"]
POLICIES = ["nested", "head_hash", "litellm_prefix", "sglang_cache_aware", "preble_e2", "dualmap", "round_robin", "least_busy", "latency"]
SEEDS = [1, 2, 3]


def rows(arguments, *flags):
    """The JSON rows of a replay of all traces, once for each seed."""
    traces = [str(arguments.traces / trace) for trace in TRACES]
    found = []
    for seed in SEEDS:
        command = [arguments.emberway, "replay", *traces, "--json", "--no-progress", "--seed", str(seed), *flags]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found += [json.loads(line) for line in done.stdout.splitlines()]
    return found


def mean(found, column, **wanted):
    """The mean over seeds of a column, in percent."""
    values = [row[column] for row in found if all(row[name] == value for name, value in wanted.items())]
    assert len(values) == len(SEEDS), (wanted, len(values))
    return 100 * sum(values) / len(values)


def table(header, numbers_from, lines):
    print("| " + " | ".join(header) + " |")
    print("| " + " | ".join("---" if at < numbers_from else "---:" for at in range(len(header))) + " |")
    for line in lines:
        print("| " + " | ".join(line) + " |")
    print()


def names():
    return [trace.split(".")[0] for trace in TRACES]


def policies(arguments):
    found = rows(arguments, "--replicas", "1,4,8", "--limit-factor", "1.5,2,4", "--policy", ",".join(POLICIES))
    for replicas in [1, 4, 8]:
        print(f"### {replicas} gateway{'s' if replicas > 1 else ''}\n")
        lines = []
        for trace in names():
            for factor in [1.5, 2.0, 4.0]:
                wanted = {"trace": trace, "replicas": replicas, "limit_factor": factor}
                hits = [mean(found, "hit_of_bound", policy=policy, **wanted) for policy in POLICIES]
                refused = [mean(found, "refused", policy=policy, **wanted) for policy in POLICIES]
                best = max(round(hit, 1) for hit in hits)
                cells = []
                for hit, refusals in zip(hits, refused):
                    cell = f"{hit:.1f} / {refusals:.2f}"
                    cells.append(f"**{cell}**" if round(hit, 1) == best else cell)
                lines.append([trace, f"×{factor:g}", *cells])
        table(["trace", "limit", *POLICIES], 2, lines)


def hosted(arguments):
    flags = ["--provider", "hosted", "--replicas", "4", "--limit-factor", "2", "--machines", "8,32,128"]
    found = rows(arguments, *flags, "--requests-per-minute", "10,15,30", "--cache-key", "off,auto")
    lines = []
    for trace in names():
        for machines in [8, 32, 128]:
            cells = []
            for rate in [10, 15, 30]:
                wanted = {"trace": trace, "machines": machines, "requests_per_minute": rate}
                off, auto = (mean(found, "hit_of_bound", cache_key=key, **wanted) for key in ["off", "auto"])
                cells.append(f"{off:.1f} → {auto:.1f}")
            lines.append([trace, str(machines), *cells])
    table(["trace", "machines", "10 a minute", "15 a minute", "30 a minute"], 2, lines)


def outage(arguments):
    flags = ["--replicas", "4", "--limit-factor", "4", "--regions", "2", "--outage", "0:1200:1800"]
    spanning, not_spanning = rows(arguments, *flags), rows(arguments, *flags, "--no-spanning")
    lines = []
    for trace in names():
        cells = []
        for column, digits in [("hit_of_bound", 2), ("refused", 2), ("failed", 2)]:
            cells += [f"{mean(found, column, trace=trace):.{digits}f}" for found in [not_spanning, spanning]]
        lines.append([trace, *cells])
    header = ["trace", "hit, not spanning", "hit, spanning", "refused, not spanning", "refused, spanning"]
    table([*header, "failed, not spanning", "failed, spanning"], 1, lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emberway", required=True, help="the program")
    parser.add_argument("--traces", required=True, type=pathlib.Path, help="the folder with the traces")
    arguments = parser.parse_args()
    missing = [trace for trace in TRACES if not (arguments.traces / trace).exists()]
    if missing:
        sys.exit(f"{arguments.traces} has no {', '.join(missing)}")
    print(
        f"""# Placement in figures

Written by `make figures`, which plays four recorded traces ([placement.md](placement.md#replay)) with eight deployments, caches that
forget after ten idle minutes, and the mean of {len(SEEDS)} seeds. All in percent. The last digit is chance.

## Policies

Hit of the bound (what one cache over all traffic would find) / refused attempts per request, by the number of gateways that share nothing and
by each deployment's limit as a multiple of its fair share. Bold is the best hit of a row.
"""
    )
    policies(arguments)
    print(
        """## Keys at a hosted provider

Four gateways, limits ×2. A deployment is so many machines, and a machine takes so many requests a minute of one beginning and key; hits from
1,024 tokens. Hit of the bound of nested placement without `prompt_cache_key` → with keys where answers show that they pay (`auto`).
"""
    )
    hosted(arguments)
    print(
        """## Losing a region

Four gateways, limits ×4, deployments in two regions in turn, of which one fails in the 20th minute for ten minutes and loses its caches. Nested
placement that does not know the regions, and that lets a head's homes span them.
"""
    )
    outage(arguments)
    print(
        "Spanning gains next to nothing: a cold head has one home whatever the regions, and one that is hot enough for several soon has\n"
        "four, which span regions by chance. What carries over an outage is that every head has a next deployment in its order."
    )


main()
