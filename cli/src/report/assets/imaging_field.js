// The field of view: an image of a plane with the outlines of its cells, to look at closely and to choose cells in.

/** Colours of cells: by number, or by a measure. */
const CELL_COLOURS = [
  ['own', 'a colour a cell', null],
  ['probability', 'probability', [0, 1]],
  ['trace_snr', 'SNR', null],
  ['active_per_min', 'activity', null],
  ['neuropil_ratio', 'neuropil', [0, 1]],
];

class Field {
  constructor(parent, movie, planes, cells) {
    Object.assign(this, { movie, planes, cells });
    this.state = { plane: 0, image: 'mean', outlines: true, colour: 'own', brightness: 1 };
    this.view = { x: 0, y: 0, zoom: 1 };
    this.shown = new Set(cells.map((c) => c.cell));
    this.pictures = new Map();
    this.labels = planes.map(() => null);
    this.paths = new Map();
    const tools = h('div', { class: 'tools' });
    if (planes.length > 1) {
      tools.append(h('label', {}, 'plane', h('select', { 'aria-label': 'plane', onchange: (event) => this.setPlane(Number(event.currentTarget.value)) }, planes.map((_, k) => h('option', { value: k }, String(k))))));
      this.planeSelect = tools.querySelector('select');
    }
    tools.append(
      switchOf([['mean', 'mean'], ['max', 'maximum'], ['correlation', 'correlation']], 'mean', 'image', (value) => { this.state.image = value; this.redraw(); }),
      checkOf('outlines', true, (value) => { this.state.outlines = value; this.redraw(); }),
      h('label', {}, 'colour', h('select', { 'aria-label': 'colour of the outlines', onchange: (event) => { this.state.colour = event.currentTarget.value; this.legend(); this.redraw(); } }, CELL_COLOURS.map(([key, name]) => h('option', { value: key }, name)))),
      h('label', {}, 'brightness', h('input', { type: 'range', min: '0.4', max: '3', step: '0.05', value: '1', 'aria-label': 'brightness', oninput: (event) => { this.state.brightness = Number(event.currentTarget.value); this.redraw(); } })),
    );
    this.key = h('span', { class: 'legend' });
    tools.append(this.key);
    this.canvas = h('canvas', { role: 'img', 'aria-label': 'field of view with the outlines of cells' });
    this.tip = h('div', { class: 'tip', hidden: true });
    this.box = h('div', { class: 'field' }, this.canvas, this.tip);
    parent.append(tools, this.box, h('p', { class: 'small' }, 'A click chooses a cell, shift and click adds one to the traces below. Wheel: zoom; drag: move; double click: all of it. ',
      movie.pixel_size_um ? `A pixel is ${number(movie.pixel_size_um[0])} × ${number(movie.pixel_size_um[1])} µm.` : ''));
    new ResizeObserver(() => this.redraw()).observe(this.box);
    on('theme', () => { this.legend(); this.redraw(); });
    on('chosen', (id) => {
      const cell = this.cells[id];
      if (cell && cell.plane !== this.state.plane) this.setPlane(cell.plane);
      this.redraw();
    });
    on('traced', () => this.redraw());
    on('filtered-cells', (shown) => { this.shown = new Set(shown.map((c) => c.cell)); this.redraw(); });
    this.pointer();
    this.legend();
  }

  setPlane(plane) {
    this.state.plane = plane;
    if (this.planeSelect) this.planeSelect.value = String(plane);
    this.redraw();
  }

  legend() {
    const [key, name, range] = CELL_COLOURS.find(([own]) => own === this.state.colour);
    this.range = range || extent(this.cells.map((c) => c[key]).filter((v) => v !== null && Number.isFinite(v)));
    this.key.replaceChildren(...(key === 'own' ? [] : [number(this.range[0]), rampBar(true), `${number(this.range[1])} (${name})`]));
  }
  colourOf(cell) {
    if (this.state.colour === 'own') return ownColourOnDark(cell.cell);
    const [low, high] = this.range;
    return ramp((cell[this.state.colour] - low) / (high - low || 1), true);
  }

  picture(plane, name) {
    const key = `${plane} ${name}`;
    if (!this.pictures.has(key)) {
      const image = new Image();
      image.onload = () => this.redraw();
      image.src = this.planes[plane].images[name];
      this.pictures.set(key, image);
    }
    return this.pictures.get(key);
  }

  /** Which cell has each pixel of a plane; −1 for none. */
  labelsOf(plane) {
    if (!this.labels[plane]) {
      const labels = new Int32Array(this.movie.height * this.movie.width).fill(-1);
      for (const cell of this.cells) {
        if (cell.plane !== plane) continue;
        for (let k = 0; k < cell.runs.length; k += 3) {
          const at = cell.runs[k] * this.movie.width + cell.runs[k + 1];
          labels.fill(cell.cell, at, at + cell.runs[k + 2]);
        }
      }
      this.labels[plane] = labels;
    }
    return this.labels[plane];
  }

  /** Edges between the pixels of a cell and others, as a path in pixels. */
  outline(cell) {
    if (!this.paths.has(cell.cell)) this.paths.set(cell.cell, outlineOf(cell.runs));
    return this.paths.get(cell.cell);
  }

  redraw() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => { this.queued = false; this.draw(); });
  }

  draw() {
    const wide = this.box.clientWidth;
    if (!wide) return;
    const { height, width } = this.movie;
    const tall = Math.min((wide * height) / width, 820);
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(wide * ratio) || this.canvas.height !== Math.round(tall * ratio)) {
      this.canvas.width = Math.round(wide * ratio);
      this.canvas.height = Math.round(tall * ratio);
      this.canvas.style.height = `${tall}px`;
    }
    this.fit = Math.min(wide / width, tall / height);
    const scale = this.fit * this.view.zoom;
    // The whole field is in the middle.
    const left = (wide - width * this.fit) / 2;
    const c = this.canvas.getContext('2d');
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = '#000';
    c.fillRect(0, 0, wide, tall);
    c.translate(left, 0);
    c.scale(scale, scale);
    c.translate(-this.view.x, -this.view.y);
    this.transform = { scale, left };
    c.imageSmoothingEnabled = scale < 2;
    const image = this.picture(this.state.plane, this.state.image);
    if (image.complete && image.naturalWidth) {
      c.filter = this.state.brightness === 1 ? 'none' : `brightness(${this.state.brightness})`;
      c.drawImage(image, 0, 0, width, height);
      c.filter = 'none';
    }
    const traced = chosenCells();
    const line = (px) => px / scale;
    for (const cell of this.cells) {
      if (cell.plane !== this.state.plane || cell.cell === chosen.id) continue;
      const isTraced = traced.includes(cell.cell);
      if (!isTraced && (!this.state.outlines || !this.shown.has(cell.cell))) continue;
      c.strokeStyle = this.colourOf(cell);
      c.lineWidth = line(isTraced ? 2 : 1.2);
      c.stroke(this.outline(cell));
    }
    const own = this.cells[chosen.id];
    if (own && own.plane === this.state.plane) {
      c.lineJoin = 'round';
      c.strokeStyle = '#000';
      c.lineWidth = line(4.5);
      c.stroke(this.outline(own));
      c.strokeStyle = '#fff';
      c.lineWidth = line(2.2);
      c.stroke(this.outline(own));
    }
  }

  /** The pixel under the pointer. */
  pixel(event) {
    const box = this.canvas.getBoundingClientRect();
    const { scale, left } = this.transform || { scale: 1, left: 0 };
    return [(event.clientX - box.left - left) / scale + this.view.x, (event.clientY - box.top) / scale + this.view.y];
  }
  cellAt(event) {
    const [x, y] = this.pixel(event).map(Math.floor);
    if (x < 0 || y < 0 || x >= this.movie.width || y >= this.movie.height) return null;
    const id = this.labelsOf(this.state.plane)[y * this.movie.width + x];
    return id >= 0 ? this.cells[id] : null;
  }

  pointer() {
    let from = null, moved = false;
    const { canvas } = this;
    const hold = () => {
      const { width, height } = this.movie;
      this.view.x = clamp(this.view.x, 0, width - width / this.view.zoom);
      this.view.y = clamp(this.view.y, 0, height - height / this.view.zoom);
    };
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      const [x, y] = this.pixel(event);
      const zoom = clamp(this.view.zoom * Math.exp(-event.deltaY * .0015), 1, 24);
      const share = this.view.zoom / zoom;
      this.view = { zoom, x: x - (x - this.view.x) * share, y: y - (y - this.view.y) * share };
      hold();
      this.redraw();
    }, { passive: false });
    canvas.addEventListener('pointerdown', (event) => { from = { event, view: { ...this.view } }; moved = false; });
    window.addEventListener('pointermove', (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.event.clientX, event.clientY - from.event.clientY];
      if (Math.hypot(dx, dy) > 3) moved = true;
      if (!moved) return;
      this.view.x = from.view.x - dx / this.transform.scale;
      this.view.y = from.view.y - dy / this.transform.scale;
      hold();
      this.redraw();
    });
    window.addEventListener('pointerup', () => { from = null; });
    canvas.addEventListener('click', (event) => {
      if (moved) return;
      const cell = this.cellAt(event);
      if (!cell) return;
      if (event.shiftKey) tell('trace', cell.cell);
      else choose(cell.cell);
    });
    canvas.addEventListener('dblclick', () => { this.view = { x: 0, y: 0, zoom: 1 }; this.redraw(); });
    canvas.addEventListener('mousemove', (event) => {
      const cell = this.cellAt(event);
      this.tip.hidden = !cell;
      if (!cell) return;
      this.tip.textContent = `cell ${cell.cell}\nprobability ${fixed(cell.probability, 2)}, SNR ${number(cell.trace_snr)}`;
      const box = this.canvas.getBoundingClientRect();
      this.tip.style.left = `${clamp(event.clientX - box.left, 70, box.width - 70)}px`;
      this.tip.style.top = `${Math.max(event.clientY - box.top, 44)}px`;
    });
    canvas.addEventListener('mouseleave', () => { this.tip.hidden = true; });
  }
}
