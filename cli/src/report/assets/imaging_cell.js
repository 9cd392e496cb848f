// Cells: traces of some of them below each other, and everything about the one that is chosen.

/** Cells whose traces are shown below each other. */
const traced = [];
const chosenCells = () => traced;

const unpack = (values, [low, high], most) => Array.from(values, (v) => low + (v / most) * (high - low));

/** Traces of several cells, one below the other. */
class TraceStack {
  constructor(parent, movie, cells, rows) {
    Object.assign(this, { movie, cells, rows, about: block('traces-about') });
    const best = [...cells].sort((a, b) => b.trace_snr - a.trace_snr).slice(0, 10).map((c) => c.cell);
    traced.push(...best);
    const tools = h('div', { class: 'tools' },
      h('button', { type: 'button', onclick: () => this.set(best) }, 'ten clearest'),
      h('button', { type: 'button', onclick: () => this.set([...cells].sort((a, b) => b.active_per_min - a.active_per_min).slice(0, 10).map((c) => c.cell)) }, 'ten most active'),
      h('button', { type: 'button', onclick: () => this.set(chosen.id === null ? [] : [chosen.id]) }, 'the chosen one'),
      h('span', { class: 'right' }, 'ΔF/F, each on its own scale; ticks: spikes', h('span', { class: 'help' }, '; wheel: zoom')));
    parent.append(tools);
    this.plot = new Plot(parent, {
      label: 'traces of several cells', margin: { left: 62 }, needs: rows,
      zoom: { x: Math.min(movie.duration_s, Math.max(10 / movie.frame_rate_hz, (20 * movie.duration_s) / this.about.n_bins)) },
      step: (plot, across, up) => up && traced.length && choose(traced[clamp(Math.max(0, traced.indexOf(chosen.id)) - up, 0, traced.length - 1)]),
      height: () => Math.max(120, traced.length * 44 + 44),
      x: { domain: [0, movie.duration_s], label: 'time, s' },
      y: () => ({ domain: [0, Math.max(1, traced.length)], flip: true, ticks: traced.map((_, k) => k + .55), text: (at) => `cell ${traced[Math.floor(at)]}`, noGrid: true }),
      draw: (plot) => traced.forEach((id, k) => this.drawOne(plot, id, k)),
      hover: (plot, x, y) => {
        const id = traced[Math.floor(y)];
        return id === undefined ? null : `cell ${id}, ${number(x)} s`;
      },
      click: (plot, x, y) => choose(traced[clamp(Math.floor(y), 0, traced.length - 1)]),
    });
    on('trace', (id) => this.set(traced.includes(id) ? traced.filter((own) => own !== id) : [...traced, id].slice(-24)));
    on('chosen', () => this.plot.redraw());
  }

  set(ids) {
    traced.splice(0, traced.length, ...ids);
    this.plot.redraw();
    tell('traced', traced);
  }

  drawOne(plot, id, k) {
    const cell = this.cells[id];
    if (!cell) return;
    const row = this.rows.row(id);
    const n = this.about.n_bins;
    const top = plot.Y(k + .06), foot = plot.Y(k + .84), base = plot.Y(k + .99);
    const { context, area } = plot;
    context.fillStyle = context.strokeStyle = id === chosen.id ? ink('mark') : ownColour(id);
    const y = (value) => foot - (value / 255) * (foot - top);
    const perSecond = n / this.movie.duration_s;
    const [start, end] = plot.x.domain.map((time) => time * perSecond);
    const wide = area.width / (end - start);
    context.beginPath();
    // A column of the screen has one line from its least to its largest value.
    const [first, last] = [Math.max(0, Math.floor(start)), Math.min(n, Math.ceil(end))];
    const columns = Math.min(last - first, Math.ceil(area.width));
    for (let column = 0; column < columns; column++) {
      const from = first + Math.floor((column * (last - first)) / columns);
      const to = Math.max(first + Math.floor(((column + 1) * (last - first)) / columns), from + 1);
      let low = 255, high = 0;
      for (let bin = from; bin < to; bin++) {
        low = Math.min(low, row.dff_low[bin]);
        high = Math.max(high, row.dff_high[bin]);
      }
      const x = area.left + ((from + to) / 2 - start) * wide;
      if (column === 0) context.moveTo(x, y(low));
      else context.lineTo(x, y(low));
      context.lineTo(x, y(high));
    }
    context.lineWidth = 1;
    context.lineJoin = 'round';
    context.stroke();
    context.fillStyle = ink('soft');
    for (let bin = first; bin < last; bin++) {
      const size = (row.spikes[bin] / 255) * 6;
      if (size) context.fillRect(area.left + (bin - start) * wide, base - 1 - size, Math.max(1, Math.min(wide, 1.5)), 1 + size);
    }
  }
}

/** The panel of the chosen cell. */
class CellPanel {
  constructor(parent, movie, cells, rows) {
    Object.assign(this, { movie, cells, rows, about: block('traces-about') });
    this.head = h('div', { class: 'head', id: 'cell-head' });
    const box = card(parent, null, this.head);
    this.measures = h('table', { class: 'metrics' });
    const { about } = this;
    const whole = about.whole;
    const bins = Array.from({ length: about.n_bins }, (_, k) => ((k + .5) * movie.duration_s) / about.n_bins);
    const frames = (n) => Array.from({ length: n }, (_, k) => (this.cell.stretch_start + k) / movie.frame_rate_hz);
    const dff = (name) => unpack(this.row[name], this.cell.dff_range, 255);
    this.plots = [];
    const plot = (title, options) => {
      box.append(h('h3', {}, title));
      this.plots.push(new Plot(box, { needs: rows, ...options }));
      return this.plots[this.plots.length - 1];
    };
    // Drawings of the whole movie move along with each other.
    const wholeMovie = { x: Math.min(movie.duration_s, Math.max(10 / movie.frame_rate_hz, (20 * movie.duration_s) / about.n_bins)), group: [] };
    const hasSecond = 'second_raw' in rows.layout.fields;
    plot('ΔF/F over the whole movie', {
      label: 'ΔF/F of the chosen cell', height: 130, zoom: wholeMovie,
      x: { domain: [0, movie.duration_s], label: 'time, s' },
      y: () => ({ domain: padded(this.cell ? this.cell.dff_range : [0, 1]), label: 'ΔF/F' }),
      under: (p) => {
        if (!this.cell || whole) return;
        p.context.fillStyle = ink('accent-soft');
        const [from, to] = [0, about.stretch_frames].map((k) => p.X((this.cell.stretch_start + k) / movie.frame_rate_hz));
        p.context.fillRect(from, p.area.top, Math.max(2, to - from), p.area.height);
      },
      draw: (p) => {
        if (!this.cell) return;
        const [low, high] = [dff('dff_low'), dff('dff_high')];
        p.band(bins, low, high, ink('accent'));
        p.line(bins, low.map((v, k) => (v + high[k]) / 2), ink('accent'), 1);
      },
      hover: (p, x) => {
        if (!this.cell || !rows.isThere) return null;
        const k = clamp(Math.floor((x / movie.duration_s) * about.n_bins), 0, about.n_bins - 1);
        return `${number(x)} s: ΔF/F ${number(dff('dff_high')[k])}`;
      },
    });
    this.stretch = plot(whole ? 'Demixed light, what the spikes explain, and spikes' : 'Where it is most active, every frame: demixed light, what the spikes explain, spikes', {
      label: 'demixed trace, denoised trace and spikes of the chosen cell', height: 190, zoom: { x: Math.min(about.stretch_frames, 20) / movie.frame_rate_hz },
      x: () => {
        if (!this.cell) return { domain: [0, 1], label: 'time, s' };
        const start = this.cell.stretch_start / movie.frame_rate_hz;
        return { domain: [start, start + about.stretch_frames / movie.frame_rate_hz], label: 'time, s' };
      },
      y: () => {
        const [low, high] = this.cell ? this.cell.trace_range : [0, 1];
        return { domain: [low - (high - low) * .24, high + (high - low) * .04], label: 'counts' };
      },
      draw: (p) => {
        if (!this.cell) return;
        const n = about.stretch_frames;
        const xs = frames(n);
        p.line(xs, unpack(this.row.trace, this.cell.trace_range, 255), ink('faint'), 1);
        p.line(xs, unpack(this.row.denoised, this.cell.trace_range, 255), ink('accent'), 1.6);
        const foot = p.area.top + p.area.height;
        p.context.fillStyle = ink('mark');
        for (let k = 0; k < n; k++) {
          const value = this.row.stretch_spikes[k];
          if (value) p.context.fillRect(p.X(xs[k]) - .7, foot - 2 - (value / 255) * p.area.height * .17, 1.5, 2 + (value / 255) * p.area.height * .17);
        }
      },
      hover: (p, x) => (this.cell ? `${fixed(x, 2)} s, frame ${Math.round(x * movie.frame_rate_hz)}` : null),
    });
    const light = (title, label, cellName, aroundName, range) => plot(title, {
      label, height: 120, zoom: wholeMovie,
      x: { domain: [0, movie.duration_s], label: 'time, s' },
      y: () => ({ domain: padded(this.cell ? this.cell[range] : [0, 1]), label: 'counts' }),
      draw: (p) => {
        if (!this.cell) return;
        const own = this.row[cellName];
        const xs = Array.from(own, (_, k) => ((k + .5) * movie.duration_s) / own.length);
        p.line(xs, unpack(this.row[aroundName], this.cell[range], 255), ink('fair'), 1.2);
        p.line(xs, unpack(own, this.cell[range], 255), ink('accent'), 1.2);
      },
      hover: (p, x) => {
        if (!this.cell || !rows.isThere) return null;
        const n = this.row[cellName].length;
        const k = clamp(Math.floor((x / movie.duration_s) * n), 0, n - 1);
        const [own, around] = [cellName, aroundName].map((name) => number(unpack([this.row[name][k]], this.cell[range], 255)[0]));
        return `${number(x, 4)} s: cell ${own}, neuropil ${around}`;
      },
    });
    light('Light of the cell and of the neuropil around it', 'raw light of the cell, and of its surround', 'raw', 'neuropil', 'light_range');
    if (hasSecond) light('The same in the second channel', 'light of the cell in the second channel, and of its surround', 'second_raw', 'second_neuropil', 'second_range');
    box.append(h('p', { class: 'legend' }, swatch('accent', 'cell'), swatch('fair', 'neuropil'), swatch('mark', 'spikes')));
    box.append(this.measures);
    on('chosen', (id) => this.show(id));
  }

  show(id) {
    const cell = this.cells[id];
    if (!cell) return;
    this.cell = cell;
    // Another cell is most active elsewhere.
    this.stretch.zoom.view.x = null;
    const isCell = cell.probability >= .5;
    this.head.replaceChildren(...[
      h('span', { class: 'name' }, h('span', { class: 'dot', style: { background: ownColour(id) } }), `Cell ${id}`),
      h('span', { class: `badge ${isCell ? 'good' : 'fair'}` }, isCell ? 'cell' : 'perhaps not a cell'),
      cell.second_probability > SECOND_LABELLED ? h('span', { class: 'badge' }, 'labelled in the second channel') : null,
      h('span', { class: 'small' }, `at row ${number(Math.round(cell.y_px))}, column ${number(Math.round(cell.x_px))}${this.movieHasPlanes() ? `, plane ${cell.plane}` : ''}; found by ${cell.found_by === 'network' ? 'the network' : 'its activity'}`),
      h('button', { type: 'button', onclick: () => tell('trace', id) }, 'add to or take from the traces'),
    ].filter(Boolean));
    for (const plot of this.plots) plot.redraw();
    this.measures.replaceChildren(h('tbody', {}, MEASURES.filter(([key]) => key in cell).map(([key, name, unit, meaning]) => h('tr', {},
      h('td', {}, name), h('td', { class: 'number' }, `${number(cell[key])}${unit ? ` ${unit}` : ''}`), h('td', { class: 'meaning' }, meaning)))));
  }
  /** Packed numbers of the cell. */
  get row() {
    return this.rows.row(this.cell.cell);
  }
  movieHasPlanes() {
    return this.cells.some((c) => c.plane !== this.cells[0].plane);
  }
}

/** From here on a cell counts as labelled in the second channel, as in `redcell.npy`. */
const SECOND_LABELLED = .65;

const MEASURES = [
  ['probability', 'probability of being a cell', '', 'From shape, activity and what the network sees. From 0.5 on it counts as a cell.'],
  ['network_probability', "network's probability", '', 'Mean over the mask, of the summary images alone.'],
  ['trace_snr', 'SNR of the trace', '', 'Largest twentieth of the denoised trace over the noise of a frame.'],
  ['active_per_min', 'frames with spikes', '/min', 'Deconvolved, of any size.'],
  ['neuropil_ratio', 'neuropil over cell', '', 'Brightness of the surround against the cell, both above a pixel without light.'],
  ['neuropil_correlation', 'correlation with neuropil', '', 'Of the raw light; the demixed trace has the neuropil taken off.'],
  ['second_probability', 'second channel', '', 'Light of the cell over that of itself and a ring around it, in the mean of the second channel: 0.5 where they are as bright, above 0.65 it counts as labelled.'],
  ['footprint_snr', 'SNR of the footprint', '', 'How well the activity tells the shape of the cell.'],
  ['area_px', 'area', 'px', 'Pixels of the body.'],
  ['trace_noise', 'noise', 'counts', 'Standard deviation of a frame of the demixed trace.'],
  ['skew', 'skewness', '', 'Of the demixed trace; high for rare, large transients.'],
  ['decay_s', 'decay', 's', 'Of the response that the spikes were found with.'],
];
