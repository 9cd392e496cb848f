// The page of a movie.
(() => {
  const manifest = block('manifest');
  const movie = block('movie');
  const planes = block('planes');
  const cells = block('cells');
  const truth = block('truth');
  const rows = new Rows('traces');
  const hasSecond = cells.some((c) => 'second_probability' in c);
  const nSure = cells.filter((c) => c.probability >= .5).length;

  main.append(h('div', {}, h('div', { class: 'small' }, 'Two-photon imaging'), h('h1', {}, movie.name)));
  const median = (list) => { const sorted = list.filter((v) => v !== null && Number.isFinite(v)).sort((a, b) => a - b); return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null; };
  const nBad = planes.reduce((sum, p) => sum + p.motion.n_bad, 0);
  const largest = Math.max(0, ...manifest.planes.map((p) => p.largest_shift_px));
  facts(main, [
    [number(cells.length), 'cells', `${number(nSure)} with a probability of 0.5 and more`],
    [`${number(movie.width)} × ${number(movie.height)}`, 'pixels', planes.length > 1 ? `${planes.length} planes` : manifest.movie.format],
    [number(movie.n_frames), 'frames', `${duration(movie.duration_s)} at ${number(movie.frame_rate_hz)} Hz`],
    [`${number(largest)} px`, 'largest motion', nBad ? `${number(nBad)} bad frames left out` : 'no bad frames'],
    [number(median(cells.map((c) => c.trace_snr))), 'median SNR', 'of the traces'],
    [planes.map((p) => number(p.response.decay_s, 2)).slice(0, 4).join(', ') + ' s', 'decay', planes[0] && planes[0].response.decay_events ? `from ${number(planes[0].response.decay_events)} events` : 'given or default'],
    [`${number(manifest.frames_per_second, 3)}`, 'frames a second', `${duration(manifest.seconds)} on ${manifest.device}`],
    hasSecond ? [number(cells.filter((c) => c.second_probability > SECOND_LABELLED).length), 'labelled', 'brighter than their surround in the second channel'] : null,
    truth ? [fixed(truth[0].f1_active, 3), 'F1 of active cells', 'against the truth'] : null,
  ]);
  warningList(main, manifest.warnings);

  const part = section('cells-part', 'Cells', 'Cells', cells.length ? null : 'No cells were found.');
  const both = grid(part, 'field-and-cell');
  new Field(card(both, 'Field of view'), movie, planes, cells);
  if (cells.length) {
    new CellPanel(both, movie, cells, rows);
    const stack = section('traces', 'Traces', 'Traces', null);
    new TraceStack(card(stack), movie, cells, rows);
    const list = section('table', 'All cells', 'Table', 'The filter takes words and comparisons, for example: probability>0.8 trace_snr>=5. The field of view shows the outlines of the cells that are left.');
    const about = Object.fromEntries(MEASURES.map(([key, name, unit, meaning]) => [key, `${name}${unit ? `, ${unit}` : ''}. ${meaning}`]));
    const column = (key, title) => ({ key, title, about: about[key], value: (c) => c[key] });
    new Table(card(list), [
      { key: 'cell', title: 'cell', value: (c) => c.cell, show: (c) => h('span', {}, h('span', { class: 'dot', style: { background: ownColour(c.cell) } }), String(c.cell)) },
      ...(planes.length > 1 ? [column('plane', 'plane')] : []),
      { ...column('probability', 'probability'), show: (c) => (c.probability >= .5 ? fixed(c.probability, 3) : h('span', { class: 'badge fair' }, fixed(c.probability, 3))) },
      column('trace_snr', 'SNR'), column('active_per_min', 'active/min'), column('skew', 'skewness'), column('neuropil_ratio', 'neuropil'),
      column('neuropil_correlation', 'r neuropil'), ...(hasSecond ? [{ ...column('second_probability', 'second ch.'), show: (c) => (c.second_probability > SECOND_LABELLED ? h('span', { class: 'badge' }, fixed(c.second_probability, 3)) : fixed(c.second_probability, 3)) }] : []), column('footprint_snr', 'footprint SNR'), column('area_px', 'area, px'), column('trace_noise', 'noise'), column('decay_s', 'decay, s'),
      { key: 'found_by', title: 'found by', text: true, value: (c) => c.found_by },
      { ...column('y_px', 'row'), show: (c) => fixed(c.y_px, 1) }, { ...column('x_px', 'column'), show: (c) => fixed(c.x_px, 1) },
    ], cells, {
      id: (c) => c.cell, height: 420, noun: 'cells', chosen: choose, sort: 'trace_snr', descending: true, example: 'filter, for example: probability>0.8',
      presets: [['all', ''], ['cells', 'probability>=0.5'], ['by activity', 'found_by=activity'], ...(hasSecond ? [['labelled', `second_probability>${SECOND_LABELLED}`]] : [])],
    });
    const spread = section('quality', 'How the cells are', 'Quality', 'How measures are spread over all cells.');
    const many = grid(spread, 'cards');
    for (const [key, label, lines, domain] of [
      ['probability', 'probability of being a cell', [.5], [0, 1]], ['trace_snr', 'SNR of the trace', [], null], ['active_per_min', 'frames with spikes a minute', [], null],
      ['neuropil_ratio', 'neuropil over cell', [], null], ['neuropil_correlation', 'correlation with neuropil', [], [-1, 1]], ['area_px', 'area, px', [], null], ...(hasSecond ? [['second_probability', 'second channel', [SECOND_LABELLED], [0, 1]]] : []),
    ]) histogramPlot(card(many, label), label, cells.map((c) => c[key]), { lines, domain, bins: 24, x: '' });
  }

  motionPart();
  if (truth) truthPart();
  provenance(manifest);
  pageHead(movie.name);
  const best = [...cells].sort((a, b) => b.trace_snr - a.trace_snr)[0];
  if (best) chooseFirst((id) => id < cells.length, best.cell);

  /** Motion of the tissue and fit of the frames, plane by plane. */
  function motionPart() {
    const whole = section('motion', 'Motion and registration', 'Motion', 'Shifts are of the tissue against the reference: positive is down and right. A frame that fits too badly is left out of images and spikes.');
    planes.forEach((plane, k) => {
      const { motion } = plane;
      const n = motion.bad.length;
      const xs = Array.from({ length: n }, (_, bin) => (bin + .5) * motion.bin_s);
      const end = movie.duration_s;
      const box = card(whole, planes.length > 1 ? `Plane ${k}` : null);
      const two = grid(box, 'two');
      const group = [];
      const curves = (parent, title, list, label, extra = {}) => {
        const place = h('div');
        parent.append(place);
        place.append(h('h3', {}, title));
        const domain = padded(extent(list.flatMap(([pair]) => pair.flat())));
        new Plot(place, {
          label: title, height: 170, zoom: { x: Math.min(end, 20 * motion.bin_s), group }, x: { domain: [0, end], label: 'time, s' }, y: { domain: extra.domain || domain, label },
          under: (plot) => {
            plot.context.fillStyle = ink('poor-soft');
            motion.bad.forEach((bad, bin) => bad && plot.context.fillRect(plot.X(bin * motion.bin_s), plot.area.top, Math.max(1, plot.X(motion.bin_s) - plot.X(0)), plot.area.height));
          },
          draw: (plot) => list.forEach(([[low, high], colour]) => {
            plot.band(xs, low, high, ink(colour));
            plot.line(xs, low.map((v, bin) => (v + high[bin]) / 2), ink(colour), 1);
          }),
          hover: (plot, x) => {
            const bin = clamp(Math.floor(x / motion.bin_s), 0, n - 1);
            return `${number(x)} s: ${list.map(([[low, high], , name]) => `${name} ${number((low[bin] + high[bin]) / 2)}`).join(', ')}`;
          },
        });
        if (list.length > 1) place.append(h('p', { class: 'legend' }, list.map(([, colour, name]) => swatch(colour, name))));
      };
      curves(two, 'Shift of every frame', [[motion.y, 'accent', 'down'], [motion.x, 'mark', 'right']], 'px');
      curves(two, 'Correlation with the reference', [[motion.correlation, 'accent', 'correlation']], 'r');
      if (motion.apart.length) curves(two, 'How far parts of a frame moved apart from its mean', [[[motion.apart.map(() => 0), motion.apart], 'bar', 'largest']], 'px', { domain: [0, Math.max(.1, ...motion.apart) * 1.05] });
      const { range, counts } = plane.correlation_histogram;
      const edges = Array.from({ length: counts.length + 1 }, (_, bin) => range[0] + ((range[1] - range[0] || 1e-6) * bin) / counts.length);
      const place = h('div');
      two.append(place);
      place.append(h('h3', {}, 'Correlations of all frames'));
      new Plot(place, { label: 'histogram of correlations', height: 170, x: { domain: [edges[0], edges[edges.length - 1]], label: 'correlation with the reference' }, y: { domain: [0, Math.max(1, ...counts) * 1.06], label: 'frames' }, draw: (plot) => plot.bars(edges, counts, ink('bar')) });
      box.append(h('p', { class: 'small' }, `${fixed(100 * plane.covered, 1)} % of the field was measured in nearly all frames. ${motion.n_bad ? `${number(motion.n_bad)} bad frames (red).` : 'No bad frames.'} ${plane.bidirectional_offset_px ? `Odd rows lay ${number(plane.bidirectional_offset_px)} px too far to the right and were moved.` : 'No offset between odd and even rows.'} Curves show the extremes of ${number(Math.max(1, Math.round(motion.bin_s * movie.frame_rate_hz)))} frames at a time.`));
    });
  }

  /** Scores against what is known of a simulated movie. */
  function truthPart() {
    const place = section('truth', 'Against the truth', 'Truth', 'The movie was simulated, so its cells, spikes and motion are known.');
    truth.forEach((score, k) => {
      if (truth.length > 1) place.append(h('h3', {}, `Plane ${k}`));
      facts(place, [
        [fixed(score.f1_active, 3), 'F1 of active cells', `${number(score.n_active)} true ones`],
        [fixed(score.f1_all, 3), 'F1 of all cells', `${number(score.n_truth)} true ones, ${number(score.n_pred)} found, ${number(score.n_false)} false`],
        [fixed(score.mean_iou, 3), 'mean overlap (IoU)', 'of the cells that were found'],
        [fixed(score.trace_r_median, 3), 'correlation of traces', 'median'],
        [fixed(score.spike_r_median, 3), 'correlation of spikes', `median; lag ${number(score.spike_lag)} frames`],
        [`${number(score.shift_rmse_px)} px`, 'error of the motion', 'rms'],
      ]);
    });
  }
})();
