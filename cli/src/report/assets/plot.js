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
const whenIdle = window.requestIdleCallback ? (work) => window.requestIdleCallback(work, { timeout: 200 }) : (work) => setTimeout(work, 5);
function drawLater(plot) {
  waiting.add(plot);
  document.documentElement.dataset.drawn = 'false';
  if (isWorking) return;
  isWorking = true;
  const next = () => {
    const [plot] = waiting;
    if (plot) {
      waiting.delete(plot);
      plot.draw();
    }
    isWorking = waiting.size > 0;
    if (isWorking) whenIdle(next);
    else document.documentElement.dataset.drawn = 'true';
  };
  whenIdle(next);
}

/**
 * A plot. Options: `height` (px, or a function of the width), `label` (what it shows, for readers of the page), `margin`,
 * `x` and `y` (`{domain, label, ticks, text, flip}`, or functions that give them; null for no axis), `draw(plot)`,
 * `under(plot)` (below the grid), `hover(plot, x, y)` (text or null; x and y in units of the axes), `click(plot, x, y)`.
 */
class Plot {
  constructor(parent, options) {
    this.options = options;
    this.canvas = h('canvas', { role: 'img', 'aria-label': options.label || '' });
    this.tip = h('div', { class: 'tip', hidden: true });
    this.box = h('div', { class: options.click ? 'plot clickable' : 'plot' }, this.canvas, this.tip);
    parent.append(this.box);
    this.context = this.canvas.getContext('2d');
    plots.set(this.canvas, this);
    this.width = 0;
    this.queued = false;
    // The place of the drawing before it is made, so that nothing moves afterwards.
    this.canvas.style.height = `${typeof options.height === 'function' ? options.height(600) : options.height}px`;
    new ResizeObserver(() => {
      if (this.box.clientWidth !== this.width) this.whenSeen();
    }).observe(this.box);
    // Paper shows everything at once.
    this.forget = on('theme', (theme) => (theme === 'print' ? this.draw() : this.whenSeen()));
    if (options.hover) {
      this.canvas.addEventListener('mousemove', (event) => this.showTip(event));
      this.canvas.addEventListener('mouseleave', () => { this.tip.hidden = true; });
    }
    if (options.click) {
      this.canvas.addEventListener('click', (event) => options.click(this, ...this.at(event)));
    }
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
    const axis = (of) => (typeof of === 'function' ? of(this) : of);
    this.x = axis(options.x) || { domain: [0, 1], ticks: [] };
    this.y = axis(options.y) || { domain: [0, 1], ticks: [] };
    const bare = (a) => a.ticks && a.ticks.length === 0 && !a.label;
    const margin = { top: 8, right: 10, bottom: bare(this.x) ? 4 : this.x.label ? 36 : 22, left: bare(this.y) ? 4 : this.y.label ? 54 : 40 };
    Object.assign(margin, options.margin);
    this.area = { left: margin.left, top: margin.top, width: Math.max(1, width - margin.left - margin.right), height: Math.max(1, this.height - margin.top - margin.bottom) };
    if (options.under) this.clipped(() => options.under(this));
    this.axes();
    this.clipped(() => options.draw(this));
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

  /** Many small squares; `colourOf(k)` gives a number of `colours`, or −1 for none. */
  dots(n, px, py, colours, colourOf, size) {
    const { context } = this;
    const groups = colours.map(() => []);
    for (let k = 0; k < n; k++) {
      const c = colourOf(k);
      if (c >= 0) groups[c].push(k);
    }
    groups.forEach((group, c) => {
      context.fillStyle = colours[c];
      for (const k of group) context.fillRect(px(k) - size / 2, py(k) - size / 2, size, size);
    });
  }
}
