// Maps of the probe: where contacts and units are, and the noise of the channels.

/** Contacts as squares and units as discs, at their places. */
function probeMap(parent, recording, units) {
  const { channels } = recording;
  const [x0, x1] = extent(channels.map((c) => c.x));
  const [y0, y1] = extent(channels.map((c) => c.y));
  const pad = Math.max(20, .04 * Math.max(x1 - x0, y1 - y0));
  const place = { x: [x0 - pad, x1 + pad], y: [y0 - pad, y1 + pad] };
  // Contacts beside each other are drawn apart, so that a narrow probe is not a line.
  const wide = (x1 - x0 + 2 * pad) / (y1 - y0 + 2 * pad);
  const isFlat = wide > .45 && new Set(channels.map((c) => c.shank)).size === 1;
  const isSeen = new Set(units.map((u) => u.unit_id));
  const map = new Plot(parent, {
    label: `contacts of the probe and ${units.length} units at their places`,
    height: (width) => (isFlat ? clamp(width / wide, 180, 560) : 520),
    x: { domain: place.x, label: 'across (x), µm' },
    y: { domain: place.y, label: 'depth (y), µm' },
    draw: (plot) => {
      const { context } = plot;
      const nearest = nearestGap(channels);
      const scale = Math.min(plot.area.width / (place.x[1] - place.x[0]), plot.area.height / (place.y[1] - place.y[0]));
      const side = clamp(nearest * scale * .55, 2, 11);
      for (const channel of channels) {
        context.fillStyle = channel.bad ? ink('poor') : ink('line');
        context.fillRect(plot.X(channel.x) - side / 2, plot.Y(channel.y) - side / 2, side, side);
      }
      for (const unit of units) if (isSeen.has(unit.unit_id) && unit.unit_id !== chosen.id) disc(plot, unit);
      const own = units[chosen.id];
      if (!own || !isSeen.has(chosen.id)) return;
      // Above all others.
      disc(plot, own);
      context.lineWidth = 2.5;
      context.strokeStyle = ink('mark');
      context.beginPath();
      context.arc(plot.X(own.x_um), plot.Y(own.y_um), unitRadius(own) + 3, 0, 7);
      context.stroke();
    },
    hover: (plot, x, y, px, py) => {
      const unit = nearestUnit(plot, px, py);
      if (unit) return `unit ${unit.unit_id}, ${unit.label}\n${number(unit.metrics.n_spikes)} spikes, SNR ${number(unit.metrics.snr)}`;
      const at = channels.findIndex((c) => Math.hypot(plot.X(c.x) - px, plot.Y(c.y) - py) < 7);
      if (at < 0) return null;
      const channel = channels[at];
      return `channel ${at}${channel.bad ? `, left out: ${channel.bad}` : `, noise ${number(channel.noise_uv)} µV`}`;
    },
    click: (plot, x, y, px, py) => {
      const unit = nearestUnit(plot, px, py);
      if (unit) choose(unit.unit_id);
    },
    zoom: { x: Math.min(place.x[1] - place.x[0], 60), y: Math.min(place.y[1] - place.y[0], 60) },
    step: (plot, across, up) => {
      const from = units[chosen.id] || units[0];
      // The nearest in a cone that opens into the direction of the key.
      let best = null, least = Infinity;
      for (const unit of units) {
        const [dx, dy] = [unit.x_um - from.x_um, unit.y_um - from.y_um];
        const [along, beside] = across ? [across * dx, Math.abs(dy)] : [up * dy, Math.abs(dx)];
        if (unit !== from && isSeen.has(unit.unit_id) && along > 0 && along + 2 * beside < least) [best, least] = [unit, along + 2 * beside];
      }
      if (best) choose(best.unit_id);
    },
  });
  // Many are drawn smaller.
  const share = clamp(Math.sqrt(120 / Math.max(1, units.length)), .4, 1);
  const unitRadius = (unit) => clamp(2 + Math.sqrt(Math.abs(unit.peak_uv)) * .45, 3, 11) * share;
  function disc(plot, unit) {
    const { context } = plot;
    context.beginPath();
    context.arc(plot.X(unit.x_um), plot.Y(unit.y_um), unitRadius(unit), 0, 7);
    context.globalAlpha = unit.label === 'good' ? .85 : .4;
    context.fillStyle = ownColour(unit.unit_id);
    context.fill();
    context.globalAlpha = 1;
  }
  function nearestUnit(plot, px, py) {
    let best = null, least = 14;
    for (const unit of units) {
      if (!isSeen.has(unit.unit_id)) continue;
      const distance = Math.hypot(plot.X(unit.x_um) - px, plot.Y(unit.y_um) - py);
      if (distance < least) [best, least] = [unit, distance];
    }
    return best;
  }
  on('chosen', () => map.redraw());
  on('filtered-units', (shown) => {
    isSeen.clear();
    shown.forEach((unit) => isSeen.add(unit.unit_id));
    map.redraw();
  });
}

/** Distance of neighbouring contacts. */
function nearestGap(channels) {
  const few = channels.slice(0, 60);
  const gaps = few.map((a) => Math.min(...channels.filter((b) => b !== a).map((b) => Math.hypot(a.x - b.x, a.y - b.y)).filter((d) => d > 0), 1e9));
  return gaps.length ? gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)] : 20;
}

/** Noise of every channel, and those that were left out. */
function channelPanel(parent, recording) {
  const { channels } = recording;
  const bad = channels.map((c, k) => [k, c]).filter(([, c]) => c.bad);
  const known = channels.map((c) => c.noise_uv).filter((v) => v !== null);
  const most = Math.max(1e-9, ...known);
  const sorted = [...known].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  const box = card(parent, 'Noise of each channel');
  new Plot(box, {
    label: 'noise of each channel', height: 170,
    x: { domain: [-.5, channels.length - .5], label: 'channel' },
    y: { domain: [0, most * 1.08], label: 'noise, µV' },
    draw: (plot) => {
      const wide = Math.max(1, plot.area.width / channels.length - (channels.length < 200 ? 1.5 : 0));
      channels.forEach((channel, k) => {
        plot.context.fillStyle = channel.bad ? ink('poor') : ink('bar');
        const top = channel.bad ? plot.Y(most * 1.08) : plot.Y(channel.noise_uv ?? 0);
        plot.context.globalAlpha = channel.bad ? .5 : 1;
        plot.context.fillRect(plot.X(k) - wide / 2, top, wide, plot.Y(0) - top);
      });
      plot.context.globalAlpha = 1;
      if (known.length) plot.level(middle, ink('mark'), [4, 3]);
    },
    hover: (plot, x) => {
      const k = clamp(Math.round(x), 0, channels.length - 1);
      return `channel ${k}: ${channels[k].bad ? `left out, ${channels[k].bad}` : `${number(channels[k].noise_uv)} µV`}`;
    },
  });
  box.append(h('p', { class: 'small' }, known.length ? `Median ${number(middle)} µV. ` : '', bad.length
    ? `Left out: ${bad.slice(0, 60).map(([k, c]) => `${k} (${c.bad})`).join(', ')}${bad.length > 60 ? ` and ${bad.length - 60} more` : ''}.` : 'No channel was left out.'));
}
