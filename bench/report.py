"""Figures as JSON for programs and as Markdown for people."""

import json


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def line(row):
    target = ""
    if row["target"] is not None:
        sign = "≥" if row["better"] == "more" else "≤"
        target = f"{sign} {number(row['target'])} {row['unit']}"
    reached = {None: "", True: "yes", False: "**no**"}[row["reached"]]
    return (f"| {row['what']} | {number(row['value'])} {row['unit']} | {target} | {reached} | "
            f"{row['base']} |")


def markdown(document):
    m = document["machine"]
    out = ["# Benchmarks", "",
           f"{m['cpu']}, {m['cpus']} CPUs, {m['memory_mib']} MiB, Linux {m['kernel']}, load average "
           f"{m['load_average']:.1f} at the start. Medians of {document['pairs']} rounds of "
           f"{document['seconds']} s. Classes: A in memory, B survives kill -9, C survives power "
           "loss; ours is C.", ""]
    for case in document["cases"]:
        out += [f"## {case['title']}", "", "| what | figure | required | reached | beside it |",
                "| --- | --- | --- | --- | --- |", *(line(r) for r in case["rows"]), ""]
    return "\n".join(out)


def write(document, folder):
    with open(f"{folder}/latest.json", "w") as f:
        json.dump(document, f, indent=1)
    text = markdown(document)
    with open(f"{folder}/latest.md", "w") as f:
        f.write(text)
    return text
