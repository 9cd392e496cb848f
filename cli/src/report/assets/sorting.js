// The page of a sort.
(() => {
  const manifest = block('manifest');
  const recording = block('recording');
  const units = block('units');
  const guide = block('metric-guide');
  const motion = block('motion');
  const truth = block('truth');
  const nBad = recording.channels.filter((c) => c.bad).length;

  main.append(h('div', {}, h('div', { class: 'small' }, 'Spike sorting'), h('h1', {}, recording.name)));
  facts(main, [
    [number(units.length), 'units', `${number(manifest.n_good)} good, ${number(units.length - manifest.n_good)} multi-unit`],
    [number(manifest.n_spikes), 'spikes', `${number(manifest.n_spikes / recording.duration_s)} a second`],
    [duration(recording.duration_s), 'of recording', `${manifest.recording.format}, ${number(recording.sampling_frequency_hz)} Hz`],
    [number(recording.channels.length), 'channels', nBad ? `${nBad} left out` : 'none left out'],
    motion ? [`${number(manifest.motion.largest_um, 2)} µm`, 'largest motion', manifest.motion.corrected ? 'corrected' : 'not corrected'] : ['–', 'motion', 'not estimated'],
    [`${number(recording.duration_s / manifest.seconds, 2)} ×`, 'real time', `${duration(manifest.seconds)} on ${manifest.device}`],
    truth ? [fixed(truth.sorting.mean_accuracy, 3), 'mean accuracy', `${truth.sorting.n_well_detected} of ${truth.sorting.n_true} true units well detected`] : null,
  ]);
  warningList(main, manifest.warnings);

  const map = section('probe', 'Probe and drift', 'Probe', 'Squares are contacts, discs are units: strong where good, pale where multi-unit, larger where spikes are larger. A click on a disc shows the unit.');
  const maps = grid(map, 'map-and-drift');
  probeMap(card(maps, 'Probe'), recording, units);
  driftMap(card(maps, 'Drift map'), recording, units, motion);

  const rowsOfUnits = section('units', 'Units', 'Units', units.length ? 'A click on a row shows the unit below the table; the arrow keys go through it. The filter takes words and comparisons, for example: good snr>5 n_spikes>=500.' : 'No units were found.');
  if (units.length) {
    const left = card(rowsOfUnits);
    new UnitPanel(rowsOfUnits, recording, units, guide);
    const nShanks = new Set(units.map((u) => u.shank)).size;
    const metric = (key, title) => {
      const about = guide.find((entry) => entry.name === key);
      return {
        key, title, about: about && `${about.meaning}${about.unit ? ` Unit: ${about.unit}.` : ''}`,
        value: (unit) => metricOf(unit, key),
        show: (unit) => {
          const value = metricOf(unit, key);
          const judged = verdict(value, about);
          return judged === 'poor' ? h('span', { class: 'badge poor' }, number(value)) : number(value);
        },
      };
    };
    const shown = ['n_spikes', 'firing_rate_hz', 'snr', 'isi_violations_ratio', 'rp_contamination', 'presence_ratio', 'amplitude_median_uv', 'amplitude_cutoff', 'template_norm'];
    const titles = { n_spikes: 'spikes', firing_rate_hz: 'Hz', snr: 'SNR', isi_violations_ratio: 'ISI viol.', rp_contamination: 'RP cont.', presence_ratio: 'presence', amplitude_median_uv: 'µV', amplitude_cutoff: 'cutoff', template_norm: 'norm', isi_violations_count: '< 1.5 ms' };
    const more = Object.keys(units[0].metrics).filter((name) => !shown.includes(name));
    new Table(left, [
      { key: 'unit_id', title: 'unit', value: (u) => u.unit_id, show: (u) => h('span', {}, h('span', { class: 'dot', style: { background: ownColour(u.unit_id) } }), String(u.unit_id)) },
      { key: 'label', title: 'label', text: true, value: (u) => u.label, show: (u) => labelBadge(u.label) },
      { key: 'y_um', title: 'depth', about: 'y of the unit, µm', value: (u) => u.y_um, show: (u) => number(Math.round(u.y_um)) },
      ...(nShanks > 1 ? [{ key: 'shank', title: 'shank', value: (u) => u.shank }] : []),
      { key: 'main_channel', title: 'channel', about: 'channel of the recording on which it is largest', value: (u) => u.main_channel },
      ...[...shown, ...more].map((key) => metric(key, titles[key] || (guide.find((entry) => entry.name === key) || { title: key }).title)),
    ], units, {
      id: (u) => u.unit_id, height: 322, noun: 'units', chosen: choose, example: 'filter, for example: good snr>5',
      presets: [['all', ''], ['good', 'label=good'], ['multi-unit', 'label=mua']],
    });
    activity(section('activity', 'Activity', 'Activity', 'Units in order of depth, the largest y at the top, shank by shank. A click chooses the unit of a row.'), recording, units);

    const spread = section('quality', 'How the units are', 'Quality', 'How metrics are spread over all units. Dashed: where the usual range of an isolated unit ends.');
    const many = grid(spread, 'cards');
    const finite = (key) => units.map((u) => metricOf(u, key));
    for (const [key, label, lines, domain] of [
      ['snr', 'SNR', [5], null], ['firing_rate_hz', 'firing rate, Hz', [], null], ['isi_violations_ratio', 'ISI violations ratio', [.1], null],
      ['amplitude_cutoff', 'amplitude cutoff', [.1], [0, .5]], ['presence_ratio', 'presence ratio', [.9], [0, 1]], ['template_norm', 'template norm', [6.2], null],
    ]) {
      const values = finite(key);
      if (values.some((v) => v !== null && v !== undefined)) histogramPlot(card(many, label), label, values, { lines, domain, bins: 24, x: '' });
    }
  }

  const channels = section('channels', 'Channels', 'Channels', null);
  channelPanel(channels, recording);
  if (truth) truthPanel(truth, units);
  provenance(manifest);
  pageHead(recording.name);

  const best = units.filter((u) => u.label === 'good').sort((a, b) => b.metrics.snr - a.metrics.snr)[0] || units[0];
  if (best) chooseFirst((id) => id < units.length, best.unit_id);

  /** Scores against what is known of a simulated recording. */
  function truthPanel({ sorting, collisions, motion: error }, all) {
    const part = section('truth', 'Against the truth', 'Truth', 'The recording was simulated, so its spikes are known. Accuracy is the share of spikes that agree, of all that either side has.');
    facts(part, [
      [fixed(sorting.mean_accuracy, 3), 'mean accuracy', 'true units that were not found count as 0'],
      [fixed(sorting.mean_recall, 3), 'mean recall'],
      [fixed(sorting.mean_precision, 3), 'mean precision'],
      [`${sorting.n_well_detected} of ${sorting.n_true}`, 'well detected', 'agreement of at least 0.8'],
      [`${sorting.n_false_positive} + ${sorting.n_redundant}`, 'false + redundant units', `${sorting.n_overmerged} overmerged`],
      collisions && collisions.recall != null ? [fixed(collisions.recall, 3), 'collision recall', `${number(collisions.n_colliding)} spikes near another`] : null,
      error ? [`${number(error.median_abs_um)} µm`, 'motion error', `median; ${number(error.rms_um)} µm rms`] : null,
    ]);
    const both = grid(part, 'two');
    const order = [...sorting.per_unit].sort((a, b) => b.accuracy - a.accuracy);
    new Plot(card(both, 'Accuracy of every true unit'), {
      label: 'accuracy of true units, best first', height: 240,
      x: { domain: [-.5, Math.max(1, order.length) - .5], label: 'true units, best first' }, y: { domain: [0, 1.02] },
      draw: (plot) => {
        const wide = Math.max(1, plot.area.width / order.length - 1.5);
        order.forEach((unit, k) => {
          plot.context.fillStyle = unit.accuracy >= .8 ? ink('good') : unit.accuracy >= .5 ? ink('fair') : ink('poor');
          plot.context.fillRect(plot.X(k) - wide / 2, plot.Y(Math.max(unit.accuracy, .004)), wide, plot.Y(0) - plot.Y(Math.max(unit.accuracy, .004)));
        });
        plot.level(.8, ink('soft'), [4, 3]);
      },
      hover: (plot, x) => {
        const unit = order[clamp(Math.round(x), 0, order.length - 1)];
        return unit ? `true unit ${unit.unit_id}: ${fixed(unit.accuracy, 3)}${unit.matched === null ? ', not found' : `, found as unit ${unit.matched}`}` : null;
      },
      click: (plot, x) => {
        const unit = order[clamp(Math.round(x), 0, order.length - 1)];
        if (unit && unit.matched !== null && all[unit.matched]) choose(unit.matched);
      },
    });
    new Table(card(both, 'True units'), [
      { key: 'unit_id', title: 'true unit', value: (u) => u.unit_id },
      { key: 'n_spikes', title: 'spikes', value: (u) => u.n_spikes },
      { key: 'matched', title: 'found as', value: (u) => u.matched, show: (u) => (u.matched === null ? h('span', { class: 'badge poor' }, 'not found') : h('button', { type: 'button', onclick: () => choose(u.matched) }, `unit ${u.matched}`)) },
      ...['accuracy', 'recall', 'precision'].map((key) => ({ key, title: key, value: (u) => u[key], show: (u) => fixed(u[key], 3) })),
    ], sorting.per_unit, { id: (u) => u.unit_id, height: 240, noun: 'true units', sort: 'accuracy', descending: true });
  }
})();
