// Maps of a sort: where contacts and units are, where spikes were over time, who fired when, noise of the channels.

/** Contacts as squares and units as discs, at their places. */
function probeMap(parent, recording, units) {
  const { channels } = recording;
  const [x0, x1] = extent(channels.map((c) => c.x));
  const [y0, y1] = extent(channels.map((c) => c.y));
  const pad = Math.max(20, .04 * Math.max(x1 - x0, y1 - y0));
  const place = { x: [x0 - pad, x1 + pad], y: [y0 - pad, y1 + pad] };
  // Contacts beside each other are drawn apart, so that a narrow probe is not a line.
  const wide = (x1 - x0 + 2 * pad) / (y1 - y0 + 2 * pad);
  const isFlat = wide > .45;
  const isSeen = new Set(units.map((u) => u.unit_id));
  const map = new Plot(parent, {
    label: `contacts of the probe and ${units.length} units at their places`,
    height: (width) => (isFlat ? clamp(width / wide, 180, 560) : 520),
    x: { domain: place.x, label: 'x, µm' },
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
      for (const unit of units) {
        if (!isSeen.has(unit.unit_id)) continue;
        const radius = unitRadius(unit);
        context.beginPath();
        context.arc(plot.X(unit.x_um), plot.Y(unit.y_um), radius, 0, 7);
        context.globalAlpha = unit.label === 'good' ? .85 : .4;
        context.fillStyle = ownColour(unit.unit_id);
        context.fill();
        context.globalAlpha = 1;
        if (unit.unit_id === chosen.id) {
          context.lineWidth = 2.5;
          context.strokeStyle = ink('mark');
          context.beginPath();
          context.arc(plot.X(unit.x_um), plot.Y(unit.y_um), radius + 3, 0, 7);
          context.stroke();
        }
      }
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
  });
  const unitRadius = (unit) => clamp(2 + Math.sqrt(Math.abs(unit.peak_uv)) * .45, 3, 11);
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

/** Depth of spikes over time, with the motion of the tissue over it. */
function driftMap(parent, recording, motion) {
  const about = block('drift-about');
  const spikes = new Rows('drift').row(0);
  const state = { corrected: Boolean(motion && motion.corrected), colour: 'amplitude', motion: Boolean(motion) };
  const tools = h('div', { class: 'tools' });
  if (motion && motion.corrected) {
    tools.append(switchOf([['before', 'as recorded'], ['after', 'motion taken off']], 'after', 'motion', (value) => { state.corrected = value === 'after'; map.redraw(); }));
  }
  tools.append(switchOf([['amplitude', 'amplitude'], ['unit', 'unit']], 'amplitude', 'colour', (value) => { state.colour = value; legend(); map.redraw(); }));
  if (motion) tools.append(checkOf('motion', true, (value) => { state.motion = value; map.redraw(); }));
  const key = h('span', { class: 'legend right' });
  tools.append(key);
  parent.append(tools);
  const legend = () => key.replaceChildren(...(state.colour === 'amplitude' ? ['0', rampBar(), `${number(about.largest_uv, 2)} µV and more`] : ['a colour a unit']));
  legend();
  on('theme', legend);
  const [low, high] = about.depth_um;
  const shades = 32;
  const map = new Plot(parent, {
    label: 'depth of spikes over time', height: 482,
    x: { domain: [0, recording.duration_s], label: 'time, s' },
    y: { domain: [low, high], label: 'depth (y), µm' },
    draw: (plot) => {
      const depth = state.corrected || !motion || !motion.corrected ? spikes.depth : spikes.recorded_depth;
      const { area } = plot;
      const px = (k) => area.left + (spikes.time[k] / 65535) * area.width;
      const py = (k) => area.top + (1 - depth[k] / 65535) * area.height;
      const n = about.n_shown;
      const size = n > 60000 ? 1.15 : n > 15000 ? 1.5 : 2;
      const isFaint = chosen.id !== null && state.colour === 'unit';
      plot.context.globalAlpha = n > 60000 ? .7 : .85;
      if (state.colour === 'amplitude') {
        const colours = Array.from({ length: shades }, (_, k) => ramp((k + .5) / shades));
        plot.dots(n, px, py, colours, (k) => Math.min(shades - 1, (spikes.amplitude[k] * shades) >> 8), size);
      } else {
        const units = 1 + spikes.unit.reduce((most, u) => Math.max(most, u), 0);
        if (isFaint) plot.context.globalAlpha = .3;
        plot.dots(n, px, py, Array.from({ length: units }, (_, k) => ownColour(k)), (k) => spikes.unit[k], size);
      }
      plot.context.globalAlpha = 1;
      if (chosen.id !== null) plot.dots(n, px, py, [ink('mark')], (k) => (spikes.unit[k] === chosen.id ? 0 : -1), size + .8);
      if (state.motion && motion) {
        const sign = state.corrected && motion.corrected ? 0 : 1;
        motion.depth_um.forEach((at, d) => plot.line(motion.time_s, motion.displacement_um.map((row) => at + sign * row[d]), isDark() ? 'rgba(255,255,255,.85)' : 'rgba(10,20,30,.8)', 1.3));
      }
      plot.context.fillStyle = ink('soft');
      for (const pause of recording.pauses_s) plot.upright(pause, ink('poor'), [2, 3]);
    },
    hover: (plot, x, y) => `${number(x)} s, ${number(Math.round(y))} µm`,
  });
  on('chosen', () => map.redraw());
  parent.append(h('p', { class: 'small' }, [
    about.n_shown < about.n_spikes ? `One of every ${Math.ceil(about.n_spikes / about.n_shown)} of ${number(about.n_spikes)} spikes. ` : `All ${number(about.n_spikes)} spikes. `,
    'Spikes of the chosen unit are orange. ',
    !motion ? 'No motion was estimated.' : motion.corrected ? 'Lines: estimated motion of the tissue at several depths.' : 'Lines: motion as estimated; there was too little evidence to correct it.',
    recording.pauses_s.length ? ' Dotted uprights: pauses of the recording.' : '',
  ].join('')));
}

/** Who fired when: rates over the whole recording, and single spikes of a stretch. */
function activity(parent, recording, units) {
  const rates = new Rows('rates').row(0).rate;
  const aboutUnits = block('unit-about');
  const both = grid(parent, 'two');
  const order = [...units].sort((a, b) => a.y_um - b.y_um);
  const place = new Map(order.map((unit, k) => [unit.unit_id, k]));
  const height = clamp(units.length * 7, 180, 460);
  const rowAt = (y) => order[clamp(Math.floor(y), 0, order.length - 1)];
  const own = (plot, k) => ({ top: plot.Y(k + 1), tall: plot.Y(k) - plot.Y(k + 1) });
  const markChosen = (plot) => {
    if (!place.has(chosen.id)) return;
    const { top, tall } = own(plot, place.get(chosen.id));
    plot.context.strokeStyle = ink('mark');
    plot.context.lineWidth = 1.5;
    plot.context.strokeRect(plot.area.left, top - .5, plot.area.width, tall + 1);
  };
  const y = { domain: [0, Math.max(1, order.length)], label: 'units by depth', ticks: [] };
  const left = card(both, 'Firing rate over the recording');
  const nBins = rates.length / Math.max(1, units.length);
  const rateOf = (unit, bin) => rates[unit.unit_id * nBins + bin];
  /** A pixel a bin and unit, to be enlarged; made again when the theme changes. */
  let heatPicture = null;
  on('theme', () => { heatPicture = null; });
  const pictureOfRates = () => {
    if (heatPicture) return heatPicture;
    const canvas = h('canvas', { width: nBins, height: order.length });
    const context = canvas.getContext('2d');
    const image = context.createImageData(nBins, order.length);
    const colours = Array.from({ length: 256 }, (_, value) => rampColour(value / 255));
    order.forEach((unit, k) => {
      for (let bin = 0; bin < nBins; bin++) {
        const value = rateOf(unit, bin);
        if (value) image.data.set([...colours[value], 255], 4 * ((order.length - 1 - k) * nBins + bin));
      }
    });
    context.putImageData(image, 0, 0);
    heatPicture = canvas;
    return canvas;
  };
  const heat = new Plot(left, {
    label: 'firing rate of every unit over time', height, margin: { left: 26 },
    x: { domain: [0, recording.duration_s], label: 'time, s' }, y,
    draw: (plot) => {
      plot.context.imageSmoothingEnabled = false;
      plot.context.drawImage(pictureOfRates(), plot.area.left, plot.area.top, plot.area.width, plot.area.height);
      markChosen(plot);
    },
    hover: (plot, x, at) => {
      const unit = rowAt(at);
      if (!unit) return null;
      const bin = clamp(Math.floor(x / aboutUnits.rate_bin_s), 0, nBins - 1);
      return `unit ${unit.unit_id}, ${number(x)} s: ${number((rateOf(unit, bin) / 255) * unit.largest_rate_hz)} Hz`;
    },
    click: (plot, x, at) => choose(rowAt(at)?.unit_id),
  });
  const rampKey = h('span', { class: 'legend' });
  const paintKey = () => rampKey.replaceChildren('silent', rampBar(), "the unit's own largest rate");
  paintKey();
  on('theme', paintKey);
  left.append(h('p', { class: 'small' }, rampKey));

  const about = block('raster-about');
  const spikes = new Rows('raster').row(0);
  const view = { from: about.range_s[0], to: about.range_s[1] };
  // A raster is read at some seconds at once.
  const start = about.range_s[0] + (about.range_s[1] - about.range_s[0]) / 2;
  const first = Math.min(10, about.range_s[1] - about.range_s[0]);
  [view.from, view.to] = [start - first / 2, start + first / 2];
  const right = card(both, about.whole ? 'Spikes' : `Spikes from ${number(about.range_s[0])} to ${number(about.range_s[1])} s`);
  const raster = new Plot(right, {
    label: 'single spikes of every unit', height, margin: { left: 26 },
    x: () => ({ domain: [view.from, view.to], label: 'time, s (wheel: zoom; drag: move)' }), y,
    draw: (plot) => {
      const tall = own(plot, 0).tall;
      for (const isChosen of [false, true]) {
        plot.context.fillStyle = ink(isChosen ? 'mark' : 'raster');
        for (let k = 0; k < spikes.time.length; k++) {
          const at = spikes.time[k] + about.range_s[0];
          const id = spikes.unit[k];
          if (at < view.from || at > view.to || (id === chosen.id) !== isChosen) continue;
          plot.context.fillRect(plot.X(at) - .5, plot.Y(place.get(id) + 1) + tall * .1, 1.1, Math.max(1, tall * .8));
        }
      }
      markChosen(plot);
    },
    hover: (plot, x, at) => (rowAt(at) ? `unit ${rowAt(at).unit_id}, ${fixed(x, 3)} s` : null),
    click: (plot, x, at) => !moved && choose(rowAt(at)?.unit_id),
  });
  let from = null, moved = false;
  const set = (left, span) => {
    const [low, high] = about.range_s;
    const wide = clamp(span, Math.min(.05, high - low), high - low);
    view.from = clamp(left, low, high - wide);
    view.to = view.from + wide;
    raster.redraw();
  };
  raster.canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const [x] = raster.at(event);
    const factor = Math.exp(event.deltaY * .0015);
    set(x - (x - view.from) * factor, (view.to - view.from) * factor);
  }, { passive: false });
  raster.canvas.addEventListener('pointerdown', (event) => { from = { x: event.clientX, left: view.from }; moved = false; });
  window.addEventListener('pointermove', (event) => {
    if (!from) return;
    const shift = ((event.clientX - from.x) / raster.area.width) * (view.to - view.from);
    if (Math.abs(event.clientX - from.x) > 3) moved = true;
    if (moved) set(from.left - shift, view.to - view.from);
  });
  window.addEventListener('pointerup', () => { from = null; });
  on('chosen', () => { heat.redraw(); raster.redraw(); });
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
