// Looking closely at a drawing: wheel, drag, keys and buttons change the part of the axes that is seen.

/** When the page was last scrolled: a wheel that is on its way down the page must not be caught by what comes under the pointer. */
let scrolledAt = -Infinity;
window.addEventListener('scroll', () => { scrolledAt = performance.now(); }, { passive: true });
const isScrolling = () => performance.now() - scrolledAt < 250;

/**
 * The part of the axes of a plot that is seen. Options: `x` and `y` (the shortest length of each that can be seen; null for an axis that
 * stays), `wheel` (`'x'` where the wheel leaves y alone), `first` (`{x, y}`, what is seen at first), `group` (plots of one list move along
 * with each other), `square` (both axes always by the same factor, for pictures).
 *
 * Wheel: closer and away, with alt only up and down, with shift only across. Drag: move. Keys: + and −, arrows, 0 for all.
 */
class Zoom {
  constructor(plot, options) {
    Object.assign(this, { plot, options, hasMoved: false });
    this.view = options.group?.length ? options.group[0].zoom.view : { ...options.first };
    if (options.group) options.group.push(plot);
    this.full = { x: [0, 1], y: [0, 1] };
    const { canvas } = plot;
    const name = plot.options.label;
    canvas.setAttribute('aria-label', `${name}; keys: plus and minus zoom, arrows move, 0 shows everything`);
    const button = (text, about, work) => h('button', { type: 'button', 'aria-label': `${about}: ${name}`, title: about, onclick: work }, text);
    this.buttons = h('span', { class: 'zoom' }, button('−', 'zoom out', () => this.by(1.6)), button('+', 'zoom in', () => this.by(1 / 1.6)), button('all', 'show everything', () => this.reset()));
    plot.box.append(this.buttons);
    canvas.style.touchAction = 'pan-y';
    canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    canvas.addEventListener('dblclick', () => this.reset());
    canvas.addEventListener('keydown', (event) => this.key(event));
    this.drag(canvas);
  }

  get axes() {
    return ['x', 'y'].filter((axis) => this.options[axis]);
  }

  /** The axes with what is seen of them. */
  seen(x, y) {
    this.full = { x: x.domain, y: y.domain };
    const part = (axis, own) => {
      const at = this.view[axis];
      if (!at) return own;
      const [low, high] = own.domain;
      const span = clamp(at[1] - at[0], 0, high - low);
      // What is seen of another unit may lie elsewhere.
      const from = clamp(at[0], low, high - span);
      return { ...own, domain: [from, from + span], ticks: own.ticks?.filter((tick) => tick >= from && tick <= from + span) };
    };
    this.buttons.classList.toggle('used', this.isClose());
    return [this.options.x ? part('x', x) : x, this.options.y ? part('y', y) : y];
  }
  isClose() {
    return this.axes.some((axis) => this.view[axis]);
  }

  /** Sees `domain` of an axis; all of it where that is the whole. */
  set(axis, [from, to]) {
    const [low, high] = this.full[axis];
    const span = clamp(to - from, Math.min(this.options[axis], high - low), high - low);
    const middle = (from + to) / 2;
    const start = clamp(to - from === span ? from : middle - span / 2, low, high - span);
    const before = this.view[axis] || [low, high];
    this.view[axis] = span >= (high - low) * .9999 ? null : [start, start + span];
    const now = this.view[axis] || [low, high];
    return Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]) > (high - low) * 1e-6;
  }
  redraw() {
    for (const plot of this.options.group || [this.plot]) plot.redraw();
  }

  /** Makes the part that is seen `factor` times as long, around a place. */
  by(factor, at = null, axes = this.axes) {
    let hasChanged = false;
    if (this.options.square) {
      const most = (axis) => (this.full[axis][1] - this.full[axis][0]) / (this.plot[axis].domain[1] - this.plot[axis].domain[0]);
      const least = (axis) => this.options[axis] / (this.plot[axis].domain[1] - this.plot[axis].domain[0]);
      factor = clamp(factor, Math.min(1, Math.max(least('x'), least('y'))), Math.min(most('x'), most('y')));
    }
    for (const axis of axes) {
      const [from, to] = this.plot[axis].domain;
      const centre = at ? at[axis] : (from + to) / 2;
      hasChanged = this.set(axis, [centre - (centre - from) * factor, centre + (to - centre) * factor]) || hasChanged;
    }
    if (hasChanged) this.redraw();
    return hasChanged;
  }
  /** Moves by shares of what is seen. */
  move(across, up) {
    let hasChanged = false;
    for (const [axis, share] of [['x', across], ['y', up]]) {
      if (!share || !this.options[axis] || !this.view[axis]) continue;
      const [from, to] = this.plot[axis].domain;
      const way = axis === 'y' && this.plot.y.flip ? -share : share;
      hasChanged = this.set(axis, [from + (to - from) * way, to + (to - from) * way]) || hasChanged;
    }
    if (hasChanged) this.redraw();
    return hasChanged;
  }
  reset() {
    this.view.x = this.view.y = null;
    this.redraw();
  }

  wheel(event) {
    if (isScrolling()) return;
    const [x, y, px, py] = this.plot.at(event);
    const { area } = this.plot;
    if (px < area.left || px > area.left + area.width || py < area.top || py > area.top + area.height) return;
    const delta = event.deltaY || event.deltaX;
    const only = this.options.square ? null : event.altKey ? 'y' : event.shiftKey ? 'x' : this.options.wheel;
    const axes = this.axes.filter((axis) => !only || axis === only);
    const isAcross = Math.abs(event.deltaX) > Math.abs(event.deltaY) && !event.shiftKey;
    const hasChanged = isAcross ? this.move(event.deltaX / area.width, 0) : this.by(Math.exp(clamp(delta, -240, 240) * .002), { x, y }, axes);
    // At the end of the way the page scrolls on.
    if (hasChanged) event.preventDefault();
  }

  key(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const work = {
      '+': () => this.by(1 / 1.5), '=': () => this.by(1 / 1.5), '-': () => this.by(1.5), _: () => this.by(1.5), 0: () => this.reset(),
      ArrowLeft: () => this.move(-.15, 0), ArrowRight: () => this.move(.15, 0), ArrowUp: () => this.move(0, .15), ArrowDown: () => this.move(0, -.15),
    }[key];
    if (!work) return;
    const hasChanged = work();
    if (hasChanged || !key.startsWith('Arrow')) event.preventDefault();
  }

  drag(canvas) {
    let from = null;
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button) return;
      this.hasMoved = false;
      from = { px: event.clientX, py: event.clientY, x: this.plot.x.domain, y: this.plot.y.domain };
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!from || !this.isClose()) return;
      const shift = { x: event.clientX - from.px, y: event.clientY - from.py };
      if (!this.hasMoved && Math.hypot(shift.x, shift.y) > 3) {
        this.hasMoved = true;
        canvas.setPointerCapture(event.pointerId);
      }
      if (!this.hasMoved) return;
      const { area } = this.plot;
      for (const axis of this.axes) {
        if (!this.view[axis]) continue;
        const [low, high] = from[axis];
        const share = axis === 'x' ? -shift.x / area.width : (this.plot.y.flip ? -1 : 1) * shift.y / area.height;
        this.set(axis, [low + share * (high - low), high + share * (high - low)]);
      }
      this.redraw();
    });
    const end = () => { from = null; };
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
  }
}
