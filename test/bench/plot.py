"""The rows as an SVG: each bar is the value over its target, so that all fit one scale; the line is
the target, the whisker the spread."""
import html

WIDTH, LEFT, BAR, GAP, TOP = 930, 400, 18, 12, 34
SCALE_MAX = 2.5


def share(row, value):
    """How far a value is towards the target: 1 is met, more is better."""
    if not value:
        return 0.0
    return value / row["target"] if row["better"] == "more" else row["target"] / value


def bar(row, y):
    def x(value):
        return LEFT + min(share(row, value), SCALE_MAX) / SCALE_MAX * (WIDTH - LEFT - 90)
    label = row["what"] + (f", {row['connections']} conn." if "connections" in row else "")
    met = share(row, row["ratio"]) >= 1
    low, high = sorted((x(row["low"]), x(row["high"])))
    middle = y + BAR / 2
    return f"""
<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{html.escape(f"{row['id']} {label}")}</text>
<rect x="{LEFT}" y="{y}" width="{x(row['ratio']) - LEFT:.1f}" height="{BAR}" class="{'met' if met else 'missed'}"/>
<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {y + 4}v{BAR - 8}M{high:.1f} {y + 4}v{BAR - 8}" class="spread"/>
<text x="{max(x(row['ratio']), high) + 6:.1f}" y="{y + 14}">{row['ratio']:g} {row['unit'] if row['unit'] != 'ratio' else 'x'}</text>"""


def svg(rows):
    height = TOP + len(rows) * (BAR + GAP) + 10
    target = LEFT + (WIDTH - LEFT - 90) / SCALE_MAX
    bars = "".join(bar(row, TOP + i * (BAR + GAP)) for i, row in enumerate(rows))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<style>.met{{fill:#3a7d44}}.missed{{fill:#c0562f}}.spread{{stroke:#222;fill:none}}.target{{stroke:#666;stroke-dasharray:4 3}}</style>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<path d="M{target:.1f} 24V{height - 6}" class="target"/>
<text x="{target:.1f}" y="18" text-anchor="middle">target</text>{bars}
</svg>
"""
