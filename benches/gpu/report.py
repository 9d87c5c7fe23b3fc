"""The table of a run, as the section of docs/performance.md."""

BARS = {("train_step", "released"): 0.6, ("train_step", "tuned"): 1.0, ("beam_3", "released"): 0.2}


def number(row, key, form="{:.1f}"):
    return form.format(row[key]) if row and row.get(key) is not None else "–"


def pairs(step):
    yield "| workload / PyTorch side | precision | ours, ms | PyTorch, ms | ratio | bar | our first run, ms | PyTorch's |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in step["table"]:
        bar = BARS.get((row["workload"].partition(":")[0], row["variant"]), "–")
        ratio = f"{row['ratio']:.3f}" if row["ratio"] else "–"
        yield (f"| `{row['workload']}` / {row['variant']} | {step['precision']} | {number(row['ours'], 'ms')} "
               f"| {number(row['torch'], 'ms')} | {ratio} | {bar} | {number(row['ours'], 'first_ms', '{:.0f}')} "
               f"| {number(row['torch'], 'first_ms', '{:.0f}')} |")


def kernels(table):
    """The kernels that took longest; a fused kernel's long name is cut."""
    yield "| kernel | ms | launches |"
    yield "|---|---|---|"
    total = next((row for row in table if row["kernel"] == "Total"), None)
    named = [row for row in table if row is not total]
    for row in named[:20]:
        yield f"| `{row['kernel'][:90]}` | {row['ms']:.2f} | {row['launches']} |"
    if others := named[20:]:
        yield f"| {len(others)} others | {sum(row['ms'] for row in others):.2f} | {sum(row['launches'] for row in others)} |"
    if total:
        yield f"| all | {total['ms']:.1f} | {total['launches']} |"


def products(table):
    """The fastest kernel for each product; rows come sorted by product and time."""
    yield "| product | fastest kernel | ms | TFLOP/s | kernels tried |"
    yield "|---|---|---|---|---|"
    shapes = {}
    for row in table:
        shapes.setdefault((row["rows"], row["inner"], row["columns"]), []).append(row)
    for (rows, inner, columns), tried in shapes.items():
        best = tried[0]
        yield (f"| {rows} × {inner} × {columns} | `{best['kernel']}` | {best['ms']:.4f} | {best['tflops']:.1f} "
               f"| {len(tried)} |")


def section(results):
    """Markdown, from the results of a run."""
    machine, steps = results["machine"], results["steps"]
    lines = [f"Device {results['device']}: {machine['gpu'] or 'no NVIDIA GPU'}; {machine['cores']} cores; "
             f"PyTorch {machine['torch']}.", ""]
    if results["dry"]:
        lines += ["A trial of the steps at small sizes; its times say nothing.", ""]
    for name in ("single", "bf16", "parts"):
        if "table" in steps.get(name, {}):
            lines += [*pairs(steps[name]), ""]
    if table := steps.get("kernels", {}).get("table"):
        lines += [*kernels(table), ""]
    if counts := steps.get("parity", {}).get("counts"):
        lines += [f"Parity: {counts}.", ""]
    phantom = steps.get("phantom", {})
    if "test" in phantom:
        rates = ", ".join(f"{rate:.0f}" for rate in phantom["studies_per_second"])
        lines += [f"Phantom run: test BLEU-4 {phantom['test']['bleu_4']:.3f}, findings F1 "
                  f"{phantom['test']['findings_f1_micro']:.3f}; {rates} studies a second in its epochs.", ""]
    if "table" in steps.get("batches", {}):
        lines += ["| batch | step, ms | studies a second | device memory, MiB |", "|---|---|---|---|"]
        for row in steps["batches"]["table"]:
            if "ms" in row:
                lines.append(f"| {row['batch']} | {row['ms']:.1f} | {1000 * row['batch'] / row['ms']:.0f} "
                             f"| {number(row, 'device_mb', '{:.0f}')} |")
            else:
                lines.append(f"| {row['batch']} | {row['failed']} | – | – |")
        lines.append("")
    for name, what in (("loader", "Training on drawn films at the published size"), ("films", "Training on real films")):
        if rates := steps.get(name, {}).get("studies_per_second"):
            lines += [f"{what}: {', '.join(f'{rate:.0f}' for rate in rates)} studies a second, epoch by epoch.", ""]
    if table := steps.get("products", {}).get("table"):
        lines += [*products(table), ""]
    compiled = steps.get("compiled", {}).get("table")
    if compiled and compiled[0]["torch"]:
        lines += [f"`torch.compile`: {compiled[0]['torch']['ms']:.1f} ms a training step.", ""]
    for name, step in steps.items():
        if step["outcome"] != "ok":
            lines.append(f"Step `{name}`: {step['outcome']}.")
    return "\n".join(lines).rstrip() + "\n"
