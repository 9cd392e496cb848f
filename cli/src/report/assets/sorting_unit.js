// One unit: waveform on its channels, correlogram, intervals, amplitudes over time, metrics, units that look alike.

/** The panel of the chosen unit; it is filled again whenever another is chosen. */
class UnitPanel {
  constructor(parent, recording, units, guide) {
    Object.assign(this, { recording, units, guide, rows: new Rows('unit-rows'), pairRows: new Rows('pair-rows'), pairs: block('pairs') || [], about: block('unit-about') });
    this.head = h('div', { class: 'head', id: 'unit-head' });
    this.why = h('p', { class: 'note', id: 'unit-why' });
    const box = card(parent, null, this.head, this.why);
    const top = grid(box, 'unit-top');
    const [left, right, side] = [h('div'), h('div'), h('div')];
    top.append(left, right, side);
    left.append(h('h3', {}, 'Waveform on its channels'));
    this.waveform = new Plot(left, this.waveformOptions());
    right.append(h('h3', {}, 'Autocorrelogram'));
    this.auto = new Plot(right, this.autoOptions());
    right.append(h('h3', {}, 'Intervals between spikes'));
    this.intervals = new Plot(right, this.intervalOptions());
    side.append(h('h3', {}, 'Metrics'));
    this.metrics = h('table', { class: 'metrics' });
    side.append(this.metrics);
    box.append(h('h3', {}, 'Amplitude over time'));
    this.amplitudes = new Plot(box, this.amplitudeOptions());
    this.alike = h('div');
    box.append(this.alike);
    this.crosses = [];
    on('chosen', (id) => this.show(id));
  }

  show(id) {
    const unit = this.units[id];
    if (!unit) return;
    this.unit = unit;
    this.head.replaceChildren(
      h('span', { class: 'name' }, h('span', { class: 'dot', style: { background: ownColour(id) } }), `Unit ${id}`),
      labelBadge(unit.label),
      h('span', { class: 'small' }, `channel ${unit.main_channel}, at ${number(Math.round(unit.x_um))}, ${number(Math.round(unit.y_um))} µm, ${number(unit.metrics.n_spikes)} spikes, ${number(unit.metrics.firing_rate_hz)} Hz`),
    );
    this.why.textContent = unit.why.length ? `${unit.label === 'good' ? 'Good' : unit.label}: ${unit.why.join('; ')}.` : '';
    for (const plot of [this.waveform, this.auto, this.intervals, this.amplitudes]) plot.redraw();
    this.metrics.replaceChildren(h('tbody', {}, metricRows(unit, this.guide)));
    this.showAlike(id);
  }

  /** Whether a unit is chosen and its numbers are there. */
  get isReady() {
    return Boolean(this.unit) && this.rows.isThere;
  }
  /** Packed numbers of the unit. */
  get row() {
    return this.rows.row(this.unit.unit_id);
  }

  waveformOptions() {
    return {
      needs: this.rows,
      label: 'mean waveform on the channels where it is largest', height: 420,
      x: { domain: [0, 1], ticks: [] }, y: { domain: [0, 1], ticks: [] },
      draw: (plot) => {
        if (!this.unit) return;
        const { unit, row, recording } = this;
        const taps = recording.n_template_samples;
        const channels = unit.waveform_channels.map((c) => ({ ...recording.channels[c], id: c }));
        const xs = [...new Set(channels.map((c) => c.x))].sort((a, b) => a - b);
        const columns = Math.max(1, xs.length);
        const { area, context } = plot;
        const wide = Math.min(area.width / columns, 190);
        const inset = (area.width - wide * columns) / 2;
        // Contacts of one column must not be drawn over each other more than they have to, so large gaps are shown smaller than they are.
        const ys = [...new Set(channels.map((c) => c.y))].sort((a, b) => b - a);
        const gap = Math.max(1e-9, Math.min(...ys.slice(1).map((y, k) => ys[k] - y)));
        const level = new Map([[ys[0], 0]]);
        ys.slice(1).forEach((y, k) => level.set(y, level.get(ys[k]) + Math.min((ys[k] - y) / gap, 2)));
        const levels = level.get(ys[ys.length - 1]) + 1;
        const room = area.height / (levels + 1.2);
        const scale = Math.min(room * 1.9, area.height * .42) / unit.waveform_uv / 1.15;
        const left = (c) => area.left + inset + xs.indexOf(c.x) * wide + 6;
        const middle = (c) => (levels > 1 ? area.top + room * .8 + (level.get(c.y) / (levels - 1)) * (area.height - room * 1.7) : area.top + area.height * .42);
        channels.forEach((channel, k) => {
          const at = middle(channel);
          context.fillStyle = ink('faint');
          context.font = FONT;
          context.textAlign = 'left';
          context.textBaseline = 'bottom';
          if (room > 15 || k === 0) context.fillText(channel.id, left(channel), at - 3);
          context.strokeStyle = ink('line');
          context.lineWidth = 1;
          context.beginPath();
          context.moveTo(left(channel), at);
          context.lineTo(left(channel) + wide - 14, at);
          context.stroke();
          context.strokeStyle = k === 0 ? ink('mark') : ink('accent');
          context.lineWidth = k === 0 ? 2 : 1.4;
          context.lineJoin = 'round';
          context.beginPath();
          for (let t = 0; t < taps; t++) {
            const value = (row.waveform[k * taps + t] / 32767) * unit.waveform_uv;
            const [px, py] = [left(channel) + (t / (taps - 1)) * (wide - 14), at - value * scale];
            if (t) context.lineTo(px, py);
            else context.moveTo(px, py);
          }
          context.stroke();
        });
        // Scale: 1 ms across, a round voltage up.
        const ms = ((wide - 14) / taps) * (recording.sampling_frequency_hz / 1000);
        const uv = [1000, 500, 200, 100, 50, 20, 10, 5, 2, 1].find((v) => v * scale <= 56) || 1;
        const [x0, y0] = [area.left + area.width - ms - 4, area.top + area.height - 16];
        context.strokeStyle = context.fillStyle = ink('soft');
        context.lineWidth = 1.5;
        context.beginPath();
        context.moveTo(x0, y0 - uv * scale);
        context.lineTo(x0, y0);
        context.lineTo(x0 + ms, y0);
        context.stroke();
        context.textAlign = 'right';
        context.fillText(`${uv} µV`, x0 - 4, y0 - (uv * scale) / 2 + 6);
        context.textAlign = 'center';
        context.textBaseline = 'top';
        context.fillText('1 ms', x0 + ms / 2, y0 + 3);
      },
    };
  }

  autoOptions() {
    const { about } = this;
    const n = about.window_ms / about.auto_bin_ms;
    const edges = Array.from({ length: 2 * n + 1 }, (_, k) => (k - n) * about.auto_bin_ms);
    const rates = () => {
      const { auto } = this.row;
      const to = 1000 / (Math.max(1, this.unit.auto_references) * about.auto_bin_ms);
      return [...[...auto].reverse(), ...auto].map((count) => count * to);
    };
    return {
      label: 'autocorrelogram', height: 182, needs: this.rows,
      x: { domain: [-about.window_ms, about.window_ms], label: 'lag, ms' },
      y: () => ({ domain: [0, this.isReady ? Math.max(1e-9, ...rates()) * 1.08 : 1], label: 'Hz' }),
      under: (plot) => refractory(plot, -1.5, 1.5),
      draw: (plot) => {
        if (!this.unit) return;
        plot.bars(edges, rates(), ink('accent'));
        plot.level(this.unit.metrics.firing_rate_hz, ink('mark'), [4, 3]);
      },
      hover: (plot, x) => {
        const k = clamp(Math.floor(x / about.auto_bin_ms) + n, 0, 2 * n - 1);
        return this.isReady ? `${edges[k]} to ${edges[k + 1]} ms: ${number(rates()[k])} Hz` : null;
      },
    };
  }

  intervalOptions() {
    const { about } = this;
    const n = this.rows.layout.fields.intervals ? this.rows.layout.fields.intervals[2] : 1;
    const edges = Array.from({ length: n + 1 }, (_, k) => about.first_decade + k / about.bins_per_decade);
    const text = (decade) => ({ '-3': '1 ms', '-2': '10 ms', '-1': '0.1 s', 0: '1 s', 1: '10 s' }[decade] || '');
    return {
      label: 'histogram of intervals between spikes', height: 182, needs: this.rows,
      x: { domain: [edges[0], edges[n]], ticks: [-3, -2, -1, 0, 1], text, label: 'interval' },
      y: () => ({ domain: [0, this.isReady ? Math.max(1, ...this.row.intervals) * 1.08 : 1], label: 'spikes' }),
      under: (plot) => refractory(plot, edges[0], Math.log10(.0015)),
      draw: (plot) => this.unit && plot.bars(edges, this.row.intervals, ink('accent')),
      hover: (plot, x) => {
        if (!this.isReady) return null;
        const k = clamp(Math.floor((x - edges[0]) * about.bins_per_decade), 0, n - 1);
        const ms = (decade) => number(1000 * 10 ** decade);
        return `${ms(edges[k])} to ${ms(edges[k + 1])} ms: ${number(this.row.intervals[k])}`;
      },
    };
  }

  amplitudeOptions() {
    // Times are shares of 65535, sizes of 255.
    const uv = (share) => share * this.unit.largest_amplitude * Math.abs(this.unit.peak_uv);
    return {
      label: 'amplitude of spikes over time, with the histogram of all', height: 190, margin: { right: 92 }, needs: this.rows,
      zoom: { x: this.recording.duration_s / 500 },
      x: { domain: [0, this.recording.duration_s], label: 'time, s' },
      y: () => ({ domain: [0, this.unit ? uv(1) * 1.05 : 1], label: 'µV' }),
      draw: (plot) => {
        if (!this.unit) return;
        const { n_amplitudes: n } = this.unit;
        const { row } = this;
        const duration = this.recording.duration_s;
        plot.dots(n, (k) => plot.X((row.amplitude_time[k] / 65535) * duration), (k) => plot.Y(uv(row.amplitude[k] / 255)), [inkColour('accent')], () => 0, n > 1500 ? 1.6 : 2.2, .55);
        plot.context.restore();
        // The histogram stands beside the plot, on the same axis.
        plot.context.save();
        const { amplitude_histogram: counts } = row;
        const most = Math.max(1, ...counts);
        const left = plot.area.left + plot.area.width + 8;
        plot.context.fillStyle = ink('bar');
        counts.forEach((count, k) => {
          const [top, foot] = [plot.Y(uv((k + 1) / counts.length)), plot.Y(uv(k / counts.length))];
          plot.context.fillRect(left, top, (count / most) * 76, Math.max(.8, foot - top - .5));
        });
      },
      hover: (plot, x, y) => (this.unit ? `${number(x)} s, ${number(y)} µV` : null),
    };
  }

  showAlike(id) {
    const { pairs, about } = this;
    const near = pairs.map((pair, k) => ({ ...pair, k })).filter((pair) => pair.first === id || pair.second === id).slice(0, 4);
    this.crosses.forEach((plot) => plot.forget());
    this.crosses = [];
    this.alike.replaceChildren();
    if (!near.length) {
      this.alike.append(h('p', { class: 'small' }, 'No other unit looks like this one.'));
      return;
    }
    this.alike.append(h('h3', {}, 'Units that look alike: when they fire around this one'));
    const place = grid(this.alike, 'alike');
    for (const pair of near) {
      const other = pair.first === id ? pair.second : pair.first;
      const half = (this.pairRows.layout.fields.cross[2] - 1) / 2;
      const edges = Array.from({ length: 2 * half + 2 }, (_, k) => (k - half - .5) * about.cross_bin_ms);
      // Counted around the first unit's spikes; turned round, the rate is that of the first one around the second one's.
      const scale = 1000 / (Math.max(1, pair.references) * about.cross_bin_ms);
      const turned = pair.first === id ? 1 : this.units[pair.first].metrics.n_spikes / Math.max(1, this.units[pair.second].metrics.n_spikes);
      const rates = () => {
        const counts = Array.from(this.pairRows.row(pair.k).cross, (count) => count * scale * turned);
        return pair.first === id ? counts : counts.reverse();
      };
      const box = h('div');
      place.append(box);
      box.append(h('div', { class: 'small' },
        h('button', { type: 'button', onclick: () => choose(other) }, h('span', { class: 'dot', style: { background: ownColour(other) } }), `unit ${other}`),
        ` ${this.units[other].label}, templates ${fixed(pair.similarity, 2)} alike`));
      this.crosses.push(new Plot(box, {
        label: `cross-correlogram with unit ${other}`, height: 124, needs: this.pairRows,
        x: { domain: [-about.window_ms, about.window_ms], label: 'lag, ms' },
        y: () => ({ domain: [0, this.pairRows.isThere ? Math.max(1e-9, ...rates()) * 1.08 : 1], label: 'Hz' }),
        under: (plot) => refractory(plot, -1.5, 1.5),
        draw: (plot) => plot.bars(edges, rates(), ink('bar')),
        hover: (plot, x) => {
          if (!this.pairRows.isThere) return null;
          const k = clamp(Math.floor(x / about.cross_bin_ms + half + .5), 0, 2 * half);
          return `${number(edges[k])} to ${number(edges[k + 1])} ms: ${number(rates()[k])} Hz`;
        },
      }));
    }
  }
}

function labelBadge(label) {
  return h('span', { class: `badge ${label === 'good' ? 'good' : label === 'mua' ? 'fair' : 'poor'}` }, label);
}

/** Value of a metric of a unit, whether it lies among the metrics or beside them. */
const metricOf = (unit, name) => (name in unit.metrics ? unit.metrics[name] : unit[name]);

function metricRows(unit, guide) {
  const known = guide.map((entry) => entry.name);
  const names = [...known, ...Object.keys(unit.metrics).filter((name) => !known.includes(name))];
  return names.map((name) => {
    const about = guide.find((entry) => entry.name === name);
    const value = metricOf(unit, name);
    const judged = verdict(value, about);
    return h('tr', {},
      h('td', { title: about ? about.meaning : null }, about ? about.title : name),
      h('td', { class: 'number' }, `${number(value)}${about && about.unit && value !== null ? ` ${about.unit === 'noise deviations' ? 'σ' : about.unit}` : ''}`),
      h('td', {}, judged ? h('span', { class: `badge ${judged}` }, judged) : ''),
      h('td', { class: 'range' }, about ? rangeText(about.good) : ''));
  });
}
