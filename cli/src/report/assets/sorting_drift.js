// The drift map: depth of spikes over time, with the motion of the tissue over it, for each shank on its own.

function driftMap(parent, recording, units, motion) {
  const about = block('drift-about');
  const rows = new Rows('drift');
  const shankOf = units.map((unit) => unit.shank);
  const shanks = [...new Set(recording.channels.map((c) => c.shank))].sort((a, b) => a - b);
  const isCorrected = Boolean(motion && motion.corrected);
  // Depths of different shanks are different places, so that one shank is shown at first: that of the chosen unit.
  const state = { corrected: isCorrected, colour: 'amplitude', motion: Boolean(motion), shank: shanks.length > 1 ? shanks[0] : 'all' };
  const tools = h('div', { class: 'tools' });
  let shankSwitch = null;
  if (shanks.length > 1) {
    shankSwitch = switchOf([...shanks.map((shank) => [shank, `shank ${shank}`]), ['all', 'all']], state.shank, 'shank', (value) => { state.shank = value; map.redraw(); });
    tools.append(shankSwitch);
  }
  if (isCorrected) {
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
  /** Depths of a shank, with as much room beyond its contacts as the whole map has. */
  const depthsOf = (shank) => {
    if (shank === 'all') return [low, high];
    const ys = extent(recording.channels.map((c) => c.y));
    const own = extent(recording.channels.filter((c) => c.shank === shank).map((c) => c.y));
    return [own[0] - (ys[0] - low), own[1] + (high - ys[1])];
  };
  const isShown = (unit) => state.shank === 'all' || shankOf[unit] === state.shank;
  const shades = 32;
  let ofUnit = null;
  /** Places of spikes on the canvas; the numbers of the block are shares of 65535. */
  const places = (plot) => {
    const spikes = rows.row(0);
    const depth = state.corrected || !isCorrected ? spikes.depth : spikes.recorded_depth;
    const [x0, y0] = [plot.X(0), plot.Y(low)];
    const [wide, tall] = [(plot.X(recording.duration_s) - x0) / 65535, (plot.Y(high) - y0) / 65535];
    return { spikes, px: (k) => x0 + spikes.time[k] * wide, py: (k) => y0 + depth[k] * tall };
  };
  const size = () => {
    // Seen closely there are fewer, and there is room for larger ones.
    const [from, to] = map.x.domain;
    const n = (about.n_shown * (to - from)) / recording.duration_s;
    return n > 60000 ? 1.15 : n > 15000 ? 1.5 : n > 4000 ? 2 : 2.6;
  };
  const map = new Plot(parent, {
    label: 'depth of spikes over time', height: 482, needs: rows,
    x: { domain: [0, recording.duration_s], label: 'time, s' },
    y: () => ({ domain: depthsOf(state.shank), label: 'depth (y), µm' }),
    zoom: { x: recording.duration_s / 500, y: Math.min(40, high - low) },
    baseKey: () => [state.corrected, state.colour, state.shank, state.motion],
    base: (plot) => {
      const { spikes, px, py } = places(plot);
      const opacity = about.n_shown > 60000 ? .7 : .85;
      if (state.colour === 'amplitude') {
        const colours = Array.from({ length: shades }, (_, k) => rampColour((k + .5) / shades));
        plot.dots(about.n_shown, px, py, colours, (k) => (isShown(spikes.unit[k]) ? Math.min(shades - 1, (spikes.amplitude[k] * shades) >> 8) : -1), size(), opacity);
      } else {
        plot.dots(about.n_shown, px, py, units.map((unit) => ownRgb(unit.unit_id)), (k) => (isShown(spikes.unit[k]) ? spikes.unit[k] : -1), size(), opacity);
      }
      if (state.motion && motion) {
        const sign = state.corrected && isCorrected ? 0 : 1;
        motion.depth_um.forEach((at, d) => plot.line(motion.time_s, motion.displacement_um.map((row) => at + sign * row[d]), isDark() ? 'rgba(255,255,255,.85)' : 'rgba(10,20,30,.8)', 1.3));
      }
      for (const pause of recording.pauses_s) plot.upright(pause, ink('poor'), [2, 3]);
    },
    draw: (plot) => {
      if (chosen.id === null || !isShown(chosen.id)) return;
      const { px, py } = places(plot);
      const own = spikesOf(chosen.id);
      plot.dots(own.length, (k) => px(own[k]), (k) => py(own[k]), [inkColour('mark')], () => 0, size() + .8);
    },
    hover: (plot, x, y, px, py) => {
      const unit = nearest(plot, px, py);
      return `${number(x, 4)} s, ${number(Math.round(y))} µm${unit === null ? '' : `, unit ${unit}`}`;
    },
    click: (plot, x, y, px, py) => {
      const unit = nearest(plot, px, py);
      if (unit !== null) choose(unit);
    },
  });
  /** Spikes of the map that are of a unit. */
  function spikesOf(id) {
    if (!ofUnit) {
      ofUnit = units.map(() => []);
      rows.row(0).unit.forEach((unit, k) => ofUnit[unit]?.push(k));
    }
    return ofUnit[id] || [];
  }
  /** Unit of the spike under the pointer, or null. */
  function nearest(plot, px, py) {
    if (!rows.isThere) return null;
    const { spikes, px: across, py: down } = places(plot);
    let best = null, least = 25;
    for (let k = 0; k < about.n_shown; k++) {
      const dx = across(k) - px;
      if (dx > 5 || dx < -5 || !isShown(spikes.unit[k])) continue;
      const distance = dx * dx + (down(k) - py) ** 2;
      if (distance < least) [best, least] = [spikes.unit[k], distance];
    }
    return best;
  }
  on('chosen', (id) => {
    if (state.shank !== 'all' && shankOf[id] !== undefined && shankOf[id] !== state.shank) {
      state.shank = shankOf[id];
      shankSwitch.press(state.shank);
    }
    map.redraw();
  });
  parent.append(h('p', { class: 'small' }, [
    about.n_shown < about.n_spikes ? `One of every ${number(Math.ceil(about.n_spikes / about.n_shown))} of ${number(about.n_spikes)} spikes. ` : `All ${number(about.n_spikes)} spikes. `,
    'Those of the chosen unit are orange. ',
    !motion ? 'No motion was estimated.' : isCorrected ? 'Lines: estimated motion of the tissue at several depths.' : 'Lines: motion as estimated; there was too little evidence to correct it.',
    recording.pauses_s.length ? ' Dotted uprights: pauses of the recording.' : '',
  ].join(''), h('span', { class: 'help' }, ' A click on a spike chooses its unit. Wheel: zoom (with shift only in time, with alt only in depth); drag: move; double click: everything.')));
}
