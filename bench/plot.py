"""The plots of docs/performance.md: one SVG for each group of workloads, with matplotlib."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

from results import title  # noqa: E402

OURS, THEIRS = "#1f6f8b", "#b8c4cc"
WIDTH_INCHES, BAR_INCHES, HEAD_INCHES = 8.0, 0.24, 0.75


def value_of(results, workload, name):
    """(value, what it is) of one bar; None if there is none."""
    runs = results.runs(workload.key, name)
    if not runs:
        return None
    if workload.kind == "idle":
        return runs[0]["bytes"]
    if workload.kind == "latency":
        return results.median(workload.key, name, lambda run: run["p99_us"])
    if workload.kind == "mixed":
        return 1e6 * runs[0]["server_cpu_seconds"] / runs[0]["messages"]
    return results.rate(workload.key, name)


AXES = {"idle": "bytes each (less is better)", "latency": "p99 in microseconds (less is better)", "mixed": "CPU microseconds a message (less is better)"}


def draw_one(axes, results, workload):
    bars = [(title(name), value_of(results, workload, name), name) for name in results.names(workload.key)]
    bars = [bar for bar in bars if bar[1] is not None][::-1]
    drawn = axes.barh([bar[0] for bar in bars], [bar[1] for bar in bars], color=[OURS if bar[2].startswith("wsbeat") else THEIRS for bar in bars])
    axes.bar_label(drawn, labels=[f"{bar[1]:,.0f}" if bar[1] >= 100 else f"{bar[1]:.3g}" for bar in bars], padding=3, fontsize=7)
    axes.set_title(f"{workload.title}: {AXES.get(workload.kind, workload.units + ' per server CPU second')}", fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    axes.margins(x=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(results, folder):
    """Writes the plots into `folder` and returns their paths."""
    # The same results give the same bytes.
    matplotlib.rcParams.update({"svg.hashsalt": "wsbeat", "svg.fonttype": "none", "font.family": "sans-serif"})
    folder.mkdir(exist_ok=True)
    groups = {}
    for workload in results.workloads():
        groups.setdefault(workload.group, []).append(workload)
    paths = []
    for group, members in groups.items():
        heights = [HEAD_INCHES + BAR_INCHES * len(results.names(workload.key)) for workload in members]
        figure, axes = pyplot.subplots(len(members), 1, figsize=(WIDTH_INCHES, sum(heights)), height_ratios=heights, squeeze=False)
        for one, workload in zip(axes[:, 0], members):
            draw_one(one, results, workload)
        figure.tight_layout()
        paths.append(folder / (group.lower().replace(" ", "-") + ".svg"))
        figure.savefig(paths[-1], metadata={"Date": None})
        pyplot.close(figure)
    return paths
