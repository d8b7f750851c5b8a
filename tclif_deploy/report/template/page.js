"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const plots = read("plots"), rasters = read("rasters");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const drawn = new Map(); // element -> how to draw it again, in other colours

  const axis = (title, more) => ({
    title: { text: title, standoff: 6, font: { size: 12 } }, color: color("muted"), gridcolor: color("line"),
    zeroline: false, automargin: true, tickfont: { size: 11 }, ...more,
  });
  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: color("ink"), family: "inherit" },
    margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: false, dragmode: false, hovermode: "closest", ...more,
  });
  const line = (x0, x1, y0, y1, xref, yref) => ({
    type: "line", x0, x1, y0, y1, xref, yref, line: { color: color("level"), width: 1.2, dash: "dot" },
  });

  const trace = (s) => {
    const ink = color(s.role), base = { x: s.x, y: s.y, name: s.label };
    if (s.kind === "bars") {
      const span = s.low && { base: s.low, y: s.y.map((v, n) => v - s.low[n]) };
      return { ...base, type: "bar", ...span, marker: { color: ink, pattern: { shape: s.role === "float" ? "/" : "", fillmode: "overlay", fgcolor: color("paper"), solidity: 0.25, size: 6 } } };
    }
    if (s.kind === "points") return { ...base, mode: "markers", showlegend: false, marker: { color: ink, size: 8, symbol: s.role === "float" ? "circle-open" : "x" } };
    const steps = s.kind === "steps";
    return {
      ...base, mode: "lines",
      line: { color: ink, width: steps ? 1.2 : 1.8, shape: steps ? "hvh" : "linear", dash: s.role === "float" && !steps ? "6px,4px" : "solid" },
      fill: steps && s.role === "fixed" ? "tozeroy" : "none",
    };
  };

  const drawPlot = (element) => {
    const p = plots[element.dataset.plot];
    const shapes = [];
    if (p.shade) shapes.push({ type: "rect", x0: p.shade[0], x1: p.shade[1], y0: 0, y1: 1, yref: "paper", layer: "below", line: { width: 0 }, fillcolor: color("shade") });
    if (p.level !== null) shapes.push(line(0, 1, p.level, p.level, "paper", "y"));
    if (p.mark !== null) shapes.push(line(p.mark, p.mark, 0, 1, "x", "paper"));
    let data = p.series.map(trace), x = {}, y = {};
    if (p.log) y = { type: "log", dtick: 2, exponentformat: "power", range: [-0.2, 0.3 + Math.log10(Math.max(1, ...p.series.flatMap((s) => s.y)))] };
    if (p.shade) x = { range: p.shade.map((v) => 1.18 * v) };
    if (p.mark !== null) x = { range: [p.series[0].x[0], p.series[0].x.at(-1)] };
    if (p.series.some((s) => s.kind === "bars")) x = { type: "category" };
    if (p.cells) {
      const c = p.cells;
      data = [{
        type: "heatmap", z: c.z, x: c.columns, y: c.rows, zmin: 0, zmax: c.maximum || undefined, showscale: false, xgap: 1, ygap: 1,
        colorscale: [[0, color("cell-low")], [1, color("cell-high")]], hovertemplate: "%{y} / %{x}: %{z:.3f}<extra></extra>",
        ...(c.text && { text: c.text, texttemplate: "%{text}", textfont: { size: 11 } }),
      }];
      x = { type: "category", showgrid: false, ...(p.square && { constrain: "domain" }) };
      y = { type: "category", autorange: "reversed", showgrid: false, ...(p.square && { scaleanchor: "x", constrain: "domain" }) };
    }
    Plotly.react(element, data, layout({ barmode: "group", shapes, xaxis: axis(p.x, x), yaxis: axis(p.y, y) }), config);
  };

  const drawRaster = (figure) => {
    const { samples, layers } = rasters[figure.dataset.raster];
    const part = (name) => figure.querySelector(`[data-do="${name}"]`);
    const element = figure.querySelector(".plot");
    const bytes = layers.map((l) => Uint8Array.from(atob(l.bits), (c) => c.charCodeAt(0)));
    const choices = (select, names) => names.forEach((name, n) => select.add(new Option(name, n)));
    choices(part("layer"), layers.map((l) => l.name));
    choices(part("sample"), samples.map((s) => s.name));
    const draw = (keep) => {
      const l = +part("layer").value, s = +part("sample").value, [kept, steps, neurons] = layers[l].shape;
      const bit = (kind, n, t) => { const i = ((kind * kept + s) * neurons + n) * steps + t; return (bytes[l][i >> 3] >> (7 - (i & 7))) & 1; };
      const count = [0, 0, 0, 0], z = [];
      for (let n = 0; n < neurons; n++) {
        const row = new Array(steps);
        for (let t = 0; t < steps; t++) { const v = bit(0, n, t) + 2 * bit(1, n, t); count[v]++; row[t] = v || null; }
        z.push(row);
      }
      const ink = ["float", "fixed", "both"].map(color);
      const data = [{
        type: "heatmap", z, zmin: 0.5, zmax: 3.5, showscale: false, hovertemplate: "step %{x}, neuron %{y}<extra></extra>",
        colorscale: ink.flatMap((c, n) => [[n / 3, c], [(n + 1) / 3, c]]),
      }];
      const range = keep && element.layout ? element.layout.xaxis.range : [-0.5, samples[s].steps - 0.5];
      const more = { dragmode: "zoom", xaxis: axis("step", { range: [...range], showgrid: false }), yaxis: axis("neuron", { range: [-0.5, neurons - 0.5], showgrid: false }) };
      Plotly.react(element, data, layout(more), config);
      const all = count[1] + count[2] + count[3], say = (n) => n.toLocaleString("en");
      const caption = all ? `${say(count[3])} spikes in both, ${say(count[1])} only in float, ${say(count[2])} only in fixed; spike overlap (Jaccard) ${(count[3] / all).toFixed(3)}.` : "No neuron fires.";
      part("caption").textContent = `${layers[l].title}, ${samples[s].name}: ${caption}`;
      element.setAttribute("aria-label", `Spike raster, neurons over steps. ${part("caption").textContent}`);
    };
    const move = (shift, zoom) => {
      const [a, b] = element.layout.xaxis.range.map(Number), middle = (a + b) / 2 + shift * (b - a), half = ((b - a) / 2) * zoom;
      Plotly.relayout(element, { "xaxis.range": [middle - half, middle + half] });
    };
    part("layer").onchange = () => draw(true);
    part("sample").onchange = () => draw(false);
    part("all").onclick = () => draw(false);
    part("in").onclick = () => move(0, 0.5);
    part("out").onclick = () => move(0, 2);
    part("earlier").onclick = () => move(-0.5, 1);
    part("later").onclick = () => move(0.5, 1);
    draw(false);
    drawn.set(figure, () => draw(true));
  };

  const jobs = new Map(); // element -> how to draw it, drawn when it comes near the window
  document.querySelectorAll("[data-plot]").forEach((e) => jobs.set(e, drawPlot));
  document.querySelectorAll("[data-raster]").forEach((e) => jobs.set(e, drawRaster));
  const start = (element) => {
    if (drawn.has(element)) return;
    drawn.set(element, () => jobs.get(element)(element));
    jobs.get(element)(element);
  };
  const watcher = new IntersectionObserver((found) => found.forEach((f) => { if (f.isIntersecting) { watcher.unobserve(f.target); start(f.target); } }), { rootMargin: "600px" });
  jobs.forEach((_, element) => watcher.observe(element));

  const again = () => drawn.forEach((draw) => draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("beforeprint", () => { document.documentElement.dataset.print = ""; jobs.forEach((_, element) => start(element)); again(); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.print; again(); });
})();
