// The page of two sortings of one recording.
(() => {
  const about = block('about');
  const sides = [block('first'), block('second')];
  const rows = [new Rows('first-rows'), new Rows('second-rows')];
  const cross = new Rows('cross-rows');
  const pairs = block('pairs').map((pair, k) => ({ ...pair, k }));
  const agreements = block('agreements');
  const unit = (pair, side) => (pair[side] === null ? null : sides[side === 'first' ? 0 : 1].units[pair[side]]);
  const nPaired = pairs.filter((p) => p.paired).length;
  const only = (name) => pairs.filter((p) => p.only === name).length;
  const colours = ['accent', 'mark'];
  // Where both are the same, the first is still seen below the second.
  const widths = [3.4, 1.3];
  const names = sides[0].name === sides[1].name ? sides.map((side) => side.path) : sides.map((side) => side.name);
  const key = () => h('p', { class: 'legend' }, names.map((name, k) => swatch(colours[k], name)));

  main.append(h('div', {}, h('div', { class: 'small' }, 'Two sortings of one recording'), h('h1', {}, `${names[0]} and ${names[1]}`), key()));
  facts(main, [
    [number(nPaired), 'pairs', 'units of both that agree by at least 0.5'],
    [fixed(about.mean_agreement, 3), 'mean agreement of the pairs'],
    [`${fixed(100 * about.spike_agreement, 1)} %`, 'of all spikes agree'],
    [number(only('first')), 'only in the first', `of ${number(sides[0].units.length)} units`],
    [number(only('second')), 'only in the second', `of ${number(sides[1].units.length)} units`],
  ]);

  const part = section('pairs', 'Units', 'Units', 'Agreement: spikes within 0.4 ms of each other, over the spikes of either. A unit without a partner stands with the one that agrees most. A click on a row shows both.');
  const both = grid(part, 'table-and-unit');
  const left = card(both);
  const panel = card(both);
  const idOf = (pair, side) => (unit(pair, side) ? unit(pair, side).id : null);
  const label = (pair, side) => (unit(pair, side) ? unit(pair, side).label : null);
  const state = (pair) => (pair.paired ? 'pair' : `only ${pair.only}`);
  new Table(left, [
    { key: 'kind', title: 'kind', text: true, value: state, show: (p) => h('span', { class: `badge ${p.paired ? 'good' : 'fair'}` }, state(p)) },
    { key: 'first', title: 'first', value: (p) => idOf(p, 'first') },
    { key: 'second', title: 'second', value: (p) => idOf(p, 'second') },
    { key: 'agreement', title: 'agreement', value: (p) => p.agreement, show: (p) => fixed(p.agreement, 3) },
    { key: 'n_matches', title: 'matches', value: (p) => p.n_matches },
    { key: 'n_first', title: 'spikes, first', value: (p) => (unit(p, 'first') ? unit(p, 'first').n_spikes : null) },
    { key: 'n_second', title: 'spikes, second', value: (p) => (unit(p, 'second') ? unit(p, 'second').n_spikes : null) },
    ...(sides.some((side) => side.units.some((u) => u.label)) ? [
      { key: 'label_first', title: 'label, first', text: true, value: (p) => label(p, 'first') },
      { key: 'label_second', title: 'label, second', text: true, value: (p) => label(p, 'second') }] : []),
  ], pairs, {
    id: (p) => p.k, height: 640, noun: 'rows', chosen: choose, sort: 'agreement', descending: true, example: 'filter, for example: agreement<0.8',
    presets: [['all', ''], ['pairs', 'kind=pair'], ['without partner', 'only']],
  });

  let shown = null;
  const head = h('div', { class: 'head', id: 'pair-head' });
  panel.append(head, key());
  const both2 = () => (areThere() ? ['first', 'second'] : []).map((side, k) => (shown && shown[side] !== null ? { k, unit: unit(shown, side), row: rows[k].row(shown[side]) } : null)).filter(Boolean);
  const areThere = () => [...rows, cross].every((own) => own.isThere);
  const plots = [];
  const plot = (title, options) => { panel.append(h('h3', {}, title)); plots.push(new Plot(panel, { needs: [...rows, cross], ...options })); };
  if (sides.some((side) => side.taps)) plot('Waveform on the channel where each is largest', waveformOptions());
  const n = about.window_ms / about.auto_bin_ms;
  const autoOf = ({ unit: own, row }) => { const to = 1000 / (Math.max(1, own.references) * about.auto_bin_ms); return [...[...row.auto].reverse(), ...row.auto].map((count) => count * to); };
  const lags = Array.from({ length: 2 * n }, (_, k) => (k - n + .5) * about.auto_bin_ms);
  plot('Autocorrelograms', {
    label: 'autocorrelograms of both units', height: 160, x: { domain: [-about.window_ms, about.window_ms], label: 'lag, ms' },
    y: () => ({ domain: [0, Math.max(1e-9, ...both2().flatMap(autoOf)) * 1.08], label: 'Hz' }),
    under: (p) => refractory(p, -1.5, 1.5),
    draw: (p) => both2().forEach((side) => p.line(lags, autoOf(side), ink(colours[side.k]), widths[side.k])),
  });
  plot('Spikes of the second around those of the first', {
    label: 'cross-correlogram of both units', height: 130, x: { domain: [-about.window_ms, about.window_ms], label: 'lag, ms' },
    y: () => ({ domain: [0, shown && shown.paired && areThere() ? Math.max(1, ...cross.row(shown.k).cross) * 1.08 : 1], label: 'spikes' }),
    draw: (p) => {
      if (!shown || !shown.paired) return;
      const counts = cross.row(shown.k).cross;
      const half = (counts.length - 1) / 2;
      p.bars(Array.from({ length: counts.length + 1 }, (_, k) => (k - half - .5) * about.cross_bin_ms), counts, ink('bar'));
    },
  });
  plot('Firing rate over time', {
    label: 'firing rate of both units over time', height: 130, x: { domain: [0, about.duration_s], label: 'time, s' },
    y: () => ({ domain: [0, Math.max(1e-9, ...both2().map((side) => side.unit.largest_rate_hz)) * 1.08], label: 'Hz' }),
    draw: (p) => both2().forEach(({ k, unit: own, row }) => p.line(Array.from(row.rate, (_, bin) => ((bin + .5) * about.duration_s) / row.rate.length), Array.from(row.rate, (v) => (v / 255) * own.largest_rate_hz), ink(colours[k]), widths[k])),
  });
  on('chosen', (k) => {
    shown = pairs[k];
    const side = (name) => { const own = unit(shown, name); return own ? `unit ${own.id} of the ${name} (${number(own.n_spikes)} spikes${own.label ? `, ${own.label}` : ''})` : `no unit of the ${name}`; };
    head.replaceChildren(h('span', { class: 'name' }, shown.paired ? 'Pair' : `Only in the ${shown.only}`), h('span', { class: 'small' }, `${side('first')} and ${side('second')}: agreement ${fixed(shown.agreement, 3)}, ${number(shown.n_matches)} matches`));
    plots.forEach((own) => own.redraw());
  });

  const whole = section('agreement', 'Agreement of all units', 'Agreement', 'Rows: units of the first; columns: units of the second, partners beside each other. A second mark in a row or column is a unit that the other side has cut in parts or put together.');
  const order = ['first', 'second'].map((side) => {
    const list = [...new Set(pairs.filter((p) => p.paired || p.only === side).map((p) => p[side]))];
    return { list, at: new Map(list.map((own, k) => [own, k])) };
  });
  const square = card(whole);
  const shade = h('span', { class: 'legend' });
  const paint = () => shade.replaceChildren('agreement 0', rampBar(), '1');
  paint();
  on('theme', paint);
  new Plot(square, {
    label: 'agreement of every unit of the first with every unit of the second', height: (width) => clamp((width * order[0].list.length) / Math.max(1, order[1].list.length), 200, 620), margin: { left: 60 },
    x: { domain: [0, Math.max(1, order[1].list.length)], label: 'units of the second', ticks: [] }, y: { domain: [0, Math.max(1, order[0].list.length)], flip: true, label: 'units of the first', ticks: [] },
    draw: (p) => agreements.forEach(([row, column, value]) => {
      const [x, y] = [order[1].at.get(column), order[0].at.get(row)];
      p.context.fillStyle = ramp(value);
      p.context.fillRect(p.X(x), p.Y(y), Math.max(1.5, p.X(x + 1) - p.X(x) - .5), Math.max(1.5, p.Y(y + 1) - p.Y(y) - .5));
    }),
    hover: (p, x, y) => {
      const [row, column] = [order[0].list[Math.floor(y)], order[1].list[Math.floor(x)]];
      const found = agreements.find(([a, b]) => a === row && b === column);
      return row === undefined || column === undefined ? null : `unit ${sides[0].units[row].id} and unit ${sides[1].units[column].id}: ${found ? fixed(found[2], 3) : 'less than 0.02'}`;
    },
    click: (p, x, y) => {
      const [row, column] = [order[0].list[Math.floor(y)], order[1].list[Math.floor(x)]];
      const pair = pairs.find((own) => own.first === row && own.second === column) || pairs.find((own) => own.first === row && own.only !== 'second');
      if (pair) choose(pair.k);
    },
  });
  square.append(h('p', { class: 'small' }, shade));
  main.append(h('footer', {}, `Made by somata ${about.version} from ${sides[0].path} and ${sides[1].path}. This file is complete: it needs no network and no other file.`));
  pageHead(`${names[0]} and ${names[1]}`);
  if (pairs.length) chooseFirst((k) => k < pairs.length, 0);

  function waveformOptions() {
    const first = ({ k, unit: own, row }) => Array.from(row.waveform.slice(0, sides[k].taps), (v) => (v / 32767) * own.waveform_uv);
    return {
      label: 'waveforms of both units', height: 170,
      x: () => ({ domain: [0, Math.max(...sides.map((side) => (side.taps / side.sampling_frequency_hz) * 1000))], label: 'time, ms' }),
      y: () => ({ domain: padded(extent(both2().flatMap(first))), label: 'µV' }),
      draw: (p) => both2().forEach((side) => {
        const wave = first(side);
        p.line(wave.map((_, t) => (t / sides[side.k].sampling_frequency_hz) * 1000), wave, ink(colours[side.k]), widths[side.k]);
      }),
    };
  }
})();
