// The page of two results of one field.
(() => {
  const about = block('about');
  const sides = [block('first'), block('second')];
  const rows = [new Rows('first-rows'), new Rows('second-rows')];
  const pairs = block('pairs').map((pair, k) => ({ ...pair, k }));
  const colours = ['hsl(28 100% 58%)', 'hsl(190 95% 60%)'];
  const names = sides[0].name === sides[1].name ? sides.map((side) => side.path) : sides.map((side) => side.name);
  const isPair = (pair) => pair.first !== null && pair.second !== null;
  const both = pairs.filter(isPair);
  const median = (list) => { const sorted = list.filter((v) => v !== null && Number.isFinite(v)).sort((a, b) => a - b); return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null; };
  const nPlanes = Math.max(sides[0].images.length, sides[1].images.length);
  const key = () => h('p', { class: 'legend' }, names.map((name, k) => h('span', {}, h('i', { style: { background: colours[k] } }), name)));
  const cellsOf = (pair) => ['first', 'second'].map((side, k) => (pair && pair[side] !== null ? { k, cell: sides[k].cells[pair[side]] } : null)).filter(Boolean);

  main.append(h('div', {}, h('div', { class: 'small' }, 'Two results of one field'), h('h1', {}, `${names[0]} and ${names[1]}`), key()));
  facts(main, [
    [number(both.length), 'cells of both', 'outlines that overlap (IoU) by at least 0.5'],
    [number(pairs.filter((p) => p.second === null).length), 'only in the first', `of ${number(sides[0].cells.length)}`],
    [number(pairs.filter((p) => p.first === null).length), 'only in the second', `of ${number(sides[1].cells.length)}`],
    [fixed(median(both.map((p) => p.iou)), 3), 'median overlap (IoU)', 'of the cells of both'],
    [fixed(median(both.map((p) => p.trace_r)), 3), 'median correlation', 'of ΔF/F of the cells of both'],
  ]);

  const part = section('cells', 'Cells', 'Cells', 'A click in the field or on a row shows the cells of both.');
  const two = grid(part, 'field-and-cell');
  const left = card(two, 'Field of view');
  const right = card(two);
  const state = { side: 0, plane: 0, kind: 'all' };
  const tools = h('div', { class: 'tools' },
    switchOf([[0, 'mean of the first'], [1, 'mean of the second']], 0, 'image', (value) => { state.side = value; field.redraw(); }),
    switchOf([['all', 'all cells'], ['only', 'only those without partner']], 'all', 'cells', (value) => { state.kind = value; field.redraw(); }),
    nPlanes > 1 ? h('label', {}, 'plane', h('select', { 'aria-label': 'plane', onchange: (event) => { state.plane = Number(event.currentTarget.value); field.redraw(); } }, Array.from({ length: nPlanes }, (_, k) => h('option', { value: k }, String(k))))) : null);
  left.append(tools);
  const pictures = new Map();
  const picture = (side, plane) => {
    const name = `${side} ${plane}`;
    if (!pictures.has(name)) {
      const id = sides[side].images[plane];
      const image = id ? pictureOf(id, () => { field.redraw(); close.redraw(); }) : new Image();
      pictures.set(name, image);
    }
    return pictures.get(name);
  };
  const paths = [new Map(), new Map()];
  const outline = (k, cell) => {
    if (!paths[k].has(cell.cell)) paths[k].set(cell.cell, outlineOf(cell.runs));
    return paths[k].get(cell.cell);
  };
  const inside = (cell, x, y) => {
    for (let k = 0; k < cell.runs.length; k += 3) if (cell.runs[k] === y && x >= cell.runs[k + 1] && x < cell.runs[k + 1] + cell.runs[k + 2]) return true;
    return false;
  };
  /** Draws a part of the field: its upper left corner and the size of a pixel. */
  function paint(plot, side, plane, [x0, y0], scale, list, bold) {
    const c = plot.context;
    c.save();
    c.translate(plot.area.left, plot.area.top);
    c.scale(scale, scale);
    c.translate(-x0, -y0);
    c.imageSmoothingEnabled = scale < 2;
    const image = picture(side, plane);
    if (image.complete && image.naturalWidth) c.drawImage(image, 0, 0, about.width, about.height);
    for (const pair of list) {
      for (const { k, cell } of cellsOf(pair)) {
        c.strokeStyle = colours[k];
        c.lineWidth = (pair.k === chosen.id ? bold + 1 : bold) / scale;
        c.stroke(outline(k, cell));
      }
    }
    c.restore();
  }
  const field = new Plot(left, {
    label: 'mean image with the outlines of the cells of both', margin: { left: 0, right: 0, top: 0, bottom: 0 },
    height: (width) => Math.min(820, (width * about.height) / about.width),
    // Axes count pixels; what is beside the field counts on.
    x: (plot) => ({ domain: [0, (plot.width / plot.height) * about.height], ticks: [] }), zoom: { x: 16, y: 16, square: true }, y: { domain: [0, about.height], ticks: [], flip: true },
    draw: (plot) => {
      const list = pairs.filter((pair) => pair.plane === state.plane && (state.kind === 'all' || !isPair(pair) || pair.k === chosen.id));
      const [[x0], [y0, y1]] = [plot.x.domain, plot.y.domain];
      paint(plot, state.side, state.plane, [x0, y0], plot.area.height / (y1 - y0), list, 1.2);
    },
    click: (plot, x, y) => {
      const hit = pairs.find((pair) => pair.plane === state.plane && cellsOf(pair).some(({ cell }) => inside(cell, Math.floor(x), Math.floor(y))));
      if (hit) choose(hit.k);
    },
  });
  field.redraw();

  const head = h('div', { class: 'head', id: 'pair-head' });
  right.append(head, key());
  const closeUps = h('div');
  right.append(closeUps);
  const close = new Plot(closeUps, {
    label: 'the cells of both, close up, on either mean image', height: 228, margin: { left: 0, right: 0, top: 0, bottom: 18 }, x: { domain: [0, 1], ticks: [] }, y: { domain: [0, 1], ticks: [] },
    draw: (plot) => {
      const pair = pairs[chosen.id];
      const own = cellsOf(pair);
      if (!own.length) return;
      const ys = own.flatMap(({ cell }) => cell.runs.filter((_, k) => k % 3 === 0));
      const xs = own.flatMap(({ cell }) => cell.runs.flatMap((x, k) => (k % 3 === 1 ? [x, x + cell.runs[k + 1]] : [])));
      const [[x0, x1], [y0, y1]] = [extent(xs), extent(ys)];
      const side = Math.min(plot.area.height, plot.area.width / 2 - 6);
      const reach = Math.max(x1 - x0, y1 - y0) * .5 + 12;
      const corner = [(x0 + x1) / 2 - reach, (y0 + y1) / 2 - reach];
      const near = pairs.filter((other) => other.plane === pair.plane);
      [0, 1].forEach((k) => {
        const c = plot.context;
        c.save();
        c.translate(k * (side + 12), 0);
        c.beginPath();
        c.rect(plot.area.left, plot.area.top, side, side);
        c.clip();
        c.fillStyle = '#000';
        c.fillRect(plot.area.left, plot.area.top, side, side);
        paint(plot, k, pair.plane, corner, side / (2 * reach), near, 1.4);
        c.restore();
        c.fillStyle = ink('soft');
        c.font = FONT;
        c.textBaseline = 'top';
        c.fillText(k ? 'on the mean of the second' : 'on the mean of the first', k * (side + 12), plot.area.top + side + 4);
      });
    },
  });
  // Results of one movie have the same frames.
  const alike = about.n_frames[0] && about.n_frames[0] === about.n_frames[1];
  const trace = new Plot(right, {
    label: 'ΔF/F of both', height: 220, needs: rows, margin: { left: 46 }, x: alike ? { domain: [0, about.n_frames[0]], label: 'frame' } : { domain: [0, 1], label: 'share of each movie' }, zoom: { x: alike ? 20 : .01 }, y: { domain: [0, 2], ticks: [], label: 'ΔF/F, each on its own scale' },
    draw: (plot) => cellsOf(pairs[chosen.id]).forEach(({ k, cell }) => {
      if (!cell.range || !about.n_bins) return;
      const row = rows[k].row(cell.cell);
      const xs = Array.from({ length: about.n_bins }, (_, bin) => ((bin + .5) / about.n_bins) * (alike ? about.n_frames[0] : 1));
      const level = (values) => Array.from(values, (v) => 1.04 - k + (v / 255) * .9);
      plot.band(xs, level(row.low), level(row.high), colours[k]);
      plot.line(xs, level(row.high), colours[k], 1);
    }),
  });
  new Table(card(part), [
    { key: 'kind', title: 'kind', text: true, value: kind, show: (p) => h('span', { class: `badge ${isPair(p) ? 'good' : 'fair'}` }, kind(p)) },
    ...(nPlanes > 1 ? [{ key: 'plane', title: 'plane', value: (p) => p.plane }] : []),
    { key: 'first', title: 'first', value: (p) => p.first }, { key: 'second', title: 'second', value: (p) => p.second },
    { key: 'iou', title: 'IoU', about: 'intersection over union; of a cell without a partner, the largest', value: (p) => p.iou, show: (p) => fixed(p.iou, 3) },
    { key: 'trace_r', title: 'r of traces', value: (p) => p.trace_r, show: (p) => fixed(p.trace_r, 3) },
    { key: 'area_first', title: 'area, first', value: (p) => (p.first === null ? null : sides[0].cells[p.first].area_px) },
    { key: 'area_second', title: 'area, second', value: (p) => (p.second === null ? null : sides[1].cells[p.second].area_px) },
  ], pairs, { id: (p) => p.k, height: 420, noun: 'rows', chosen: choose, sort: 'iou', descending: true, example: 'filter, for example: iou<0.8', presets: [['all', ''], ['pairs', 'kind=pair'], ['without partner', 'only']] });
  on('chosen', (id) => {
    const pair = pairs[id];
    if (pair.plane !== state.plane) {
      state.plane = pair.plane;
      const select = tools.querySelector('select');
      if (select) select.value = String(pair.plane);
    }
    const side = (name) => (pair[name] === null ? `none of the ${name}` : `cell ${pair[name]} of the ${name}`);
    head.replaceChildren(h('span', { class: 'name' }, isPair(pair) ? 'Pair' : pair.second === null ? 'Only in the first' : 'Only in the second'), h('span', { class: 'small' }, `${side('first')}, ${side('second')}; overlap ${fixed(pair.iou, 3)}${pair.trace_r === null ? '' : `, correlation ${fixed(pair.trace_r, 3)}`}`));
    [field, close, trace].forEach((plot) => plot.redraw());
  });
  main.append(h('footer', {}, `Made by somata ${about.version} from ${sides[0].path} and ${sides[1].path}. This file is complete: it needs no network and no other file.`));
  pageHead(`${names[0]} and ${names[1]}`);
  if (pairs.length) chooseFirst((k) => k < pairs.length, 0);

  function kind(pair) {
    return isPair(pair) ? 'pair' : pair.second === null ? 'only first' : 'only second';
  }
})();
