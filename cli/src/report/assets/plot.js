// Drawings: a canvas with axes that keeps sharp on any screen, and follows the width of its place and the theme.

/** Round numbers between two values, about `count` of them. */
function ticksOf([low, high], count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}
function tickText(value) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(0);
  return format(value, 0, 3);
}

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif';

/** The plot of each canvas that has one. */
const plots = new WeakMap();

/** Drawings that are not in view yet: one after the other when there is time, so that the page answers at once. */
const waiting = new Set();
let isWorking = false;
let hasLoaded = false;
/** Says whether every drawing is made. */
function tellDrawn() {
  const isDrawn = hasLoaded && !isWorking;
  document.documentElement.dataset.drawn = String(isDrawn);
  if (isDrawn) performance.mark('somata-ready');
}
window.addEventListener('load', () => { hasLoaded = true; tellDrawn(); });
const whenIdle = window.requestIdleCallback ? (work) => window.requestIdleCallback(work, { timeout: 200 }) : (work) => setTimeout(work, 5);
function drawLater(plot) {
  waiting.add(plot);
  if (isWorking) return;
  isWorking = true;
  tellDrawn();
  const next = () => {
    const [plot] = waiting;
    if (plot) {
      waiting.delete(plot);
      plot.draw();
    }
    isWorking = waiting.size > 0;
    if (isWorking) whenIdle(next);
    else tellDrawn();
  };
  whenIdle(next);
}

/** Below so many squares a picture of the whole plot is not worth its making. */
const FEW_DOTS = 4000;

/** Rows and pictures that are drawn but not there yet: blocks of the end of the page. */
const missing = (needs) => [].concat(needs || []).find((rows) => !rows.isThere);

/**
 * A plot. Options: `height` (px, or a function of the width), `label` (what it shows, for readers of the page), `margin`,
 * `x` and `y` (`{domain, label, ticks, text, flip}`, or functions that give them; null for no axis), `draw(plot)`,
 * `under(plot)` (below the grid), `hover(plot, x, y)` (text or null; x and y in units of the axes), `click(plot, x, y)`,
 * `needs` (rows without which nothing can be drawn), `zoom` (see `Zoom`), `step(plot, across, up)` (what an arrow key chooses), and
 * `base(plot)` with `baseKey(plot)`: what is drawn below `draw`, and kept until the key, the view or the theme changes.
 */
class Plot {
  constructor(parent, options) {
    this.options = options;
    const hasKeys = Boolean(options.zoom || options.step);
    this.canvas = h('canvas', { role: hasKeys ? 'application' : 'img', 'aria-label': options.label || '', tabindex: hasKeys ? 0 : null });
    this.tip = h('div', { class: 'tip', hidden: true });
    this.box = h('div', { class: options.click ? 'plot clickable' : 'plot' }, this.canvas, this.tip);
    parent.append(this.box);
    this.context = this.canvas.getContext('2d');
    plots.set(this.canvas, this);
    this.width = 0;
    this.queued = false;
    if (options.zoom) this.zoom = new Zoom(this, options.zoom);
    // The place of the drawing before it is made, so that nothing moves afterwards.
    this.canvas.style.height = `${typeof options.height === 'function' ? options.height(600) : options.height}px`;
    const size = new ResizeObserver(() => {
      if (this.box.clientWidth !== this.width) this.whenSeen();
    });
    size.observe(this.box);
    // Paper shows everything at once.
    const deaf = on('theme', (theme) => {
      this.kept = null;
      if (theme === 'print') this.draw();
      else this.whenSeen();
    });
    this.forget = () => { deaf(); size.disconnect(); waiting.delete(this); };
    for (const rows of [].concat(options.needs || [])) whenThere(rows.id, () => this.redraw());
    if (options.hover) {
      this.canvas.addEventListener('mousemove', (event) => this.showTip(event));
      this.canvas.addEventListener('mouseleave', () => { this.tip.hidden = true; });
    }
    if (options.click) {
      this.canvas.addEventListener('click', (event) => {
        if (!this.zoom?.hasMoved && !missing(options.needs)) options.click(this, ...this.at(event));
      });
    }
    if (options.step) this.canvas.addEventListener('keydown', (event) => this.step(event));
  }

  /** An arrow key that did not move the view chooses the next in its direction. */
  step(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way || event.defaultPrevented) return;
    event.preventDefault();
    this.options.step(this, ...way);
  }

  /** Draws at the next frame; several wishes become one drawing. */
  redraw() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      this.whenSeen();
    });
  }

  /** Draws now what is in view, and later what is not. */
  whenSeen() {
    const { top, bottom } = this.box.getBoundingClientRect();
    if (bottom >= -50 && top <= window.innerHeight + 50) this.draw();
    else drawLater(this);
  }

  draw() {
    const width = this.box.clientWidth;
    if (!width) return;
    this.width = width;
    const { options, context } = this;
    this.height = typeof options.height === 'function' ? options.height(width) : options.height;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, this.height);
    const axis = (of) => (typeof of === 'function' ? of(this) : of) || { domain: [0, 1], ticks: [] };
    [this.x, this.y] = [axis(options.x), axis(options.y)];
    if (this.zoom) [this.x, this.y] = this.zoom.seen(this.x, this.y);
    const bare = (a) => a.ticks && a.ticks.length === 0 && !a.label;
    const margin = { top: 8, right: 10, bottom: bare(this.x) ? 4 : this.x.label ? 36 : 22, left: bare(this.y) ? 4 : this.y.label ? 58 : 40 };
    Object.assign(margin, options.margin);
    this.area = { left: margin.left, top: margin.top, width: Math.max(1, width - margin.left - margin.right), height: Math.max(1, this.height - margin.top - margin.bottom) };
    if (options.under) this.clipped(() => options.under(this));
    this.axes();
    if (missing(options.needs)) return;
    if (options.base) this.drawBase(ratio);
    this.clipped(() => options.draw(this));
  }

  /** What takes long and stays the same while units are chosen, from a picture of it. */
  drawBase(ratio) {
    const { options, context, canvas } = this;
    const key = JSON.stringify([canvas.width, canvas.height, this.x.domain, this.y.domain, options.baseKey(this)]);
    if (!this.kept || this.kept.key !== key) {
      const picture = h('canvas', { width: canvas.width, height: canvas.height });
      this.context = picture.getContext('2d');
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.clipped(() => options.base(this));
      this.context = context;
      this.kept = { key, picture };
    }
    context.drawImage(this.kept.picture, 0, 0, this.width, this.height);
  }

  clipped(work) {
    const { context, area } = this;
    context.save();
    context.beginPath();
    context.rect(area.left, area.top - 1, area.width + 1, area.height + 2);
    context.clip();
    work();
    context.restore();
  }

  /** Places on the canvas. */
  X(value) {
    const [low, high] = this.x.domain;
    return this.area.left + ((value - low) / (high - low || 1)) * this.area.width;
  }
  Y(value) {
    const [low, high] = this.y.domain;
    const share = (value - low) / (high - low || 1);
    return this.area.top + (this.y.flip ? share : 1 - share) * this.area.height;
  }

  /** Where the pointer is, in units of the axes. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const across = (px - this.area.left) / this.area.width;
    const down = (py - this.area.top) / this.area.height;
    const on = ([low, high], share) => low + (high - low) * share;
    return [on(this.x.domain, across), on(this.y.domain, this.y.flip ? down : 1 - down), px, py];
  }

  showTip(event) {
    const [x, y, px, py] = this.at(event);
    const { area } = this;
    const inside = px >= area.left && px <= area.left + area.width && py >= area.top - 4 && py <= area.top + area.height + 4;
    const text = inside ? this.options.hover(this, x, y, px, py) : null;
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    this.tip.style.left = `${clamp(px, 60, this.width - 60)}px`;
    this.tip.style.top = `${Math.max(py, 30)}px`;
  }

  axes() {
    const { context, area, x, y } = this;
    context.font = FONT;
    context.lineWidth = 1;
    const xs = x.ticks || ticksOf(x.domain, clamp(Math.floor(area.width / 85), 2, 12));
    const ys = y.ticks || ticksOf(y.domain, clamp(Math.floor(area.height / 42), 2, 9));
    context.strokeStyle = ink('grid');
    context.beginPath();
    for (const tick of xs) {
      if (x.noGrid) break;
      const at = Math.round(this.X(tick)) + .5;
      context.moveTo(at, area.top);
      context.lineTo(at, area.top + area.height);
    }
    for (const tick of ys) {
      if (y.noGrid) break;
      const at = Math.round(this.Y(tick)) + .5;
      context.moveTo(area.left, at);
      context.lineTo(area.left + area.width, at);
    }
    context.stroke();
    context.fillStyle = ink('soft');
    context.textAlign = 'center';
    context.textBaseline = 'top';
    for (const tick of xs) context.fillText((x.text || tickText)(tick), this.X(tick), area.top + area.height + 5);
    if (x.label) context.fillText(x.label, area.left + area.width / 2, area.top + area.height + 21);
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const tick of ys) context.fillText((y.text || tickText)(tick), area.left - 6, this.Y(tick));
    if (y.label) {
      context.save();
      context.translate(11, area.top + area.height / 2);
      context.rotate(-Math.PI / 2);
      context.textAlign = 'center';
      context.fillText(y.label, 0, 0);
      context.restore();
    }
  }

  // Marks, in units of the axes.

  line(xs, ys, colour, width = 1.4) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineJoin = 'round';
    context.beginPath();
    let down = false;
    for (let k = 0; k < xs.length; k++) {
      if (ys[k] === null || !Number.isFinite(ys[k])) { down = false; continue; }
      if (down) context.lineTo(this.X(xs[k]), this.Y(ys[k]));
      else context.moveTo(this.X(xs[k]), this.Y(ys[k]));
      down = true;
    }
    context.stroke();
  }

  /** What lies between two curves. */
  band(xs, low, high, colour) {
    const { context } = this;
    context.fillStyle = colour;
    context.beginPath();
    for (let k = 0; k < xs.length; k++) context.lineTo(this.X(xs[k]), this.Y(high[k]) - .5);
    for (let k = xs.length - 1; k >= 0; k--) context.lineTo(this.X(xs[k]), this.Y(low[k]) + .5);
    context.fill();
  }

  /** Bars of a histogram: `edges` has one value more than `counts`. */
  bars(edges, counts, colour) {
    const { context } = this;
    context.fillStyle = colour;
    const floor = this.Y(Math.max(0, this.y.domain[0]));
    for (let k = 0; k < counts.length; k++) {
      if (!counts[k]) continue;
      const [left, right] = [this.X(edges[k]), this.X(edges[k + 1])];
      const top = this.Y(counts[k]);
      context.fillRect(left, top, Math.max(.7, right - left - (right - left > 4 ? 1 : 0)), floor - top);
    }
  }

  upright(x, colour, dash = []) {
    this.rule([this.X(x), this.area.top], [this.X(x), this.area.top + this.area.height], colour, dash);
  }
  level(y, colour, dash = []) {
    this.rule([this.area.left, this.Y(y)], [this.area.left + this.area.width, this.Y(y)], colour, dash);
  }
  rule(from, to, colour, dash) {
    const { context } = this;
    context.save();
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.restore();
  }

  /**
   * Many small squares of `size` px: `colours` are lists of red, green, blue, `colourOf(k)` gives the number of one, or −1 for none; those
   * of later colours lie above. Pixels of many are set one by one, which is many times faster than asking the canvas for each square.
   */
  dots(n, px, py, colours, colourOf, size, opacity = 1, tall = size) {
    const { area } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.ceil(area.width * ratio), Math.ceil(area.height * ratio)];
    const numbers = new Int32Array(n);
    const start = new Uint32Array(colours.length + 1);
    for (let k = 0; k < n; k++) {
      numbers[k] = colourOf(k);
      if (numbers[k] >= 0) start[numbers[k] + 1]++;
    }
    for (let c = 0; c < colours.length; c++) start[c + 1] += start[c];
    const order = new Uint32Array(start[colours.length]);
    for (let k = 0; k < n; k++) if (numbers[k] >= 0) order[start[numbers[k]]++] = k;
    if (order.length < FEW_DOTS) {
      this.context.globalAlpha = opacity;
      for (const k of order) {
        this.context.fillStyle = rgb(colours[numbers[k]]);
        this.context.fillRect(px(k) - size / 2, py(k) - tall / 2, size, tall);
      }
      this.context.globalAlpha = 1;
      return;
    }
    const image = this.context.createImageData(width, height);
    const { data } = image;
    const pixels = new Uint32Array(data.buffer);
    // A colour on an empty pixel, as it lies in memory.
    const packed = new Uint32Array(new Uint8Array(colours.flatMap((colour) => [...colour, Math.round(255 * opacity)])).buffer);
    const [across, down] = [size, tall].map((length) => Math.max(1, Math.round(length * ratio)));
    for (let i = 0; i < order.length; i++) {
      const k = order[i];
      const x0 = Math.round((px(k) - area.left) * ratio - across / 2);
      const y0 = Math.round((py(k) - area.top) * ratio - down / 2);
      for (let y = Math.max(0, y0); y < Math.min(height, y0 + down); y++) {
        for (let x = Math.max(0, x0); x < Math.min(width, x0 + across); x++) {
          const pixel = y * width + x;
          if (pixels[pixel] === 0 || opacity === 1) pixels[pixel] = packed[numbers[k]];
          else over(data, 4 * pixel, colours[numbers[k]], opacity);
        }
      }
    }
    const picture = h('canvas', { width, height });
    picture.getContext('2d').putImageData(image, 0, 0);
    this.context.drawImage(picture, area.left, area.top, width / ratio, height / ratio);
  }
}

/** Lays a colour of some opacity over a pixel that has one. */
function over(data, at, colour, opacity) {
  const below = (data[at + 3] / 255) * (1 - opacity);
  const whole = opacity + below;
  for (let c = 0; c < 3; c++) data[at + c] = (colour[c] * opacity + data[at + c] * below) / whole;
  data[at + 3] = 255 * whole;
}
