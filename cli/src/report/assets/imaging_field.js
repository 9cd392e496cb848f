// The field of view: an image of a plane with the outlines of its cells, to look at closely and to choose cells in.

/** Colours of cells: by number, or by a measure. */
const CELL_COLOURS = [
  ['own', 'a colour a cell', null],
  ['probability', 'probability', [0, 1]],
  ['trace_snr', 'SNR', null],
  ['active_per_min', 'activity', null],
  ['neuropil_ratio', 'neuropil', [0, 1]],
  ['second_probability', 'second channel', [0, 1]],
];
/** Steps of the colours of a measure. */
const N_SHADES = 48;
const IMAGES = [['mean', 'mean'], ['max', 'maximum'], ['correlation', 'correlation'], ['second', 'second channel']];

class Field {
  constructor(parent, movie, planes, cells) {
    Object.assign(this, { movie, planes, cells });
    this.state = { plane: 0, image: 'mean', outlines: true, colour: 'own', brightness: 1 };
    this.view = { x: 0, y: 0, zoom: 1 };
    this.shown = new Set(cells.map((c) => c.cell));
    this.pictures = new Map();
    this.labels = planes.map(() => null);
    this.paths = new Map();
    const images = IMAGES.filter(([name]) => planes.some((plane) => plane.images[name]));
    this.colours = CELL_COLOURS.filter(([name]) => name === 'own' || cells.some((cell) => Number.isFinite(cell[name])));
    const tools = h('div', { class: 'tools' });
    if (planes.length > 1) {
      tools.append(h('label', {}, 'plane', h('select', { 'aria-label': 'plane', onchange: (event) => this.setPlane(Number(event.currentTarget.value)) }, planes.map((_, k) => h('option', { value: k }, String(k))))));
      this.planeSelect = tools.querySelector('select');
    }
    tools.append(
      switchOf(images, 'mean', 'image', (value) => { this.state.image = value; this.redraw(); }),
      checkOf('outlines', true, (value) => { this.state.outlines = value; this.redraw(); }),
      h('label', {}, 'colour', h('select', { 'aria-label': 'colour of the outlines', onchange: (event) => { this.state.colour = event.currentTarget.value; this.legend(); this.redraw(); } }, this.colours.map(([key, name]) => h('option', { value: key }, name)))),
      h('label', {}, 'brightness', h('input', { type: 'range', min: '0.4', max: '3', step: '0.05', value: '1', 'aria-label': 'brightness', oninput: (event) => { this.state.brightness = Number(event.currentTarget.value); this.redraw(); } })),
    );
    this.key = h('span', { class: 'legend' });
    tools.append(this.key);
    this.canvas = h('canvas', { role: 'application', tabindex: 0, 'aria-label': 'field of view with the outlines of cells; keys: plus and minus zoom, arrows move, 0 shows everything' });
    this.tip = h('div', { class: 'tip', hidden: true });
    const button = (text, about, work) => h('button', { type: 'button', 'aria-label': `${about}: field of view`, title: about, onclick: work }, text);
    this.buttons = h('span', { class: 'zoom' }, button('−', 'zoom out', () => this.zoom(1 / 1.6)), button('+', 'zoom in', () => this.zoom(1.6)), button('all', 'show everything', () => this.zoom(0)));
    this.box = h('div', { class: 'field' }, this.canvas, this.tip, this.buttons);
    parent.append(tools, this.box, h('p', { class: 'small' }, h('span', { class: 'help' }, 'A click chooses a cell, shift and click adds one to the traces below. Wheel: zoom; drag: move; double click: all of it. '),
      movie.pixel_size_um ? `A pixel is ${number(movie.pixel_size_um[0])} × ${number(movie.pixel_size_um[1])} µm.` : ''));
    new ResizeObserver(() => this.redraw()).observe(this.box);
    on('theme', (theme) => {
      this.legend();
      if (theme === 'print') this.draw();
      else this.redraw();
    });
    on('chosen', (id) => {
      const cell = this.cells[id];
      if (cell && cell.plane !== this.state.plane) this.setPlane(cell.plane);
      this.redraw();
    });
    on('traced', () => this.redraw());
    on('filtered-cells', (shown) => { this.shown = new Set(shown.map((c) => c.cell)); this.kept = null; this.redraw(); });
    this.pointer();
    this.legend();
  }

  setPlane(plane) {
    this.state.plane = plane;
    if (this.planeSelect) this.planeSelect.value = String(plane);
    this.redraw();
  }

  legend() {
    const [key, name, range] = this.colours.find(([own]) => own === this.state.colour);
    this.range = range || extent(this.cells.map((c) => c[key]).filter((v) => v !== null && Number.isFinite(v)));
    this.key.replaceChildren(...(key === 'own' ? [] : [number(this.range[0]), rampBar(true), `${number(this.range[1])} (${name})`]));
  }
  colourOf(cell) {
    if (this.state.colour === 'own') return ownColourOnDark(cell.cell);
    const [low, high] = this.range;
    const share = (cell[this.state.colour] - low) / (high - low || 1);
    return ramp(Math.round(clamp(share, 0, 1) * N_SHADES) / N_SHADES, true);
  }

  picture(plane, name) {
    const key = `${plane} ${name}`;
    if (!this.pictures.has(key)) {
      const id = this.planes[plane].images[name];
      this.pictures.set(key, id ? pictureOf(id, () => { this.kept = null; this.redraw(); }) : new Image());
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
    this.transform = { scale, left };
    this.buttons.classList.toggle('used', this.view.zoom > 1);
    const place = (c) => {
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
      c.translate(left, 0);
      c.scale(scale, scale);
      c.translate(-this.view.x, -this.view.y);
    };
    // The image with all outlines takes long and stays the same while cells are chosen.
    const key = JSON.stringify([this.canvas.width, this.canvas.height, this.view, this.state]);
    if (!this.kept || this.kept.key !== key) {
      const picture = h('canvas', { width: this.canvas.width, height: this.canvas.height });
      this.drawBase(picture.getContext('2d'), place, scale);
      this.kept = { key, picture };
    }
    const c = this.canvas.getContext('2d');
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(this.kept.picture, 0, 0);
    place(c);
    const line = (px) => px / scale;
    for (const id of chosenCells()) {
      const cell = this.cells[id];
      if (!cell || cell.plane !== this.state.plane || id === chosen.id) continue;
      c.strokeStyle = this.colourOf(cell);
      c.lineWidth = line(2);
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

  /** The image, and the outlines of all cells that are shown: one path a colour. */
  drawBase(c, place, scale) {
    const { width, height } = this.movie;
    c.fillStyle = '#000';
    c.fillRect(0, 0, c.canvas.width, c.canvas.height);
    place(c);
    c.imageSmoothingEnabled = scale < 2;
    const image = this.picture(this.state.plane, this.state.image);
    if (image.complete && image.naturalWidth) {
      c.filter = this.state.brightness === 1 ? 'none' : `brightness(${this.state.brightness})`;
      c.drawImage(image, 0, 0, width, height);
      c.filter = 'none';
    }
    if (!this.state.outlines) return;
    const paths = new Map();
    for (const cell of this.cells) {
      if (cell.plane !== this.state.plane || !this.shown.has(cell.cell)) continue;
      const colour = this.colourOf(cell);
      if (!paths.has(colour)) paths.set(colour, new Path2D());
      addOutline(paths.get(colour), cell.runs);
    }
    c.lineWidth = 1.2 / scale;
    for (const [colour, path] of paths) {
      c.strokeStyle = colour;
      c.stroke(path);
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

  /** Keeps the view inside of the field. */
  hold() {
    const { width, height } = this.movie;
    this.view.x = clamp(this.view.x, 0, width - width / this.view.zoom);
    this.view.y = clamp(this.view.y, 0, height - height / this.view.zoom);
    this.redraw();
  }
  /** Makes things `factor` times as large around a pixel; 0 shows the whole field. Says whether that changed anything. */
  zoom(factor, at = null) {
    const before = this.view.zoom;
    const zoom = factor ? clamp(before * factor, 1, 24) : 1;
    const [x, y] = at || [this.view.x + this.movie.width / before / 2, this.view.y + this.movie.height / before / 2];
    const share = before / zoom;
    this.view = { zoom, x: x - (x - this.view.x) * share, y: y - (y - this.view.y) * share };
    this.hold();
    return zoom !== before;
  }
  /** Moves by shares of what is seen. */
  move(across, down) {
    if (this.view.zoom <= 1) return false;
    this.view.x += (across * this.movie.width) / this.view.zoom;
    this.view.y += (down * this.movie.height) / this.view.zoom;
    this.hold();
    return true;
  }

  pointer() {
    let from = null, moved = false;
    const { canvas } = this;
    canvas.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const work = {
        '+': () => this.zoom(1.5), '=': () => this.zoom(1.5), '-': () => this.zoom(1 / 1.5), _: () => this.zoom(1 / 1.5), 0: () => this.zoom(0) || true,
        ArrowLeft: () => this.move(-.15, 0), ArrowRight: () => this.move(.15, 0), ArrowUp: () => this.move(0, -.15), ArrowDown: () => this.move(0, .15),
      }[event.key];
      if (work && (work() || !event.key.startsWith('Arrow'))) event.preventDefault();
    });
    canvas.addEventListener('wheel', (event) => {
      // At the end of the way, and while it is being scrolled, the page goes on.
      if (!isScrolling() && this.zoom(Math.exp(-clamp(event.deltaY, -240, 240) * .002), this.pixel(event))) event.preventDefault();
    }, { passive: false });
    canvas.addEventListener('pointerdown', (event) => { from = { event, view: { ...this.view } }; moved = false; });
    window.addEventListener('pointermove', (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.event.clientX, event.clientY - from.event.clientY];
      if (Math.hypot(dx, dy) > 3) moved = true;
      if (!moved) return;
      this.view.x = from.view.x - dx / this.transform.scale;
      this.view.y = from.view.y - dy / this.transform.scale;
      this.hold();
    });
    window.addEventListener('pointerup', () => { from = null; });
    canvas.addEventListener('click', (event) => {
      if (moved) return;
      const cell = this.cellAt(event);
      if (!cell) return;
      if (event.shiftKey) tell('trace', cell.cell);
      else choose(cell.cell);
    });
    canvas.addEventListener('dblclick', () => this.zoom(0));
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
