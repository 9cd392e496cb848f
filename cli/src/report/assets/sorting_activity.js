// Who fired when: rates over the whole recording, and single spikes of a stretch.

function activity(parent, recording, units) {
  const both = grid(parent, 'two');
  const shanks = [...new Set(units.map((unit) => unit.shank))].sort((a, b) => a - b);
  const order = [...units].sort((a, b) => a.shank - b.shank || a.y_um - b.y_um);
  const place = new Map(order.map((unit, k) => [unit.unit_id, k]));
  const height = clamp(units.length * 7, 180, 460);
  const rowAt = (y) => order[clamp(Math.floor(y), 0, order.length - 1)];
  const y = { domain: [0, Math.max(1, order.length)], label: shanks.length > 1 ? 'units by shank and depth' : 'units by depth', ticks: [] };
  const left = shanks.length > 1 ? 72 : 26;
  /** The chosen unit, and where shanks end. */
  const marks = (plot) => {
    const { context, area } = plot;
    if (place.has(chosen.id)) {
      const k = place.get(chosen.id);
      context.strokeStyle = ink('mark');
      context.lineWidth = 1.5;
      context.strokeRect(area.left, plot.Y(k + 1) - .5, area.width, plot.Y(k) - plot.Y(k + 1) + 1);
    }
    let first = 0;
    for (const shank of shanks.length > 1 ? shanks : []) {
      const end = first + order.filter((unit) => unit.shank === shank).length;
      if (first > 0) plot.level(first, ink('soft'));
      // Beside the rows, so outside of what is clipped.
      context.restore();
      context.save();
      const [top, foot] = [clamp(plot.Y(end), area.top, area.top + area.height), clamp(plot.Y(first), area.top, area.top + area.height)];
      context.fillStyle = ink('soft');
      context.font = FONT;
      context.textAlign = 'right';
      context.textBaseline = 'middle';
      if (foot - top > 12) context.fillText(`shank ${shank}`, area.left - 5, (top + foot) / 2);
      first = end;
    }
  };
  const step = (plot, across, up) => up && choose(order[clamp((place.get(chosen.id) ?? 0) + up, 0, order.length - 1)]?.unit_id);

  const leftCard = card(both, 'Firing rate over the recording');
  const rates = new Rows('rates');
  const rateBin = block('unit-about').rate_bin_s;
  const nBins = () => rates.row(0).rate.length / Math.max(1, units.length);
  const rateOf = (unit, bin) => rates.row(0).rate[unit.unit_id * nBins() + bin];
  /** A pixel a bin and unit, to be enlarged; made again when the theme changes. */
  let heatPicture = null;
  on('theme', () => { heatPicture = null; });
  const pictureOfRates = () => {
    if (heatPicture) return heatPicture;
    const n = nBins();
    heatPicture = h('canvas', { width: n, height: order.length });
    const context = heatPicture.getContext('2d');
    const image = context.createImageData(n, order.length);
    const colours = Array.from({ length: 256 }, (_, value) => [...rampColour(value / 255), 255]);
    const { rate } = rates.row(0);
    order.forEach((unit, k) => {
      for (let bin = 0; bin < n; bin++) {
        const value = rate[unit.unit_id * n + bin];
        if (value) image.data.set(colours[value], 4 * ((order.length - 1 - k) * n + bin));
      }
    });
    context.putImageData(image, 0, 0);
    return heatPicture;
  };
  const heat = new Plot(leftCard, {
    label: 'firing rate of every unit over time', height, margin: { left }, needs: rates,
    x: { domain: [0, recording.duration_s], label: 'time, s' }, y,
    zoom: { x: Math.min(recording.duration_s, 10 * rateBin), y: 8, wheel: 'x' },
    draw: (plot) => {
      plot.context.imageSmoothingEnabled = false;
      const [x0, y1] = [plot.X(0), plot.Y(order.length)];
      plot.context.drawImage(pictureOfRates(), x0, y1, plot.X(recording.duration_s) - x0, plot.Y(0) - y1);
      marks(plot);
    },
    hover: (plot, x, at) => {
      const unit = rowAt(at);
      if (!unit || !rates.isThere) return null;
      const bin = clamp(Math.floor(x / rateBin), 0, nBins() - 1);
      return `unit ${unit.unit_id}, ${number(x, 4)} s: ${number((rateOf(unit, bin) / 255) * unit.largest_rate_hz)} Hz`;
    },
    click: (plot, x, at) => choose(rowAt(at)?.unit_id),
    step,
  });
  const rampKey = h('span', { class: 'legend' });
  const paintKey = () => rampKey.replaceChildren('silent', rampBar(), "the unit's own largest rate");
  paintKey();
  on('theme', paintKey);
  leftCard.append(h('p', { class: 'small' }, rampKey));

  const about = block('raster-about');
  const rows = new Rows('raster');
  const [from, to] = about.range_s;
  // A raster is read at some seconds at once.
  const first = Math.min(10, to - from);
  const right = card(both, about.whole ? 'Spikes' : `Spikes from ${number(from)} to ${number(to)} s`);
  const raster = new Plot(right, {
    label: 'single spikes of every unit', height, margin: { left }, needs: rows,
    x: { domain: about.range_s, label: 'time, s' }, y,
    zoom: { x: Math.min(.05, to - from), y: 8, wheel: 'x', first: first < to - from ? { x: [(from + to - first) / 2, (from + to + first) / 2] } : {} },
    baseKey: () => [],
    base: (plot) => spikesOf(plot, inkColour('raster'), () => true),
    draw: (plot) => {
      spikesOf(plot, inkColour('mark'), (id) => id === chosen.id);
      marks(plot);
    },
    hover: (plot, x, at) => (rowAt(at) ? `unit ${rowAt(at).unit_id}, ${fixed(x, 3)} s` : null),
    click: (plot, x, at) => choose(rowAt(at)?.unit_id),
    step,
  });
  function spikesOf(plot, colour, isWanted) {
    const { time, unit } = rows.row(0);
    const [low, high] = plot.x.domain;
    const tall = plot.Y(0) - plot.Y(1);
    plot.dots(
      time.length, (k) => plot.X(time[k] + from), (k) => plot.Y(place.get(unit[k]) + .5), [colour],
      (k) => (time[k] + from >= low && time[k] + from <= high && isWanted(unit[k]) ? 0 : -1), 1.1, 1, Math.max(1, tall * .8),
    );
  }
  right.append(h('p', { class: 'small help' }, 'Wheel: zoom in time (with alt: into the units); drag: move; double click: all that is here; arrows up and down: the next unit.'));
  on('chosen', () => { heat.redraw(); raster.redraw(); });
}
